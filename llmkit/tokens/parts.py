"""Parts of a message that are no text: images by model, size and detail; of files and sounds only their size is known.

https://platform.openai.com/docs/guides/images-vision, except where billed usage contradicts it (gpt-5-mini and
gpt-5-nano, https://community.openai.com/t/1344040).
"""

import binascii
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from llmkit.models import ModelSpec
from llmkit.tokens.counts import TokenCount
from llmkit.tokens.schemas import spelt

_ANY_IMAGE = (2, 3780)  # fewest and most tokens of one image on any model but gpt-4o-mini
_AROUND = 4  # tokens that a picture was sometimes billed more or less, for what reason ever
_ELSEWHERE = 1000  # tokens, give or take as many, of a file that the API reads from elsewhere
_HEAD = 400_000  # letters of base64 in which an image says its size


@dataclass(frozen=True, slots=True)
class Tiles:
    """So much for an image, and so much for each 512 by 512 pixels of it, after it was made smaller."""

    base: int
    tile: int

    def tokens(self, width: int, height: int) -> TokenCount:
        """What an image of so many pixels costs in full detail."""
        scale = min(1.0, 2048 / max(width, height))
        scale *= min(1.0, 768 / (min(width, height) * scale))
        tiles = math.ceil(round(width * scale, 3) / 512) * math.ceil(round(height * scale, 3) / 512)
        return TokenCount(self.base + self.tile * tiles, _AROUND)


@dataclass(frozen=True, slots=True)
class Patches:
    """So much for each 32 by 32 pixels of an image, after it was made smaller to `most` of these."""

    price: float
    most: int = 1536

    def tokens(self, width: int, height: int) -> TokenCount:
        """What an image of so many pixels costs in full detail; one of many patches is about as dear as the most."""
        patches = math.ceil(width / 32) * math.ceil(height / 32)
        if patches <= self.most:
            return TokenCount(self._billed(patches), _AROUND)
        shrink = math.sqrt(32 * 32 * self.most / (width * height))
        wide, high = width * shrink / 32, height * shrink / 32
        shrink *= min(math.floor(wide) / wide, math.floor(high) / high) if min(wide, high) >= 1 else 1.0
        fitting = math.ceil(round(width * shrink / 32, 3)) * math.ceil(round(height * shrink / 32, 3))
        return TokenCount(self._billed(min(fitting, self.most)), 64)

    def _billed(self, patches: int) -> int:
        return math.ceil(round(patches * self.price, 6)) + 1


_PRICES: dict[str, Tiles | Patches] = {
    "gpt-4o-mini": Tiles(2833, 5667),
    "gpt-4o": Tiles(85, 170),
    "gpt-4.1": Tiles(85, 170),
    "gpt-4.1-mini": Patches(1.62),
    "gpt-4.1-nano": Patches(2.46),
    "gpt-4.5": Tiles(85, 170),
    "gpt-4-turbo": Tiles(85, 170),
    "gpt-4-1106-vision": Tiles(85, 170),
    "gpt-4-vision": Tiles(85, 170),
    "o1": Tiles(75, 150),
    "o3": Tiles(75, 150),
    "o4-mini": Patches(1.72),
    "gpt-5": Tiles(70, 140),
    "gpt-5.1": Tiles(70, 140),
    "gpt-5-mini": Patches(1.2),
    "gpt-5-nano": Patches(1.5),
    "gpt-5.2": Patches(1.2),
    "gpt-5.4": Patches(1.2),
    "gpt-5.5": Patches(1.2),
    "gpt-5.6": Patches(1.2),
}


def count_part(part: Mapping[str, Any], spec: ModelSpec) -> TokenCount:
    """What a part of a message costs. An image that lies elsewhere is between the model's cheapest and dearest."""
    if part.get("type") not in ("image_url", "input_image"):
        half = len(spelt(part)) // 4
        elsewhere = _ELSEWHERE if "file_url" in part or "file_id" in part else 0
        return TokenCount(half + elsewhere, half + elsewhere)
    image = part.get("image_url")
    within = image if isinstance(image, Mapping) else {"url": image, "detail": part.get("detail")}
    price, low = _price_of(spec.name), within.get("detail") == "low"
    if isinstance(price, Tiles) and low:
        return TokenCount(price.base, _AROUND)
    size = size_of(str(within.get("url") or ""))
    if price and size and not low:
        return price.tokens(*size)
    least, most = spec.image_tokens or _ANY_IMAGE
    return TokenCount((least + most) // 2, (most - least + 1) // 2)


def size_of(url: str) -> tuple[int, int] | None:
    """The width and height in pixels of an image in a `data:` URL; None for any other, or where it does not say."""
    head, comma, payload = url.partition(";base64,")
    if not (head.startswith("data:") and comma):
        return None
    payload = payload[:_HEAD]
    try:
        data = binascii.a2b_base64(payload[: len(payload) // 4 * 4])
    except binascii.Error:
        return None
    try:
        size = _size(data)
    except struct.error:  # it ends within its head
        return None
    return size if size and min(size) > 0 else None


def _size(data: bytes) -> tuple[int, int] | None:
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        width, height = struct.unpack_from(">II", data, 16)
        return width, height
    if data.startswith((b"GIF87a", b"GIF89a")):
        width, height = struct.unpack_from("<HH", data, 6)
        return width, height
    if data.startswith(b"\xff\xd8"):
        return _jpeg_size(data)
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return _webp_size(data)
    return None


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    """From the frame header, https://www.w3.org/Graphics/JPEG/itu-t81.pdf, table B.1."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker, size = struct.unpack_from(">BH", data, at + 1)
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", data, at + 5)
            return width, height
        at += 1 if marker == 0xFF else 2 + size
    return None


def _webp_size(data: bytes) -> tuple[int, int] | None:
    """Of any of its three kinds, https://developers.google.com/speed/webp/docs/riff_container."""
    kind = data[12:16]
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8X":
        wide, high = data[24:27], data[27:30]
        return int.from_bytes(wide, "little") + 1, int.from_bytes(high, "little") + 1
    return None


@lru_cache(maxsize=256)
def _price_of(name: str) -> Tiles | Patches | None:
    fitting = [known for known in _PRICES if name == known or name.startswith((f"{known}-", f"{known}."))]
    return _PRICES[max(fitting, key=len)] if fitting else None
