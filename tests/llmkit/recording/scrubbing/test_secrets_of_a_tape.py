"""What a tape writes of the secrets that it meets: in files, in the index, in the names of tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmkit.recording.cassette import vcr_format
from llmkit.recording.interaction import Interaction, Request, Response
from llmkit.recording.manner import Manner
from llmkit.recording.naming import file_name, may_be_of
from llmkit.recording.tape import Tape

CANARY = "canary-7f3a9b1c2d"


def record(tape: Tape, prompt: str, reply: str) -> None:
    asked = tape.ask(Request(method="POST", uri="https://api.openai.com/v1/x", headers={}, body=prompt.encode()))
    assert tape.play(asked) is None
    take = tape.take(asked)
    take.begin(200, "OK", {})
    take.add(reply.encode())
    take.finish()


def test_a_variable_that_is_set_after_the_tape_was_opened_goes_from_requests_and_replies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tape = Tape(tmp_path / "a.yaml", mode="new_episodes")
    monkeypatch.setenv("LATE_API_KEY", CANARY)
    record(tape, f"my key is {CANARY}", f"your key is {CANARY}")
    tape.save()
    assert CANARY not in (tmp_path / "a.yaml").read_text()
    assert [one.response.body for one in tape.interactions] == [b"your key is REDACTED"]


def test_a_short_password_of_the_environment_goes_from_replies_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tape = Tape(tmp_path / "a.yaml", mode="new_episodes")
    monkeypatch.setenv("DB_PASSWORD", "pw 1 x")
    record(tape, "a", "it is pw 1 x")
    assert [one.response.body for one in tape.interactions] == [b"it is REDACTED"]


def test_a_secret_goes_from_the_name_of_the_test(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_API_KEY", CANARY)
    tape = Tape(tmp_path / "a.yaml", mode="new_episodes", manner=Manner(test=f"test_a[{CANARY}]"))
    record(tape, "a", "b")
    assert [one.test for one in tape.interactions] == ["test_a[REDACTED]"]
    assert CANARY not in (tmp_path / "a.yaml").read_text()


@pytest.mark.parametrize("key", ["sk-proj-AbC123def456GHI789jkl0", "AKIAIOSFODNN7EXAMPLE", "ghp_AbC123def456GHI789jk"])
def test_a_key_goes_from_the_name_of_a_file(key: str) -> None:
    one, other = (file_name(f"test_a[{number}-{key}-x]") for number in "12")
    assert key not in one
    assert one.startswith("test_a[1-REDACTED")
    assert one != other
    assert may_be_of(one, "test_a")


@pytest.mark.parametrize("name", ["test_a[sk-learn-is-good-1]", "test_desk-1234567890abcdef", "test_a[sk-short1]"])
def test_other_names_of_files_stay(name: str) -> None:
    assert file_name(name) == name


@pytest.mark.parametrize("secret", [CANARY, "sk-proj-AbC123def456GHI789jkl0"])
def test_a_secret_of_another_recorders_cassette_is_not_copied_to_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, secret: str
) -> None:
    monkeypatch.setenv("LLMKIT_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("MY_API_KEY", CANARY)

    def load(text: str) -> tuple[bytes, int]:
        path = tmp_path / "a.yaml"
        request = Request(method="GET", uri="https://api.openai.com/v1/x")
        path.write_text(
            vcr_format.dump([Interaction(request=request, response=Response(status=200, body=text.encode()))])
        )
        (played,) = Tape(path).interactions
        cached = [one.read_bytes() for one in (tmp_path / "cache").rglob("*.json")]
        assert not any(secret.encode() in one for one in cached)
        return played.response.body, len(cached)

    assert load(f"it is {secret}") == (f"it is {secret}".encode(), 0)
    assert load("it is gone") == (b"it is gone", 1)
