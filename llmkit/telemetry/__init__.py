"""What calls tell about themselves: logs, OpenTelemetry, usage and cost. Everything here is an observer of calls.

    import logging
    logging.basicConfig(level=logging.INFO)
    client = Client(telemetry=Telemetry(content=True))
    print(client.totals.snapshot())

Prompts, replies and keys are in none of it unless `content` asks for the first two; a key never is.
"""

from llmkit._flow import Event, Observer
from llmkit.telemetry.options import Telemetry
from llmkit.telemetry.redaction import Redaction, described
from llmkit.telemetry.totals import Bill, Summary, Tally, Totals

__all__ = ["Bill", "Event", "Observer", "Redaction", "Summary", "Tally", "Telemetry", "Totals", "described"]
