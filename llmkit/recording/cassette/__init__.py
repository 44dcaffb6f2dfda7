"""A cassette as a file: its text in both directions, and reading and writing it whole."""

from __future__ import annotations

from llmkit.recording.cassette.file import load, locked, read, remove, save, write

__all__ = ["load", "locked", "read", "remove", "save", "write"]
