"""No silent wrong answer, no untyped exception, no wait past the deadline: the llmkit columns of docs/fault-matrix.md.

Each of the 25 faults meets the blocking and the awaiting client, each at a server of its own, and the tests look at
what came of it. The page's other columns are measured by `make matrix`. Rows 3.T6 and 4.T5.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest

from mockserver import MockServer
from tests.matrix.clients import asking
from tests.matrix.clients.llmkit_async import AsyncLLMKit
from tests.matrix.clients.llmkit_sync import LLMKit, is_own
from tests.matrix.faults import CONTROL, FAULTS, STREAMED_CONTROL, Fault, steps
from tests.matrix.judging import Cell, judged
from tests.matrix.page import PAGE, outcome

CLIENTS: Mapping[str, Any] = {"llmkit": LLMKit, "llmkit, async": AsyncLLMKit}
SHORT_S = 0.4  # where only the deadline ends the call
LONG_S = 20.0  # where the call ends by itself, and a slow machine must not end it sooner
OVERSHOOT_S = 2.0
MAX_ATTEMPTS = 2


@dataclass(frozen=True)
class Met:
    """What each client made of a fault, and the deadline that it had."""

    fault: Fault
    cells: Mapping[str, Cell]
    deadline_s: float


@pytest.fixture(scope="module")
def servers() -> Iterator[Mapping[str, MockServer]]:
    """One for each client, each asked once: what is measured is no first import."""
    with ExitStack() as stack:
        running = {name: stack.enter_context(MockServer(seed=1)) for name in CLIENTS}
        meeting(CONTROL, running)
        yield running


@pytest.fixture(scope="module", params=FAULTS, ids=lambda fault: fault.name)
def met(request: pytest.FixtureRequest, servers: Mapping[str, MockServer]) -> Met:
    return meeting(request.param, servers)


def meeting(fault: Fault, servers: Mapping[str, MockServer]) -> Met:
    deadline_s = SHORT_S if fault.waits else LONG_S
    with ThreadPoolExecutor(len(CLIENTS)) as pool:
        futures = {name: pool.submit(cell, name, fault, servers[name], deadline_s) for name in CLIENTS}
        return Met(fault, {name: future.result() for name, future in futures.items()}, deadline_s)


def cell(name: str, fault: Fault, server: MockServer, deadline_s: float) -> Cell:
    server.reset()
    server.script(steps(fault))
    client = CLIENTS[name](server.url + fault.path, deadline_s=deadline_s, max_attempts=MAX_ATTEMPTS)
    adapter = asking.Adapter(make=CLIENTS[name], distribution="llmkit", is_own=is_own)
    said = asking.outcome(adapter, client, stream=fault.stream)
    return judged(said, fault, requests=len(server.journal))


def test_there_are_25_faults() -> None:
    assert len({fault.name for fault in FAULTS}) == 25


@pytest.mark.parametrize("fault", [CONTROL, STREAMED_CONTROL], ids=lambda fault: fault.name)
def test_without_a_fault_the_reply_is_right(fault: Fault, servers: Mapping[str, MockServer]) -> None:
    assert {cell.kind for cell in meeting(fault, servers).cells.values()} == {"right"}


def test_nothing_is_silently_wrong(met: Met) -> None:
    assert {name: cell for name, cell in met.cells.items() if cell.kind in ("silent", "told")} == {}


def test_every_exception_is_an_llm_error(met: Met) -> None:
    """Rows 3.T6, 4.T5 and 5.T4."""
    assert {name: cell for name, cell in met.cells.items() if cell.kind == "untyped"} == {}


def test_no_call_waits_past_its_deadline(met: Met) -> None:
    """Row 4.T6."""
    longest_s = met.deadline_s + OVERSHOOT_S
    assert {name: cell for name, cell in met.cells.items() if cell.seconds > longest_s} == {}


def test_blocking_and_awaiting_end_alike(met: Met) -> None:
    ends = {(cell.kind, cell.says, cell.requests) for cell in met.cells.values()}
    assert len(ends) == 1, met.cells


def test_no_call_makes_more_requests_than_it_may(met: Met) -> None:
    """Row 4.T6."""
    assert {name: cell for name, cell in met.cells.items() if not 1 <= cell.requests <= MAX_ATTEMPTS} == {}


def test_the_page_says_what_came_of_it(met: Met) -> None:
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    (line,) = [line for line in lines if line.startswith(f"| {met.fault.name} | ") and line.count(" | ") > 2]
    told = dict(zip(CLIENTS, line.strip("| ").split(" | ")[1:], strict=False))
    for name, cell in met.cells.items():
        assert told[name].startswith(f"{outcome(cell)}, "), f"{name}; run `make matrix` if this is right now"
