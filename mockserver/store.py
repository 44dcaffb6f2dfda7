"""What the API keeps between requests: files, responses, batches, uploads, stored completions."""

import copy
import threading
from typing import Any, NamedTuple


class Kept(NamedTuple):
    """One object: its JSON, and the bytes that belong to it."""

    value: dict[str, Any]
    content: bytes = b""


class Store:
    """Objects by kind and id, in the order of their making; safe to use from any thread.

    Arguments and results are plain values and copies, so that the store may live in another process. Of each kind the
    latest `limit` are kept: a run of days does not fill the memory.
    """

    def __init__(self, *, limit: int = 10_000) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._kept: dict[str, dict[str, Kept]] = {}
        self._made: dict[str, int] = {}

    def number(self, kind: str) -> int:
        """A number that no other object of this kind has had: what tells ids of equal objects apart."""
        with self._lock:
            self._made[kind] = self._made.get(kind, 0) + 1
            return self._made[kind]

    def put(self, kind: str, name: str, value: dict[str, Any], content: bytes | None = None) -> None:
        """Keep an object, or keep it anew; without `content` it keeps the bytes that it has."""
        with self._lock:
            objects = self._kept.setdefault(kind, {})
            known = objects.get(name, Kept({}))
            objects[name] = Kept(copy.deepcopy(value), known.content if content is None else content)
            if len(objects) > self._limit:
                del objects[next(iter(objects))]

    def update(
        self, kind: str, name: str, expected: dict[str, Any], value: dict[str, Any], content: bytes | None = None
    ) -> bool:
        """Keep `value` in place of `expected`; False, and nothing done, if the object is another by now, or gone.

        Of several who have read the same object and go on from there, one alone is told True.
        """
        with self._lock:
            objects = self._kept.get(kind, {})
            known = objects.get(name)
            if known is None or known.value != expected:
                return False
            objects[name] = Kept(copy.deepcopy(value), known.content if content is None else content)
            return True

    def get(self, kind: str, name: str) -> dict[str, Any] | None:
        """The object's JSON, None if there is none of this name."""
        with self._lock:
            known = self._kept.get(kind, {}).get(name)
            return None if known is None else copy.deepcopy(known.value)

    def content(self, kind: str, name: str) -> bytes | None:
        """The object's bytes, None if there is none of this name."""
        with self._lock:
            known = self._kept.get(kind, {}).get(name)
            return None if known is None else known.content

    def delete(self, kind: str, name: str) -> bool:
        """Forget an object; whether there was one."""
        with self._lock:
            return self._kept.get(kind, {}).pop(name, None) is not None

    def all(self, kind: str) -> list[dict[str, Any]]:
        """The JSON of every object of this kind, the oldest first."""
        with self._lock:
            return [copy.deepcopy(known.value) for known in self._kept.get(kind, {}).values()]

    def forget(self, kind: str) -> None:
        """Forget every object of this kind; its numbers go on."""
        with self._lock:
            self._kept.pop(kind, None)

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._kept.clear()
            self._made.clear()
