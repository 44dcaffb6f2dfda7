"""The errors of replay cross processes, and pytest's short summary has room for what they say."""

from __future__ import annotations

import pickle

import pytest

from llmkit._pytest import failures
from tests.llmkit.pytest_plugin.conftest import Project


@pytest.mark.parametrize("name", ["CassetteMiss", "CassetteMissInPool", "NetworkSealed", "BudgetReached"])
def test_an_error_of_replay_comes_back_from_another_process(name: str) -> None:
    kind = getattr(failures, name)
    again = pickle.loads(pickle.dumps(kind("no recording")))
    assert (type(again), str(again)) == (kind, "no recording")


def test_the_short_summary_has_room_for_the_message_of_a_miss(project: Project) -> None:
    project.write(test_it="from app import ask\ndef test_one(): ask()\n")
    project.run().stdout.fnmatch_lines(["FAILED test_it.py::test_one - llmkit.CassetteMiss: no recording of this *"])
