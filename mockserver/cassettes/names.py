"""Names of cassettes: what a client calls one, and the file that it is in."""

from pathlib import Path

from llmkit.recording.naming import file_name

HEADER = "x-cassette-name"
"""The request header that names the cassette of one request; it is not passed on."""

DEFAULT = "recording"
"""The cassette that is recorded to where nobody names one."""


def plain(name: str) -> str:
    """The name as files have it: parts with slashes between them, without a suffix; ValueError for none."""
    parts = name.removesuffix(".yaml").split("/")
    if any(part.strip(". ") == "" for part in parts) or "\\" in name or "\0" in name:
        raise ValueError(f"{name!r} is no name of a cassette; write for example 'chat/greets the user'")
    return "/".join(map(file_name, parts))


def file_of(directory: Path, name: str) -> Path:
    """The file of the cassette that is called `name`, which is `plain`."""
    return directory / f"{name}.yaml"
