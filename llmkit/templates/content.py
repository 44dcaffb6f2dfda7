"""What a message can hold besides text: images, and whatever else the API documents as a part.

Shapes: https://platform.openai.com/docs/api-reference/chat/create#chat-create-messages
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from llmkit.errors import TemplateInvalid, excerpt

_MAGIC = {b"\x89PNG\r\n\x1a\n": "png", b"\xff\xd8\xff": "jpeg", b"GIF87a": "gif", b"GIF89a": "gif"}
_DETAILS = ("auto", "low", "high", "original")


@dataclass(frozen=True, slots=True, repr=False)
class Image:
    """An image by its address: `https://…`, or its bytes as `data:image/…;base64,…`.

    `detail` is how closely the model looks: auto, low, high or original. Raises TemplateInvalid for other addresses.
    """

    url: str
    detail: str | None = None

    def __post_init__(self) -> None:
        if not str(self.url).startswith(("https://", "http://", "data:image/")):
            raise TemplateInvalid(
                f"An image is at {excerpt(self.url)}: that has to begin with https:// or data:image/; "
                "Image.from_file(path) reads a file"
            )
        if self.detail is not None and self.detail not in _DETAILS:
            raise TemplateInvalid(f"detail = {self.detail!r} of an image: it has to be one of {', '.join(_DETAILS)}")

    @classmethod
    def from_file(cls, path: str | PathLike[str], *, detail: str | None = None) -> "Image":
        """The image in a PNG, JPEG, GIF or WebP file, told by its first bytes; raises OSError, TemplateInvalid."""
        return cls.from_bytes(Path(path).read_bytes(), detail=detail, name=str(path))

    @classmethod
    def from_bytes(cls, data: bytes, *, detail: str | None = None, name: str = "The image") -> "Image":
        """The image in the bytes of a PNG, JPEG, GIF or WebP file; `name` is for the message of TemplateInvalid."""
        kind = next((kind for magic, kind in _MAGIC.items() if data.startswith(magic)), None)
        if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            kind = "webp"
        if kind is None:
            raise TemplateInvalid(f"{name} is neither PNG, JPEG, GIF nor WebP: it begins with {data[:8]!r}")
        return cls(f"data:image/{kind};base64,{base64.b64encode(data).decode()}", detail)

    def part(self) -> dict[str, Any]:
        """The image as a part of a message."""
        return {"type": "image_url", "image_url": {"url": self.url} | ({"detail": self.detail} if self.detail else {})}

    def __repr__(self) -> str:
        return f"Image({excerpt(self.url, limit=60)}" + (f", detail={self.detail!r})" if self.detail else ")")


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a message as the API documents it, such as `{"type": "file", "file": {"file_id": "…"}}`."""

    payload: Mapping[str, Any]

    def __post_init__(self) -> None:
        kind = self.payload.get("type")
        if not (isinstance(kind, str) and kind):
            raise TemplateInvalid(f"A part of a message has no type: {excerpt(self.payload)}; give {{'type': …, …}}")

    def part(self) -> dict[str, Any]:
        """The part, as a new dict."""
        return dict(self.payload)
