"""Texts about cassettes, such as their paths and what is broken in them, without secrets and what steers a terminal.

A file that somebody broke, or a test that somebody parametrized with a key, has it in its error message or its name.
"""

from __future__ import annotations

import re

from llmkit.recording.scrubbing import leaks
from llmkit.recording.scrubbing.scrub import Scrubber

_MASK = "…"
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
# from what a key mostly is to what it may be part of: as little goes as has to
_RUNS = tuple(map(re.compile, (r"[\w-]{12,}", r"[\w.-]{12,}", r"[\w.+/~-]{12,}={0,2}")))
_RANDOM = re.compile(r"(?=[\w+~-]*\d)[\w+~-]{12,}={0,2}")


def harmless(text: str) -> str:
    """Return ``text`` without what would steer a terminal."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text.replace("\r\n", "\n"))


def masked(text: str) -> str:
    """Return ``text`` with what looks like a secret, or is one of this environment, left out."""
    text = Scrubber.from_environment().text(text)
    for runs in _RUNS:
        if not leaks.find_in_text(text):
            return text
        text = runs.sub(_masked_run, text)
    if leaks.find_in_text(text):  # known by the name before it, such as api_key=
        text = _RANDOM.sub(_MASK, text)
    return f"({_MASK}: it holds a secret)" if leaks.find_in_text(text) else text


def _masked_run(run: re.Match[str]) -> str:
    return _MASK if leaks.find_in_text(run[0]) else run[0]
