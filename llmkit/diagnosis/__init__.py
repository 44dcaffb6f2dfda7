"""What `llmkit doctor` finds out: are the settings right, and would a call come through."""

import asyncio
import warnings
from typing import Any

from llmkit import config
from llmkit.diagnosis import connection
from llmkit.diagnosis import offline as without_server
from llmkit.diagnosis.findings import Diagnosis, Finding
from llmkit.errors import ConfigError

__all__ = ["Diagnosis", "Finding", "diagnose"]


def diagnose(
    provider: config.Provider | None = None, *, offline: bool = False, timeout_s: float = 10.0, **arguments: Any
) -> Diagnosis:
    """Checks the settings as a client would load them, and unless `offline` asks the server, for `timeout_s` at most.

    Raises nothing for what is wrong: that is a finding.
    """
    try:
        with warnings.catch_warnings():  # of misspelt variables, which are findings here
            warnings.simplefilter("ignore")
            settings = config.load(provider=provider, **arguments)
    except ConfigError as error:
        return Diagnosis(
            findings=(Finding(about="settings", status="failure", text=error.message), *without_server.misspelt())
        )
    found = list(without_server.findings(settings))
    if not offline:
        found += asyncio.run(connection.findings(settings, timeout_s=timeout_s))
    return Diagnosis(findings=tuple(found), settings=tuple(config.origins(settings, **arguments)))
