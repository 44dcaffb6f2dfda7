"""Multipart forms, as clients write them."""

import asyncio
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockserver.forms import Form, is_form, parse_form

_NAMES = st.text("abcdefghijklmnopqrstuvwxyz_", min_size=1, max_size=12)
_TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\r"), max_size=40)


def _parsed(*, data: dict[str, Any] | None = None, files: Any = None) -> Form:
    """What the server makes of a form that httpx writes."""
    request = httpx.Request("POST", "http://x", data=data or {}, files=files or {"file": ("f", b"")})
    return asyncio.run(parse_form(request.read(), request.headers["content-type"]))


@given(fields=st.dictionaries(_NAMES, _TEXTS, max_size=4), content=st.binary(max_size=200))
def test_every_field_and_every_byte_arrives(fields: dict[str, str], content: bytes) -> None:
    form = _parsed(data=fields, files={"file": ("a.bin", content, "image/png")})
    assert form.fields == fields
    (upload,) = form.files["file"]
    assert (upload.filename, upload.content_type, upload.content) == ("a.bin", "image/png", content)


def test_brackets_make_lists_and_objects() -> None:
    form = _parsed(data={"include[]": ["a", "b"], "expires_after[anchor]": "created_at", "expires_after[seconds]": "9"})
    assert form.fields == {"include": ["a", "b"], "expires_after": {"anchor": "created_at", "seconds": "9"}}


def test_several_files_of_a_name_keep_their_order() -> None:
    form = _parsed(files=[("image[]", ("1.png", b"1")), ("image[]", ("2.png", b"2"))])
    assert [upload.content for upload in form.files["image"]] == [b"1", b"2"]


def test_a_file_of_megabytes_arrives_whole() -> None:
    content = bytes(range(256)) * 20_000
    assert _parsed(files={"file": ("big", content)}).files["file"][0].content == content


@pytest.mark.parametrize("names", [("a", "a[]"), ("a", "a[b]"), ("a[]", "a[b]"), ("a[b]", "a[]")])
def test_names_that_contradict_each_other_break_nothing(names: tuple[str, str]) -> None:
    assert set(_parsed(data=dict.fromkeys(names, "x")).fields) == {"a"}


@pytest.mark.parametrize(
    ("raw", "content_type"),
    [
        (b"", "multipart/form-data"),
        (b"", "multipart/form-data; boundary=x"),
        (b"nonsense", "multipart/form-data; boundary=x"),
        (
            b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n\xff\r\n--x--\r\n',
            "multipart/form-data; boundary=x",
        ),
        (
            b"--x\r\nContent-Type: multipart/mixed; boundary=y\r\n\r\n--y--\r\n--x--\r\n",
            "multipart/form-data; boundary=x",
        ),
    ],
)
def test_what_is_no_form_is_a_value_error(raw: bytes, content_type: str) -> None:
    assert is_form(content_type)
    with pytest.raises(ValueError, match=r"."):
        asyncio.run(parse_form(raw, content_type))


@given(raw=st.binary(max_size=300))
def test_any_bytes_are_a_form_or_a_value_error(raw: bytes) -> None:
    try:
        form = asyncio.run(parse_form(b"--x\r\n" + raw, "multipart/form-data; boundary=x"))
    except ValueError:
        return
    assert isinstance(form, Form)
