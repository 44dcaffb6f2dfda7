"""Conditions, and why they do not match."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockserver.calls import Call
from mockserver.scripting.matching import Condition, at_path

CALL = Call(
    number=1,
    method="POST",
    path="/v1/chat/completions",
    surface="chat",
    dialect="openai",
    request_id="req_1",
    headers={"x-team": "red"},
    body={"stream": True, "n": 2, "messages": [{"role": "system"}, {"role": "user", "content": "hi"}]},
    deployment="prod",
    model="gpt-4o",
)


@pytest.mark.parametrize(
    "condition",
    [
        {},
        {"surface": "chat", "stream": True},
        {"path": "/v1/*", "model": "gpt-4?", "deployment": "prod"},
        {"header": {"X-Team": "red"}},
        {"body": {"messages[-1].content": "hi", "messages.0.role": "system", "n": 2.0}},
    ],
)
def test_what_is_as_wanted_matches(condition: dict[str, Any]) -> None:
    assert Condition(**condition).mismatch(CALL) == ""


@pytest.mark.parametrize(
    ("condition", "why"),
    [
        ({"surface": "embeddings"}, "surface is 'chat', not 'embeddings'"),
        ({"stream": False}, "stream is True, not False"),
        ({"path": "/openai/*"}, "path is '/v1/chat/completions', not '/openai/*'"),
        ({"deployment": "test"}, "deployment is 'prod', not 'test'"),
        ({"header": {"x-team": "blue"}}, "header 'x-team' is 'red', not 'blue'"),
        ({"header": {"x-none": "1"}}, "header 'x-none' is None, not '1'"),
        ({"body": {"n": 3}}, "n is 2, not 3"),
        ({"body": {"stream": 1}}, "stream is True, not 1"),
        ({"body": {"messages[9].role": "user"}}, "the body has no 'messages[9].role'"),
        ({"body": {"n.x": 1}}, "the body has no 'n.x'"),
    ],
)
def test_what_is_not_says_why(condition: dict[str, Any], why: str) -> None:
    assert Condition(**condition).mismatch(CALL) == why


@given(
    st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=3)),
        lambda inner: st.one_of(
            st.lists(inner, max_size=3), st.dictionaries(st.text("abc", min_size=1), inner, max_size=3)
        ),
    )
)
def test_every_value_is_found_at_its_own_path(value: Any) -> None:
    def paths(part: Any, path: str) -> list[tuple[str, Any]]:
        items = enumerate(part) if isinstance(part, list) else part.items() if isinstance(part, dict) else ()
        return [(path, part), *(found for key, inner in items for found in paths(inner, f"{path}.{key}"))]

    assert all(at_path({"root": value}, path) == part for path, part in paths(value, "root"))
