"""Shortening a traceback to the project's own lines."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType


def down_to_the_project(traceback: TracebackType | None, root: Path) -> TracebackType | None:
    """Return ``traceback`` down to its last frame in the project: the line that asked, without the SDK below it."""
    frames = []
    while traceback is not None:
        frames.append(traceback)
        traceback = traceback.tb_next
    while frames and not _is_of_project(frames[-1], root):
        frames.pop()
    shortened = None
    for frame in reversed(frames):
        shortened = TracebackType(shortened, frame.tb_frame, frame.tb_lasti, frame.tb_lineno)
    return shortened


def _is_of_project(traceback: TracebackType, root: Path) -> bool:
    path = Path(traceback.tb_frame.f_code.co_filename)
    return path.is_relative_to(root) and "site-packages" not in path.parts
