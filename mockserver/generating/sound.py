"""Sound that says nothing: a hum of a length that fits the text, in the formats of the API."""

import math
import struct

RATE = 24_000  # samples a second, one channel of 16 bits, as the API's pcm16
_PERIOD = 240
_PER_TOKEN = 480  # samples: a fiftieth of a second, so that replies stay small
_HUM = b"".join(struct.pack("<h", round(2_000 * math.sin(2 * math.pi * at / _PERIOD))) for at in range(_PERIOD))
# one silent frame of MPEG-1 layer III at 128 kbit/s and 44.1 kHz
_MP3_FRAME = b"\xff\xfb\x90\x64" + bytes(413)


def hum(tokens: int, *, encoding: str) -> bytes:
    """A hum as long as `tokens` of speech: `pcm16`, `mp3`, and for every other name a WAV file of the same."""
    samples = _HUM * (max(tokens, 1) * _PER_TOKEN // _PERIOD)
    if encoding == "pcm16":
        return samples
    if encoding == "mp3":
        return _MP3_FRAME * max(tokens, 1)
    head = struct.pack("<4sI4s4sIHHIIHH", b"RIFF", 36 + len(samples), b"WAVE", b"fmt ", 16, 1, 1, RATE, 2 * RATE, 2, 16)
    return head + struct.pack("<4sI", b"data", len(samples)) + samples
