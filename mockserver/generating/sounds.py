"""Files of speech: a hum or silence as long as the text, in the formats of the API, with the text itself in the tags.

WAV and PCM hum; the compressed formats are silent, written from their specifications without a library: MP3 (MPEG-1
layer III), ADTS AAC (ISO/IEC 14496-3), FLAC (RFC 9639) and Opus in Ogg (RFC 7845, RFC 3533). Every format but raw PCM
carries the spoken text in a comment, from which `spoken_in` reads it again.
"""

import struct
from collections.abc import Iterator
from functools import cache

from mockserver.generating.sound import RATE, hum

FORMATS = ("mp3", "opus", "aac", "flac", "wav", "pcm")

_MARK = b"mockserver speech "  # then milliseconds, the length of the text in bytes, eight digits each, and the text
_LEAST_S = 0.2
_MP3_FRAME, _MP3_FRAME_S = b"\xff\xfb\x90\x64" + bytes(413), 1152 / 44_100
_AAC_SILENCE = bytes.fromhex("00c800802380")  # one frame of one channel
_OPUS_SILENCE = bytes.fromhex("f8fffe")  # 20 ms of one channel
_FLAC_BLOCK = 4096


def media_type(encoding: str) -> str:
    """The content type of a format."""
    return {"mp3": "audio/mpeg"}.get(encoding, f"audio/{encoding}")


def speech(text: str, tokens: int, *, encoding: str, speed: float = 1.0) -> bytes:
    """A file of `text`, which has so many tokens; whatever is no format of the API is spoken as MP3."""
    samples = hum(max(round(tokens / speed), round(_LEAST_S * 50)), encoding="pcm16")
    length_s = len(samples) / 2 / RATE
    note = _MARK + f"{round(length_s * 1000):08d}{len(text.encode()):08d}{text}".encode()
    if encoding == "pcm":
        return samples
    if encoding == "wav":
        return _wav(samples, note)
    if encoding == "flac":
        return _flac(length_s, note)
    if encoding == "opus":
        return b"".join(_opus(length_s, note))
    frames = _aac(length_s) if encoding == "aac" else _MP3_FRAME * round(length_s / _MP3_FRAME_S)
    return _id3(note) + frames


def spoken_in(data: bytes) -> str | None:
    """The text that a file of `speech` says; None if it is from elsewhere."""
    return _note(data)[1]


def duration_s(data: bytes) -> float:
    """How long a file is: exactly for WAV and for files of `speech`, elsewhere at 128 kbit/s, which is only a guess."""
    noted_s, _ = _note(data)
    if noted_s is not None:
        return noted_s
    return _wav_duration_s(data) if kind_of(data) == "wav" else len(data) / 16_000


def _note(data: bytes) -> tuple[float | None, str | None]:
    at = data.find(_MARK) + len(_MARK)
    try:
        length_ms, length = int(data[at : at + 8]), int(data[at + 8 : at + 16])
        text = data[at + 16 : at + 16 + length].decode()
    except ValueError:
        return None, None
    return (length_ms / 1000, text) if at >= len(_MARK) else (None, None)


def kind_of(data: bytes) -> str:
    """The container by its first bytes: `wav`, `mp3`, `aac`, `flac`, `ogg`, `mp4`, `webm`; empty if it is none."""
    if data[:4] == b"RIFF" and data[8:12] == b"WAVE":
        return "wav"
    if data[4:8] == b"ftyp":
        return "mp4"
    if data[:2] in (b"\xff\xf1", b"\xff\xf9"):
        return "aac"
    if data[:3] == b"ID3" or (data[:1] == b"\xff" and data[1:2] >= b"\xe0") or data[:4] == b"\0\0\1\xba":
        return "mp3"
    return {b"fLaC": "flac", b"OggS": "ogg", b"\x1aE\xdf\xa3": "webm"}.get(data[:4], "")


def _wav(samples: bytes, note: bytes) -> bytes:
    """The comment is in a LIST chunk of kind INFO, behind the samples."""
    form = b"fmt " + struct.pack("<IHHIIHH", 16, 1, 1, RATE, 2 * RATE, 2, 16)
    comment = b"INFOICMT" + struct.pack("<I", len(note) + 1) + note + b"\0" * (2 - len(note) % 2)
    chunks = form + b"data" + struct.pack("<I", len(samples)) + samples
    chunks += b"LIST" + struct.pack("<I", len(comment)) + comment
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks


