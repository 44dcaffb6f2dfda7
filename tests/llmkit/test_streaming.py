"""Frames and events, wherever the network cuts the bytes. Row 3.T4."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit import LLMError, MalformedResponse, StreamTruncated
from llmkit.streaming import ChatReader, Frame, FrameDecoder

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n"))


@st.composite
def cut(draw: st.DrawFn, data: bytes) -> list[bytes]:
    """`data` in pieces, cut anywhere."""
    places = sorted(draw(st.lists(st.integers(0, len(data)), max_size=8)))
    return [data[start:end] for start, end in zip([0, *places], [*places, len(data)], strict=True)]


def frames_of(pieces: list[bytes]) -> list[Frame]:
    decoder = FrameDecoder()
    return [frame for piece in pieces for frame in decoder.feed(piece)]


@given(st.data(), st.lists(texts.filter(bool), max_size=4), st.sampled_from(["\n", "\r\n", "\r"]))
def test_frames_are_the_same_however_they_are_cut(data: st.DataObject, texts: list[str], newline: str) -> None:
    """Also amid a character, amid \\r\\n, and with characters that other decoders take for line ends."""
    sent = "".join(f": comment{newline}data: {text}{newline}{newline}" for text in texts)
    pieces = data.draw(cut((sent + newline).encode()))
    assert frames_of(pieces)[: len(texts)] == [Frame(text) for text in texts]


@pytest.mark.parametrize(
    ("sent", "frames"),
    [
        (b"data: a\ndata: b\n\n", [Frame("a\nb")]),
        (b"event: error\ndata:a\n\ndata: b\n\n", [Frame("a", "error"), Frame("b")]),
        (b"id: 7\nretry: 5\n\n", []),
        (b": keep-alive\n\n", []),
        (b"\xef\xbb\xbfdata: a\n\n", [Frame("a")]),
        (b"data: a", []),
        ("data: a\u2028b\x85c\n\n".encode(), [Frame("a\u2028b\x85c")]),
    ],
)
def test_frames_follow_the_standard(sent: bytes, frames: list[Frame]) -> None:
    assert frames_of([sent]) == frames


def chunk(text: str | None = None, finish: str | None = None) -> bytes:
    delta = {} if text is None else {"content": text}
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return f"data: {json.dumps({'choices': [choice]}, ensure_ascii=False)}\n\n".encode()


def read(pieces: list[bytes]) -> tuple[str, ChatReader, LLMError | None]:
    """The text of all events, the reader, and the error that came after them."""
    reader, handed_out = ChatReader(), ""
    try:
        for piece in pieces:
            handed_out += "".join(event.text for event in reader.feed(piece))
        while not reader.done:
            handed_out += "".join(event.text for event in reader.end())
    except LLMError as error:
        return handed_out, reader, error
    return handed_out, reader, None


@given(st.data(), st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1), st.booleans())
def test_events_add_up_to_the_reply_however_they_are_cut(data: st.DataObject, texts: list[str], done: bool) -> None:
    sent = b"".join(chunk(text) for text in texts) + chunk(finish="stop") + (b"data: [DONE]\n\n" if done else b"")
    handed_out, reader, error = read(data.draw(cut(sent)))
    assert error is None
    assert handed_out == reader.text == reader.completion().text == "".join(texts)


@given(st.data(), st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1), st.integers(1, 200))
def test_a_stream_cut_short_is_never_complete(data: st.DataObject, texts: list[str], missing: int) -> None:
    """Whatever the last byte: the text handed out is the partial text, and the error says that it is not all."""
    sent = b"".join(chunk(text) for text in texts) + chunk(finish="stop")
    sent = sent[: max(0, len(sent) - 3 - missing)]
    handed_out, reader, error = read(data.draw(cut(sent)))
    assert isinstance(error, StreamTruncated)
    assert not reader.finished
    assert handed_out == reader.text
    assert "".join(texts).startswith(handed_out)


@given(st.data(), st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_text_before_an_error_is_handed_out_however_it_is_cut(data: st.DataObject, text: str) -> None:
    handed_out, reader, error = read(data.draw(cut(chunk(text) + b"data: {nonsense\n\n" + chunk("more"))))
    assert isinstance(error, MalformedResponse)
    assert handed_out == reader.text == text


def test_a_last_frame_without_its_blank_line_counts() -> None:
    handed_out, reader, error = read([chunk("Hi") + chunk(finish="stop").rstrip()])
    assert (handed_out, error, reader.completion().complete) == ("Hi", None, True)


def test_frames_after_done_do_not_count() -> None:
    handed_out, _, _ = read([chunk("Hi") + chunk(finish="stop") + b"data: [DONE]\n\n" + chunk("?")])
    assert handed_out == "Hi"


def test_silence_and_emptiness_differ() -> None:
    """An empty text is an answer; no text at all is none."""
    assert read([chunk("") + chunk(finish="stop")])[1].completion().text == ""
    with pytest.raises(MalformedResponse):
        read([chunk(finish="stop")])[1].completion()
