"""Pictures that show nothing in particular: a mosaic of colours that depends on the dice, as PNG, JPEG or WebP.

Written from the formats' specifications, without a library: PNG (https://www.w3.org/TR/png-3/) with a palette, baseline
JPEG (ITU-T T.81) whose blocks have nothing but their mean, and WebP (RFC 9649, lossless), there in one colour only.
"""

import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from mockserver.generating.dice import Dice

_CELLS = 8  # a side
_COLOURS = 16
_MEDIA = {"jpeg": "image/jpeg", "webp": "image/webp"}

Colour = tuple[int, int, int]


class Size(NamedTuple):
    """Pixels."""

    width: int
    height: int


def size_of(text: str) -> Size:
    """`1024x1536` as a size; ValueError for what is none, or is larger than pictures are."""
    width, _, height = text.partition("x")
    size = Size(int(width), int(height))
    if not (0 < size.width <= 4096 and 0 < size.height <= 4096):
        raise ValueError(f"{text!r} is no size of a picture")
    return size


def media_type(encoding: str) -> str:
    """The content type of `png`, `jpeg` or `webp`; what is none of them is made as PNG."""
    return _MEDIA.get(encoding, "image/png")


def picture(dice: Dice, size: Size, *, encoding: str = "png", transparent: bool = False) -> bytes:
    """The whole file: `png`, `jpeg` or `webp`, of this size; `transparent` pictures have holes, except as JPEG."""
    colours = [(dice.randrange(256), dice.randrange(256), dice.randrange(256)) for _ in range(_COLOURS)]
    cells = [[dice.randrange(_COLOURS) for _ in range(_CELLS)] for _ in range(_CELLS)]
    if encoding == "jpeg":
        return _jpeg(size, [[colours[cell] for cell in row] for row in cells])
    if encoding == "webp":
        return _webp(size, colours[0], alpha=0x80 if transparent else 0xFF)
    return _png(size, colours, cells, transparent=transparent)


def dimensions(data: bytes) -> Size | None:
    """The size that the head of a PNG tells; None of anything else."""
    if not data.startswith(b"\x89PNG\r\n\x1a\n") or len(data) < 26:
        return None
    return Size(*struct.unpack(">II", data[16:24]))


def kind_of(data: bytes) -> str:
    """`png`, `jpeg` or `webp` by the first bytes; empty if it is none of them."""
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if data.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    return "webp" if data[:4] == b"RIFF" and data[8:12] == b"WEBP" else ""


def has_no_alpha(data: bytes) -> bool:
    """Whether it is a PNG of colours without transparency."""
    return kind_of(data) == "png" and data[25:26] == b"\x02" and b"tRNS" not in data[:256]


def _png(size: Size, colours: Sequence[Colour], cells: Sequence[Sequence[int]], *, transparent: bool) -> bytes:
    """Four bits a pixel: rows of a cell are alike, which is all the compression that is needed."""
    rows = [b"\0" + _packed(_spread(row, size.width)) for row in cells]
    body = b"".join(row * count for row, count in zip(rows, _shares(size.height), strict=True))
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", *size, 4, 3, 0, 0, 0)),
        (b"PLTE", b"".join(map(bytes, colours))),
        *([(b"tRNS", bytes([0, 0, 0, 0]))] if transparent else []),
        (b"IDAT", zlib.compress(body, 6)),
        (b"IEND", b""),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, data) for name, data in chunks)


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def _shares(length: int) -> list[int]:
    """How many pixels each cell of a side gets."""
    return [length * (index + 1) // _CELLS - length * index // _CELLS for index in range(_CELLS)]


def _spread(row: Iterable[int], width: int) -> list[int]:
    return [cell for cell, count in zip(row, _shares(width), strict=True) for _ in range(count)]


def _packed(pixels: list[int]) -> bytes:
    padded = [*pixels, 0] if len(pixels) % 2 else pixels
    return bytes(high << 4 | low for high, low in zip(padded[::2], padded[1::2], strict=True))


# JPEG: one table of steps (all 8, so that a mean is stored as it is), one code for means and one for "nothing more"
_STEPS = b"\xff\xdb\x00\x43\x00" + bytes([8] * 64)
_MEANS = bytes([0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0])  # how many codes there are of each length
_CODES = ("00", "010", "011", "100", "101", "110", "1110", "11110", "111110", "1111110", "11111110", "111111110")
_TABLES = (
    b"\xff\xc4\x00\x1f\x00" + _MEANS + bytes(range(12)) + b"\xff\xc4\x00\x14\x10" + bytes([1] + [0] * 15) + b"\x00"
)
_NOTHING_MORE = "0"


def _jpeg(size: Size, cells: Sequence[Sequence[Colour]]) -> bytes:
    head = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00" + _STEPS
    frame = b"\xff\xc0\x00\x11\x08" + struct.pack(">HH", size.height, size.width)
    frame += b"\x03\x01\x11\x00\x02\x11\x00\x03\x11\x00"
    scan = b"\xff\xda\x00\x0c\x03\x01\x00\x02\x00\x03\x00\x00\x3f\x00"
    bits = "".join(_scan(Size(-(-size.width // 8), -(-size.height // 8)), cells))
    bits += "1" * (-len(bits) % 8)
    data = int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\x00")
    return head + frame + _TABLES + scan + data + b"\xff\xd9"


def _scan(blocks: Size, cells: Sequence[Sequence[Colour]]) -> Iterator[str]:
    """The bits of every block of 8x8 pixels: the first of a cell steps to its colour, the others stay there."""
    before = (0, 0, 0)
    stay = "".join(_step(0) for _ in range(3))
    for row, height in zip(cells, _shares(blocks.height), strict=True):
        for _ in range(height):
            for colour, width in zip(row, _shares(blocks.width), strict=True):
                if not width:
                    continue
                here = _brightness(colour)
                yield "".join(_step(now - then) for now, then in zip(here, before, strict=True))
                yield stay * (width - 1)
                before = here


def _brightness(colour: Colour) -> Colour:
    """Luminance and the two differences of colour, each around 0 (ITU-T T.871)."""
    red, green, blue = colour
    luminance = 0.299 * red + 0.587 * green + 0.114 * blue
    return round(luminance - 128), round((blue - luminance) / 1.772), round((red - luminance) / 1.402)


def _step(difference: int) -> str:
    """A difference of means: the code of its length, its bits (those of a negative one turned over), nothing more."""
    length = abs(difference).bit_length()
    value = difference if difference > 0 else difference + (1 << length) - 1
    return _CODES[length] + (f"{value:0{length}b}" if length else "") + _NOTHING_MORE


def _webp(size: Size, colour: Colour, *, alpha: int) -> bytes:
    """A picture whose every code has one symbol, so that its pixels take no bits at all."""
    red, green, blue = colour
    fields = [(size.width - 1, 14), (size.height - 1, 14), (int(alpha != 0xFF), 1), (0, 3), (0, 1), (0, 1), (0, 1)]
    for symbol in (green, red, blue, alpha, 0):
        fields += [(1, 1), (0, 1), (1, 1), (symbol, 8)]
    number = at = 0
    for value, width in fields:
        number |= value << at
        at += width
    data = b"\x2f" + number.to_bytes(-(-at // 8), "little")
    padded = data + b"\0" * (len(data) % 2)
    return b"RIFF" + struct.pack("<I", 12 + len(padded)) + b"WEBPVP8L" + struct.pack("<I", len(data)) + padded
