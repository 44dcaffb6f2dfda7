"""Which recordings have been played, and which cassette is the current one: what all workers of a server share."""

import threading
from collections.abc import Sequence
from datetime import UTC, datetime


def now() -> str:
    """The time, as cassettes have it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


class Plays:
    """Recordings by their places in `Recordings`, each played once; safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._played: set[int] = set()
        self._current = ("", "")

    def current(self) -> tuple[str, str]:
        """The name of the cassette that is in use and when it was begun, both empty if none was named."""
        return self._current

    def begin(self, name: str, places: Sequence[int] = ()) -> None:
        """Use the cassette `name` from its beginning; its recordings are `places`."""
        with self._lock:
            self._current = (name, now())
            self._played.difference_update(places)

    def end(self) -> None:
        """Use no certain cassette any more."""
        with self._lock:
            self._current = ("", "")

    def take(self, places: Sequence[int], *, repeats: bool = False) -> int | None:
        """The first of `places` that was not played yet, played now; when all were, None, or the last if it repeats."""
        with self._lock:
            for place in places:
                if place not in self._played:
                    self._played.add(place)
                    return place
        return places[-1] if repeats and places else None

    def give_back(self, place: int) -> None:
        """Have `place` played again by whoever asks next."""
        with self._lock:
            self._played.discard(place)

    def played(self) -> frozenset[int]:
        """Those that were played."""
        with self._lock:
            return frozenset(self._played)

    def clear(self) -> None:
        """Play everything from its beginning again, whatever its cassette."""
        with self._lock:
            self._played.clear()
            self._current = ("", "")
