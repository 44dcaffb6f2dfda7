"""Agents of TinyTroupe 0.3.0 that talk, with `llmkit.tinytroupe` in the place of its `openai_utils`."""

import json
import sys
import urllib.request
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import llmkit.tinytroupe as openai_utils

sys.modules["tinytroupe.openai_utils"] = openai_utils  # before TinyTroupe is imported: this is all the pointing

from tinytroupe import control, examples  # type: ignore[import-not-found, import-untyped, unused-ignore] # noqa: E402
from tinytroupe.agent import TinyPerson  # type: ignore[import-not-found, import-untyped, unused-ignore] # noqa: E402
from tinytroupe.environment import TinyWorld  # type: ignore[import-not-found, import-untyped, unused-ignore] # noqa: E402
from tinytroupe.personfactory import (  # type: ignore[import-not-found, import-untyped, unused-ignore] # noqa: E402
    TinyPersonFactory,
)

from tests.conformance.clients.talk import ORIGIN, expect, hold  # noqa: E402

TinyPerson.communication_display = TinyWorld.communication_display = False  # stdout is for the results

MORNING = datetime(2024, 11, 7, 9, 0)
QUESTION, ANSWER = "Lisa, what do you build?", "A library for Oscar."
_REFUSAL = {"fault": "rate_limited"}


def _acts(kind: str, content: str = "", target: str = "") -> dict[str, str]:
    """A reply of the server that is an action, as TinyTroupe's prompt asks for it."""
    feeling = {"goals": "To talk.", "attention": "The conversation.", "emotions": "Calm."}
    action = {"type": kind, "content": content, "target": target}
    return {"reply": json.dumps({"action": action, "cognitive_state": feeling})}


def _is(name: str) -> dict[str, str]:
    """A reply that is a person, as the prompt of TinyTroupe's factory asks for one."""
    traits = {"occupation": "Acteur", "age": 30, "skills": [{"skill": "Fado"}]}
    return {"reply": json.dumps({"name": name, "_configuration": traits})}


DONE = _acts("DONE")
TALK = [_acts("TALK", QUESTION, "Lisa"), DONE, _acts("TALK", ANSWER, "Oscar"), DONE]
# in the order of Oscar, Lisa, Marcos and Lila
TWO_STEPS = [
    *(_acts("TALK", "Olá ☕ to “all”"), DONE),
    *(_acts("REACH_OUT", target="Marcos"), _acts("THINK", "He is <here> & well."), DONE),
    DONE,
    DONE,
    *(DONE, DONE),
    *(_acts("TALK", "São Paulo?", "Lila"), DONE),
    DONE,
]


def _admin(method: str, path: str, body: object = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{ORIGIN}/__admin/{path}", data=data, method=method)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def _begin(*steps: object) -> None:
    """A server that will answer so, and nobody in the world."""
    _admin("POST", "reset")
    _admin("POST", "script", {"steps": list(steps)})
    control.reset()
    TinyPerson.clear_agents()
    TinyWorld.clear_environments()


def _asked() -> list[Any]:
    exchanges: list[Any] = _admin("GET", "journal")["exchanges"]
    return exchanges


def _conversation(*steps: object) -> list[Any]:
    """Oscar asks, Lisa answers; what the server was asked for meanwhile."""
    _begin(*steps)
    oscar, lisa = TinyPerson("Oscar"), TinyPerson("Lisa")
    oscar.define("occupation", "Architect")
    lisa.define("occupation", "Programmer")
    world = TinyWorld("Office", [oscar, lisa], initial_datetime=MORNING)
    world.make_everyone_accessible()
    oscar.listen("Ask Lisa what she builds.")
    world.run(1)
    _check_heard(lisa, QUESTION, oscar)
    _check_heard(oscar, ANSWER, lisa)
    return _asked()


def _check_heard(listener: Any, words: str, speaker: Any) -> None:
    heard = [
        (stimulus["content"], stimulus["source"])
        for memory in listener.episodic_memory.retrieve_all()
        for stimulus in memory["content"].get("stimuli", ())
    ]
    expect((words, speaker.name) in heard, f"{listener.name} has not heard {words!r} from {speaker.name}: {heard}")


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


def four_in_two_steps() -> None:
    """Agents of its examples speak to all and to one, reach out and think; who is asked has heard it."""
    openai_utils.force_api_type("openai")
    openai_utils.force_api_cache(False)
    _begin(*TWO_STEPS)
    oscar, lisa, marcos, lila = people = [
        examples.create_oscar_the_architect(),
        examples.create_lisa_the_data_scientist(),
        examples.create_marcos_the_physician(),
        examples.create_lila_the_linguist(),
    ]
    world = TinyWorld("Café", people, initial_datetime=MORNING)
    steps = world.run(2, timedelta_per_step=timedelta(hours=1), return_actions=True)
    acted = [action["action"] for step in steps for actions in step.values() for action in actions]
    scripted = [json.loads(each["reply"])["action"] for each in TWO_STEPS]
    expect(acted == scripted, f"expected the actions {scripted}, got {acted}")
    for listener in (lisa, marcos, lila):
        _check_heard(listener, "Olá ☕ to “all”", oscar)
    _check_heard(marcos, "Lisa reached out to you, and is now available for interaction.", world)
    _check_heard(lila, "São Paulo?", marcos)
    told = [json.loads(message["content"]) for message in _asked()[-1]["request"]["messages"]]
    expect("São Paulo?" in str(told), f"the last request does not say what Lila has heard: {told[1:]}")


def kept_by_control() -> None:
    """What TinyTroupe's own `control` has kept, of factory and agents, is not asked for again."""
    steps = [_is("Ana"), {"reply": "?"}, _REFUSAL, _is("Rui"), _acts("TALK", "Que horas são?", "Rui"), DONE, DONE]
    _begin(*steps)
    first, asked = _simulated(), len(_asked())
    _begin(*steps)
    second, again = _simulated(), len(_asked())
    expect(first == second, f"expected the same twice, got {first} and {second}")
    expect((asked, again) == (7, 0), f"expected 7 and 0 requests, got {asked} and {again}")


def _simulated() -> list[Any]:
    """What two people remember whom a factory made, after a step."""
    control.begin("simulation.json")
    factory = TinyPersonFactory("A theatre in Lisbon & around")
    people = [factory.generate_person("Loves <puppets>"), factory.generate_person()]
    world = TinyWorld("Stage", people, initial_datetime=MORNING)
    world.make_everyone_accessible()
    control.checkpoint()
    world.run(1)
    control.end()
    return [person.episodic_memory.retrieve_all() for person in people]


if __name__ == "__main__":
    talks = {
        "plain": over_openai,
        "refused at first": refused_at_first,
        "from the cache": from_the_cache,
        "four in two steps": four_in_two_steps,
        "kept by control": kept_by_control,
    }
    sys.exit(hold({"openai": talks, "azure": {"plain": over_azure}}))