def _wav_duration_s(data: bytes) -> float:
    at, rate = 12, 0
    while at + 8 <= len(data):
        name, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        if name == b"fmt " and at + 20 <= len(data):
            rate = int.from_bytes(data[at + 16 : at + 20], "little")
        if name == b"data":
            return min(size, len(data) - at - 8) / rate if rate else 0.0
        at += 8 + size + size % 2
    return 0.0


def _id3(note: bytes) -> bytes:
    """A tag of version 2.4 with one comment in UTF-8; sizes have seven bits a byte."""
    comment = b"\x03eng\0" + note
    frame = b"COMM" + _sevens(len(comment)) + b"\0\0" + comment
    return b"ID3\x04\0\0" + _sevens(len(frame)) + frame


def _sevens(number: int) -> bytes:
    return bytes(number >> shift & 0x7F for shift in (21, 14, 7, 0))


def _aac(length_s: float) -> bytes:
    length = 7 + len(_AAC_SILENCE)
    # sync word, low complexity, 24 kHz, one channel, the length, a buffer without bound
    head = 0xFFF1 << 40 | 1 << 38 | 6 << 34 | 1 << 30 | length << 13 | 0x7FF << 2
    return (head.to_bytes(7, "big") + _AAC_SILENCE) * max(round(length_s * RATE / 1024), 1)


def _flac(length_s: float, note: bytes) -> bytes:
    blocks = max(round(length_s * RATE / _FLAC_BLOCK), 1)
    info = struct.pack(">HH", _FLAC_BLOCK, _FLAC_BLOCK) + bytes(6)
    info += (RATE << 44 | 15 << 36 | blocks * _FLAC_BLOCK).to_bytes(8, "big") + bytes(16)
    comment = struct.pack("<I", 10) + b"mockserver" + struct.pack("<II", 1, 8 + len(note)) + b"COMMENT=" + note
    head = b"fLaC\0" + len(info).to_bytes(3, "big") + info + b"\x84" + len(comment).to_bytes(3, "big") + comment
    return head + b"".join(map(_flac_frame, range(blocks)))


def _flac_frame(number: int) -> bytes:
    """A block of one constant sample, 0."""
    head = b"\xff\xf8\xc0\x08" + chr(number).encode()  # numbers are coded like letters of UTF-8
    head += bytes([_crc(head, 0x07, 8)])
    frame = head + b"\0\0\0"
    return frame + struct.pack(">H", _crc(frame, 0x8005, 16))


def _opus(length_s: float, note: bytes) -> Iterator[bytes]:
    comment = struct.pack("<I", 10) + b"mockserver" + struct.pack("<II", 1, 8 + len(note)) + b"COMMENT=" + note
    yield _page([b"OpusHead\x01\x01" + struct.pack("<HIhB", 312, RATE, 0, 0)], 0, kind=2, at=0)
    yield _page([b"OpusTags" + comment], 1, kind=0, at=0)
    count, number, done = max(round(length_s * 50), 1), 2, 0
    while done < count:
        packets = min(count - done, 200)
        done += packets
        yield _page([_OPUS_SILENCE] * packets, number, kind=4 if done == count else 0, at=done * 960)
        number += 1


def _page(packets: list[bytes], number: int, *, kind: int, at: int) -> bytes:
    """A page of Ogg; `kind` has the bits for the first and the last one."""
    laces = b"".join(b"\xff" * (len(packet) // 255) + bytes([len(packet) % 255]) for packet in packets)
    head = b"OggS\0" + struct.pack("<BqIII", kind, at, 1, number, 0) + bytes([len(laces)]) + laces
    page = head + b"".join(packets)
    return page[:22] + struct.pack("<I", _crc(page, 0x04C11DB7, 32)) + page[26:]


def _crc(data: bytes, polynomial: int, bits: int) -> int:
    """The remainder of a division of polynomials, the highest bit first."""
    table, mask, value = _remainders(polynomial, bits), (1 << bits) - 1, 0
    for byte in data:
        value = table[(value >> (bits - 8)) ^ byte] ^ (value << 8 & mask)
    return value


@cache
def _remainders(polynomial: int, bits: int) -> tuple[int, ...]:
    top, mask = 1 << (bits - 1), (1 << bits) - 1
    remainders = []
    for byte in range(256):
        value = byte << (bits - 8)
        for _ in range(8):
            value = (value << 1 ^ polynomial) & mask if value & top else value << 1 & mask
        remainders.append(value)
    return tuple(remainders)
