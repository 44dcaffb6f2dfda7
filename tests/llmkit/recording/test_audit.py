"""Audit events reach who listens, and nobody else runs."""

from __future__ import annotations

import os
import subprocess
import sys
import weakref
from typing import TYPE_CHECKING, Any

import pytest

from llmkit.recording import audit

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

EVENT = "llmkit.tests.said"
THREADS_UNDER_A_TRACER = """
import sys, threading
from llmkit.recording import audit

def work():
    sum(range(20_000))

audit.listen("llmkit.tests.said", print)
sys.setswitchinterval(1e-6)
threading.settrace(lambda *_: None)
for _ in range(20):
    threads = [threading.Thread(target=work) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
"""


class Thing:
    """Something that can be seen to be gone."""


@pytest.fixture
def heard() -> Iterator[list[tuple[Any, ...]]]:
    """What is said while somebody listens."""
    heard: list[tuple[Any, ...]] = []
    audit.listen(EVENT, heard.append)
    yield heard
    audit.leave(EVENT, heard.append)


def test_who_listens_gets_the_arguments_until_it_leaves() -> None:
    heard: list[tuple[Any, ...]] = []
    listener = heard.append
    sys.audit(EVENT, "before")
    audit.listen(EVENT, listener)
    sys.audit(EVENT, "while", 7)
    audit.leave(EVENT, listener)
    sys.audit(EVENT, "after")
    assert heard == [("while", 7)]


def test_all_who_listen_are_told_in_turn(heard: list[tuple[Any, ...]]) -> None:
    audit.listen(EVENT, heard.append)
    try:
        sys.audit(EVENT, 1)
    finally:
        audit.leave(EVENT, heard.append)
    sys.audit(EVENT, 2)
    assert heard == [(1,), (1,), (2,)]


def test_what_a_listener_raises_ends_what_was_about_to_be_done(tmp_path: Any) -> None:
    def refuse(args: tuple[Any, ...]) -> None:
        if args[0] == str(tmp_path / "new"):
            raise ConnectionRefusedError("not this one")

    audit.listen("open", refuse)
    try:
        with pytest.raises(ConnectionRefusedError, match="not this one"):
            (tmp_path / "new").write_text("")
    finally:
        audit.leave("open", refuse)
    assert not (tmp_path / "new").exists()


def test_what_nobody_listens_to_runs_no_python_code(heard: list[tuple[Any, ...]]) -> None:
    called: list[str] = []

    def profile(frame: FrameType, event: str, _: object) -> None:
        if event == "call":
            called.append(frame.f_code.co_name)

    sys.setprofile(profile)
    try:
        sys.audit("sys.settrace")
        sys.audit("llmkit.tests.never.said", 7)
    finally:
        sys.setprofile(None)
    assert called == []
    assert heard == []


@pytest.mark.parametrize("event", ["builtins.id", "exec", "gc.get_referrers", "sys._getframe", "sys.excepthook"])
def test_nothing_that_lives_is_kept(event: str, heard: list[tuple[Any, ...]]) -> None:
    thing = Thing()
    gone = weakref.ref(thing)
    sys.audit(event, thing)
    del thing
    assert gone() is None


def test_what_an_unknown_event_carries_is_kept_until_something_is_heard(heard: list[tuple[Any, ...]]) -> None:
    thing = Thing()
    gone = weakref.ref(thing)
    sys.audit("llmkit.tests.unknown", thing)
    del thing
    sys.audit(EVENT)
    assert gone() is None


def test_threads_that_begin_under_a_tracer_all_live() -> None:
    """CPython 3.11 ends some where a hook is written in Python."""
    unmeasured = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    ran = subprocess.run(
        [sys.executable, "-c", THREADS_UNDER_A_TRACER], capture_output=True, text=True, timeout=60, env=unmeasured
    )
    assert (ran.stderr, ran.returncode) == ("", 0)
