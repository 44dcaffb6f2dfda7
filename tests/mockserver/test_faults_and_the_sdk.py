"""What the official SDK makes of each fault: the table in docs/faults.md, measured."""

import re
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import openai
import pytest

from mockserver import MockServer, fault, faults, reply
from mockserver.scripting.steps import Step
from tests.mockserver.asking import user
from tests.mockserver.conftest import KEY

TEXT = "Größe: 3 € für Otter im Seetang"
TABLE = Path(__file__).parents[2] / "docs" / "faults.md"
PATIENCE_S = 0.15  # of a client that waits for what never comes


class Row(NamedTuple):
    """A line of the table: a fault as Python writes it, what it does, and what becomes of a plain call and a stream."""

    code: str
    does: str
    plain: str
    streamed: str

    @property
    def step(self) -> Step:
        """The fault that the line is about."""
        step: Step = eval(f"fault.{self.code}", {"fault": fault})
        return step


def rows() -> Iterator[Row]:
    for line in TABLE.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if line.startswith("| `") and len(cells) == 4:
            yield Row(cells[0].strip("`"), *cells[1:])


@pytest.fixture(scope="module")
def running() -> Iterator[MockServer]:
    with MockServer(seed=1) as server:
        yield server


@pytest.fixture
def server(running: MockServer, network_allowance: Any) -> Iterator[MockServer]:
    network_allowance.allow(running.host, running.port)
    running.reset()
    yield running
    running.clock.run()


def measured(server: MockServer, step: Step, *, stream: bool) -> str:
    """Attempts and outcome; pauses between attempts cost no time."""
    server.reset()
    server.script((reply(TEXT) & step).times("forever"))
    waits = _waits(step)
    if not waits:
        server.clock.stop()
    with (
        openai.OpenAI(
            base_url=server.openai_url, api_key=KEY, max_retries=2, timeout=PATIENCE_S if waits == "for ever" else 5
        ) as client,
        nullcontext() if waits else server.clock.drives(),
    ):
        outcome = _streamed(client) if stream else _plain(client)
    server.clock.run()
    return f"{len(server.journal)} x {outcome}"


def _waits(step: Step) -> str:
    spec = step.spec()
    if spec["fault"] in ("hang", "stall", "keepalives_only") and not spec.keys() & {"seconds", "stall_s"}:
        return "for ever"
    lasting = ("hang", "stall", "latency", "drip", "trickle", "split_utf8", "close_idle", "refuse")
    return "a while" if spec["fault"] in lasting else ""


def _plain(client: openai.OpenAI) -> str:
    try:
        completion: Any = client.chat.completions.create(model="gpt-4o", messages=user())
    except Exception as exc:
        return _named(exc)
    if not isinstance(completion, openai.types.chat.ChatCompletion):
        return f"returns {completion if completion is None else type(completion).__name__}"
    if not completion.choices:
        return "returns a reply without choices"
    choice: Any = completion.choices[0]
    if choice.message is None:
        return "returns a reply without a message"
    return "ok" if choice.message.content == TEXT else f"returns {choice.message.content!r}, {choice.finish_reason}"


def _streamed(client: openai.OpenAI) -> str:
    text, reason = "", None
    try:
        for chunk in client.chat.completions.create(model="gpt-4o", messages=user(), stream=True):
            for choice in chunk.choices:
                text, reason = text + (choice.delta.content or ""), choice.finish_reason or reason
    except Exception as exc:
        return f"{_named(exc)} {'after some text' if text else 'at once'}"
    if text == TEXT:
        return "ok" if reason == "stop" else "all text, no finish reason, no error"
    return f"{_compared(text)}, no error"


def _compared(text: str) -> str:
    if TEXT.startswith(text):
        return "less text" if text else "no text"
    if len(text) == len(TEXT):
        return "text in another order"
    return "more text" if len(text) > len(TEXT) else "text with a gap"


def _named(exc: Exception) -> str:
    kind = type(exc)
    return kind.__name__ if isinstance(exc, openai.OpenAIError) else f"raw {kind.__module__}.{kind.__name__}"


def test_every_fault_has_a_row() -> None:
    assert sorted({re.split(r"\(", row.code)[0] for row in rows()}) == faults.names()


@pytest.mark.parametrize("row", [pytest.param(row, id=row.code) for row in rows()])
def test_the_sdk_does_what_the_table_says(server: MockServer, row: Row) -> None:
    found = [measured(server, row.step, stream=stream) for stream in (False, True)]
    acts_on = faults.kinds()[row.code.partition("(")[0]].acts_on
    assert (row.plain, row.streamed) == ("·" if acts_on == "stream" else found[0], found[1])
