from __future__ import annotations

import pytest

from examples.ticket_triage.triage import triage


@pytest.mark.parametrize(
    ("ticket", "category"),
    [
        ("There is an outage: our whole site has been down for an hour and customers are leaving!", "outage"),
        ("A billing question: why does my June invoice list two servers? I have one.", "billing"),
    ],
    ids=["outage", "billing"],
)
def test_a_ticket_goes_to_the_right_team(ticket: str, category: str) -> None:
    answer = triage(ticket)
    assert answer.category == category
    assert answer.next_step
