"""The error tree: what each class stands for, and that errors travel whole. Rows 4.I1 and 4.T2."""

from __future__ import annotations

import copy
import json
import pickle
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit import errors
from llmkit.errors import Attempt, LLMError, classify, from_api

TREE = [cls for cls in vars(errors).values() if isinstance(cls, type) and issubclass(cls, LLMError)]
MORE: dict[type[LLMError], dict[str, Any]] = {
    errors.TimedOut: {"limit_s": 3.0},
    errors.ContentFiltered: {"filters": {"violence": "high"}},
    errors.ParseFailed: {"text": "[1,", "position": 3, "path": "$[1]"},
    errors.TemplateInvalid: {"template": "greeting.md", "line": 4},
}


def full(cls: type[LLMError]) -> LLMError:
    """An error with every fact set."""
    facts = next((more for base, more in MORE.items() if issubclass(cls, base)), {})
    error = cls(
        "It went wrong.",
        status_code=429,
        code="c",
        type="t",
        param="p",
        request_id="req_1",
        attempts=(Attempt(status_code=500, error="ServerError", duration_s=0.1), Attempt(status_code=429, wait_s=0.5)),
        retry_after_s=1.5,
        should_retry=False,
        partial="Once upon",
        **facts,
    )
    error.add_note("llmkit gave up")
    return error


@pytest.mark.parametrize("cls", TREE)
@pytest.mark.parametrize("travel", [copy.copy, copy.deepcopy, lambda error: pickle.loads(pickle.dumps(error))])
def test_every_error_travels_whole(cls: type[LLMError], travel: Any) -> None:
    error = full(cls)
    arrived = travel(error)
    assert type(arrived) is cls
    assert (str(arrived), vars(arrived)) == (str(error), vars(error))


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    drawn = (errors.__doc__ or "").split("Every error")[0]
    for cls in TREE:
        (line,) = [line for line in drawn.splitlines() if re.search(rf"\b{cls.__name__}\b", line)]
        depth = len(cls.__mro__) - len(LLMError.__mro__)
        assert line.index(cls.__name__) == 4 + 4 * depth


def test_the_message_tells_the_facts() -> None:
    assert str(full(errors.RateLimited)) == (
        "It went wrong. (status 429, code 'c', param 'p', request 'req_1', 2 attempts)"
    )
    assert str(LLMError("It went wrong.")) == "It went wrong."


@pytest.mark.parametrize(
    ("status", "code", "kind", "expected"),
    [
        (400, None, "invalid_request_error", errors.InvalidRequest),
        (400, "model_not_found", None, errors.ModelNotFound),
        (404, "404", None, errors.NotFound),
        (404, "DeploymentNotFound", None, errors.DeploymentNotFound),
        (408, "Timeout", None, errors.ServerError),
        (413, None, None, errors.InvalidRequest),
        (429, "429", None, errors.RateLimited),
        (429, "rate_limit_exceeded", "insufficient_quota", errors.RateLimited),
        (500, None, "server_error", errors.ServerError),
        (503, None, None, errors.Overloaded),
        (None, "429", None, errors.RateLimited),
        (None, None, "server_error", errors.ServerError),
        (None, None, None, errors.ServerError),
        (None, "9" * 5000, None, errors.ServerError),
        (None, "٤٢٩", None, errors.ServerError),
        (None, "7", None, errors.ServerError),
    ],
)
def test_errors_are_told_apart_by_words_then_status(
    status: int | None, code: str | None, kind: str | None, expected: type[LLMError]
) -> None:
    assert classify(status_code=status, code=code, type=kind) is expected


def test_azures_inner_error_tells_a_content_filter() -> None:
    body = {"message": "Filtered.", "code": None, "innererror": {"code": "ResponsibleAIPolicyViolation"}}
    assert type(from_api(body, status_code=400)) is errors.ContentFiltered


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: (
            st.dictionaries(st.sampled_from(["code", "type", "param", "message", "innererror", "x"]), inner)
            | st.lists(inner)
        ),
    )
)
def test_any_error_object_becomes_an_error_with_a_message(body: Any) -> None:
    error = from_api(body, status_code=400)
    assert error.message
    assert pickle.loads(pickle.dumps(error)).message == error.message


def test_what_is_too_deep_to_be_shown_is_told_so() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    error = from_api({"code": deep, "x": deep}, status_code=400)
    assert "a dict that cannot be shown" in error.message
    assert "a list that cannot be shown" in str(error.code)


SHAPES = Path(__file__).parents[3] / "shared/data/error_shapes.jsonl"
EXPECTED = {
    400: errors.InvalidRequest | errors.ModelNotFound | errors.QuotaExceeded,
    401: errors.AuthenticationFailed,
    403: errors.PermissionDenied | errors.ModelNotFound,
    404: errors.NotFound,
    429: errors.RateLimited | errors.QuotaExceeded,
    500: errors.ServerError,
    503: errors.Overloaded,
}


@pytest.mark.skipif(not SHAPES.exists(), reason="needs ../shared/data, the recorded replies of OpenAI and Azure")
def test_recorded_errors_fall_where_their_status_says() -> None:
    for line in SHAPES.read_text(encoding="utf-8").splitlines():
        recorded = json.loads(line)
        body = recorded["body"]
        error = from_api(body.get("error", body) if isinstance(body, dict) else body, status_code=recorded["status"])
        assert isinstance(error, EXPECTED.get(recorded["status"], LLMError)), line[:300]
        assert error.message
