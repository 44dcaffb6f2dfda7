"""What is written is read back the same, by libyaml and by PyYAML's own loader."""

from __future__ import annotations

import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from llmkit.recording.cassette.yaml_writer import Writer, block, dump, scalar
from llmkit.recording.interaction import Interaction, Request, Response

LOADERS = [yaml.SafeLoader, getattr(yaml, "CSafeLoader", yaml.SafeLoader)]
HOSTILE = " \n\t-#:'\"|>a1{}[],&*!%@`?~=.yn\x85\u2028é😀\r\x00\x7f\ufeff"
LOOKALIKES = [
    "true",
    "No",
    "1.5",
    "1_000",
    "0x1f",
    "2001-01-01",
    "12:30:45",
    ".inf",
    "=",
    "<<",
    "~",
    "null",
    "- a",
    "a: b",
]
TEXTS = st.text(max_size=30) | st.text(alphabet=HOSTILE, max_size=12) | st.sampled_from(LOOKALIKES)


@given(text=TEXTS, value=TEXTS)
def test_any_text_is_read_back_as_it_was(text: str, value: str) -> None:
    response = Response(status=200, reason=text, headers={"x": [value, text]}, body=value.encode())
    [written] = [block(Interaction(request=Request(method="GET", uri="/"), response=response))]
    for loader in LOADERS:
        [found] = yaml.load(written, Loader=loader)
        assert found["response"]["status"]["message"] == text
        assert found["response"]["headers"]["x"] == [value, text]
        if found["response"]["body"].get("spelling") is None:
            assert found["response"]["body"]["string"] == value


@given(text=TEXTS)
def test_any_text_can_be_a_block_at_any_depth(text: str) -> None:
    for loader in LOADERS:
        assert yaml.load(f"- a:\n    b: {scalar(text, indent=6)}\n    c: d\n", Loader=loader) == [
            {"a": {"b": text, "c": "d"}}
        ]


@pytest.mark.parametrize("text", ["application/json", "text/event-stream; charset=utf-8", "max-age=31536000; preload"])
def test_an_ordinary_header_stands_without_quotes(text: str) -> None:
    request = Request(method="GET", uri="/", headers={"x": [text]})
    assert f"      x: [{text}]\n" in block(Interaction(request=request, response=Response(status=200)))


def test_what_arrived_when_fills_its_lines_and_is_read_back() -> None:
    chunks = tuple((number * 50, 10) for number in range(100))
    response = Response(status=200, body=b"012345678\n" * 100, headers_ms=12, chunks=chunks)
    written = block(Interaction(request=Request(method="GET", uri="/"), response=response))
    assert max(map(len, written.splitlines())) <= 110
    assert len([line for line in written.splitlines() if line.startswith("      [") and len(line) > 90]) > 5
    [found] = yaml.safe_load(written)
    assert found["response"]["headers_ms"] == 12
    assert found["response"]["chunks"] == [list(chunk) for chunk in chunks]


def test_a_writer_shows_an_interaction_once_and_writes_what_dump_writes() -> None:
    one, two = (
        Interaction(
            request=Request(method="POST", uri="/", body=json.dumps({"n": n}).encode()), response=Response(status=200)
        )
        for n in (1, 2)
    )
    writer = Writer()
    assert writer.dump([one]) == dump([one])
    assert writer.dump([one, two]) == dump([one, two])
    assert writer.dump([two]) == dump([two])
    assert writer.dump([]) == dump([])
