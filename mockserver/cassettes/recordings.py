"""A directory of cassettes as one thing to be asked: which recordings answer this request, and why none does.

Requests are compared by the recorder's own rules, except that the host does not matter: the client asks this server,
whoever was asked while recording. Where the same path was recorded of several hosts, that of the provider goes first.
"""

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from llmkit.recording.addresses import AZURE, OPENAI, Provider
from llmkit.recording.cassette.vcr_format import load
from llmkit.recording.interaction import Interaction, Request
from llmkit.recording.matching import match
from llmkit.recording.matching.miss import Miss
from llmkit.recording.scrubbing.scrub import Scrubber

_SUFFIXES = (".yaml", ".yml", ".json")
_ROOT = re.compile(r"^.*?(?=/(?:openai/(?:deployments|v1)|v1)/)")
_PROVIDER = Provider()


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """One interaction of the cassette called `cassette`; `asked` is its request as it is compared."""

    cassette: str
    interaction: Interaction
    asked: Request


class Recordings:
    """All recordings below `directory`, which may be a single file, in the order of their files and in them."""

    def __init__(self, directory: Path, recordings: Iterable[Recording]) -> None:
        self.directory = directory
        self.all = tuple(recordings)
        self._places: dict[str, list[int]] = defaultdict(list)
        for place, recording in enumerate(self.all):
            self._places[match.key(recording.asked)].append(place)
        for places in self._places.values():
            places.sort(key=self._is_foreign)

    @classmethod
    def load(cls, directory: Path) -> Self:
        """Read every cassette, in our format or vcrpy's; BrokenCassette for a file that is none, OSError for none."""
        if not directory.exists():
            raise FileNotFoundError(2, "there is no such directory of cassettes", str(directory))
        files = [directory] if directory.is_file() else _files(directory)
        scrubber = Scrubber.from_environment()
        return cls(directory, (one for file in files for one in _read(directory, file, scrubber)))

    def asked(self, request: Request) -> Request:
        """The request as it is compared: without secrets, at the address that all recordings have."""
        return _comparable(request, Scrubber.from_environment())

    def places(self, asked: Request, cassette: str = "") -> list[int]:
        """Where the recordings are that answer `asked`, in the order of playing; of one cassette, if it is named."""
        places = self._places.get(match.key(asked), [])
        return [place for place in places if cassette in ("", self.all[place].cassette)]

    def of(self, cassette: str) -> list[int]:
        """Where the recordings of one cassette are."""
        return [place for place, one in enumerate(self.all) if one.cassette == cassette]

    @property
    def names(self) -> list[str]:
        """The cassettes that hold anything."""
        return list(dict.fromkeys(one.cassette for one in self.all))

    def miss(self, asked: Request, cassette: str, played: Collection[int]) -> str:
        """Why nothing answers `asked`, with what is nearest."""
        if cassette and cassette not in self.names:
            known = ", ".join(self.names[:8]) or "none"
            return f"there is no cassette {cassette!r} in {self.directory}; there are {known}"
        chosen = self.of(cassette) if cassette else range(len(self.all))
        recorded = [self.all[place].asked for place in chosen]
        miss = Miss(
            asked=asked,
            path=self.directory / cassette if cassette else self.directory,
            recorded=recorded,
            played=[place in played for place in chosen],
            same=len(self.places(asked, cassette)),
            elsewhere=self._elsewhere(asked, cassette),
            remedy=f"mockserver --upstream {_origin(asked.uri)} --record {self.directory}",
        )
        return miss.explain()

    def _elsewhere(self, asked: Request, cassette: str) -> Sequence[str]:
        if not cassette:
            return ()
        return list(dict.fromkeys(self.all[place].cassette for place in self.places(asked)))

    def _is_foreign(self, place: int) -> bool:
        recording = self.all[place]
        return _origin(_PROVIDER.stable(recording.interaction.request.uri)) != _origin(recording.asked.uri)


def _files(directory: Path) -> list[Path]:
    found = (path for path in directory.rglob("*") if path.suffix in _SUFFIXES and path.is_file())
    return sorted(path for path in found if not any(p.startswith(".") for p in path.relative_to(directory).parts))


def _read(directory: Path, file: Path, scrubber: Scrubber) -> Iterable[Recording]:
    name = file.stem if file == directory else file.relative_to(directory).with_suffix("").as_posix()
    for interaction in load(file):
        yield Recording(cassette=name, interaction=interaction, asked=_comparable(interaction.request, scrubber))


def _comparable(request: Request, scrubber: Scrubber) -> Request:
    return scrubber.request(replace(request, uri=_located(request.uri)))


def _located(uri: str) -> str:
    """The URL of the provider whose path it is; what a gateway has before `/v1` or `/openai` goes."""
    parts = urlsplit(uri)
    path = _ROOT.sub("", parts.path)
    base = AZURE if path.startswith("/openai/") else _origin(OPENAI)
    return f"{base}{path}{'?' * bool(parts.query)}{parts.query}"


def _origin(uri: str) -> str:
    parts = urlsplit(uri)
    return f"{parts.scheme}://{parts.netloc}"
