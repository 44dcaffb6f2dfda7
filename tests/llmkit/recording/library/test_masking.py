"""What is said about cassettes holds no secret."""

from __future__ import annotations

import pytest

from llmkit.recording.library.masking import masked
from tests.llmkit.recording.samples import KEY

RANDOM = "Zk3v9Q1xLw7TzB2mN8cR4yH6"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", ""),
        ("cassettes/tests/test_app/test_a[Ada]-c6d86574.yaml", "cassettes/tests/test_app/test_a[Ada]-c6d86574.yaml"),
        (f"cassettes/test_a[{KEY}].yaml", "cassettes/test_a[…].yaml"),
        (f"invalid literal for int() with base 10: '{KEY}'", "invalid literal for int() with base 10: '…'"),
        (
            f"could not determine a constructor for the tag '!{KEY}'",
            "could not determine a constructor for the tag '!…'",
        ),
        (f"api_key={RANDOM} is no number", "api_key=… is no number"),
        (f"https://x/?api_key={RANDOM}&n=1", "https://x/?api_key=…&n=1"),
    ],
)
def test_what_looks_like_a_secret_is_left_out(text: str, told: str) -> None:
    assert masked(text) == told


@pytest.mark.parametrize("text", [rf"'\n{KEY}'", f"-----BEGIN PRIVATE KEY-----\n{RANDOM * 3}\n{RANDOM}", f"x%0A{KEY}"])
def test_what_stands_in_another_writing_is_left_out_too(text: str) -> None:
    assert RANDOM not in masked(text)
    assert KEY[8:] not in masked(text)


def test_a_secret_of_the_environment_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_API_KEY", "c4n4ry-s3cret-0123456789")

    assert masked("test_a[c4n4ry-s3cret-0123456789]") == "test_a[REDACTED]"
