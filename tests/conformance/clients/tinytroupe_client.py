"""Two agents of TinyTroupe 0.3.0 that talk, with `llmkit.tinytroupe` in the place of its `openai_utils`."""

import json
import sys
import urllib.request
from datetime import datetime
from pathlib import Path
from typing import Any

import llmkit.tinytroupe as openai_utils

sys.modules["tinytroupe.openai_utils"] = openai_utils  # before TinyTroupe is imported: this is all the pointing

from tinytroupe.agent import TinyPerson  # type: ignore[import-not-found, import-untyped, unused-ignore] # noqa: E402
from tinytroupe.environment import TinyWorld  # type: ignore[import-not-found, import-untyped, unused-ignore] # noqa: E402

from tests.conformance.clients.talk import ORIGIN, expect, hold  # noqa: E402

TinyPerson.communication_display = TinyWorld.communication_display = False  # stdout is for the results

QUESTION, ANSWER = "Lisa, what do you build?", "A library for Oscar."
_REFUSAL = {"fault": "rate_limited"}


def _acts(kind: str, content: str = "", target: str = "") -> dict[str, str]:
    """A reply of the server that is an action, as TinyTroupe's prompt asks for it."""
    feeling = {"goals": "To talk.", "attention": "The conversation.", "emotions": "Calm."}
    action = {"type": kind, "content": content, "target": target}
    return {"reply": json.dumps({"action": action, "cognitive_state": feeling})}


TALK = [_acts("TALK", QUESTION, "Lisa"), _acts("DONE"), _acts("TALK", ANSWER, "Oscar"), _acts("DONE")]


def _admin(method: str, path: str, body: object = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{ORIGIN}/__admin/{path}", data=data, method=method)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def _conversation(*steps: object) -> list[Any]:
    """Oscar asks, Lisa answers; what the server was asked for meanwhile."""
    _admin("POST", "reset")
    _admin("POST", "script", {"steps": list(steps)})
    TinyPerson.clear_agents()
    TinyWorld.clear_environments()
    oscar, lisa = TinyPerson("Oscar"), TinyPerson("Lisa")
    oscar.define("occupation", "Architect")
    lisa.define("occupation", "Programmer")
    world = TinyWorld("Office", [oscar, lisa], initial_datetime=datetime(2024, 11, 7, 9, 0))
    world.make_everyone_accessible()
    oscar.listen("Ask Lisa what she builds.")
    world.run(1)
    _check(oscar, lisa)
    exchanges: list[Any] = _admin("GET", "journal")["exchanges"]
    return exchanges


def _check(oscar: Any, lisa: Any) -> None:
    """Each has heard what the other said, from the other."""
    for listener, words, speaker in ((lisa, QUESTION, "Oscar"), (oscar, ANSWER, "Lisa")):
        heard = [
            (stimulus["content"], stimulus["source"])
            for memory in listener.episodic_memory.retrieve_all()
            for stimulus in memory["content"].get("stimuli", ())
        ]
        expect((words, speaker) in heard, f"{listener.name} has not heard {words!r} from {speaker}: {heard}")


def _over(api_type: str) -> None:
    openai_utils.force_api_type(api_type)
    openai_utils.force_api_cache(False)
    exchanges = _conversation(*TALK)
    expect(len(exchanges) == 4, f"expected 4 requests, got {len(exchanges)}")
    dialects = {exchange["dialect"] for exchange in exchanges}
    expect(dialects == {api_type}, f"expected requests to {api_type}, got {dialects}")


def over_openai() -> None:
    """Four actions, four requests."""
    _over("openai")


def over_azure() -> None:
    """The same there."""
    _over("azure")


def refused_at_first() -> None:
    """A rate limit in the midst of it goes unnoticed by the agents."""
    openai_utils.force_api_type("openai")
    statuses = [exchange["status"] for exchange in _conversation(TALK[0], _REFUSAL, *TALK[1:])]
    expect(statuses == [200, 429, 200, 200, 200], f"expected one refusal, got {statuses}")


def from_the_cache() -> None:
    """The second time the same words cost no request."""
    openai_utils.force_api_type("openai")
    openai_utils.force_api_cache(True, "conversation.pickle")
    first = _conversation(*TALK)
    openai_utils.force_api_cache(True, "conversation.pickle")  # read anew
    second = _conversation(*TALK)
    expect((len(first), len(second)) == (4, 0), f"expected 4 and 0 requests, got {len(first)} and {len(second)}")
    expect(Path("conversation.pickle").is_file(), "there is no cache file")


if __name__ == "__main__":
    talks = {"plain": over_openai, "refused at first": refused_at_first, "from the cache": from_the_cache}
    sys.exit(hold({"openai": talks, "azure": {"plain": over_azure}}))
