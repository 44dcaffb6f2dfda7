"""What is being recorded: one tape a cassette, in the recorder's own way of writing, scrubbing and naming."""

import logging
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from typing_extensions import override

from llmkit.recording.addresses import AZURE, Provider
from llmkit.recording.errors import RecordingError, SecretLeak
from llmkit.recording.interaction import Interaction
from llmkit.recording.manner import Manner, Scope
from llmkit.recording.take import Asked
from llmkit.recording.tape import Tape
from mockserver.cassettes import names
from mockserver.cassettes.plays import now

_FIRST_REFUSAL = 400


class _Recorded(Tape):
    """A tape that never plays: what is asked of the real API is always sent."""

    def __init__(self, path: Path, manner: Manner) -> None:
        self.holds_back = False
        super().__init__(path, mode="all", manner=replace(manner, after_recording=self._note))

    @override
    def play(self, asked: Asked) -> None:
        """Nothing."""

    def _note(self, _asked: Asked, interaction: Interaction) -> None:
        """Refusals, and what broke off, are held back until the tape is saved: see `Tape.save`."""
        self.holds_back |= interaction.response.status >= _FIRST_REFUSAL or bool(interaction.response.ended)

    def settle(self) -> None:
        """Write what is held back; only while nothing is under way, which would be taken to have been left."""
        self.holds_back = False
        self.save(is_complete=True, is_shared=True)


class Tapes:
    """The tapes below `directory`, made when they are first asked for; safe to use from any thread.

    What is recorded of a request replaces what the file holds of the same request from an earlier session. As with the
    recorder, each reply leaves a whole file behind. Refusals and replies that broke off are written as soon as no other
    exchange of the cassette is under way: nobody here knows whether the client's test passes.
    """

    def __init__(self, directory: Path, origin: str) -> None:
        self.directory = directory
        scope = Scope(with_loopback=True, provider=lambda: provider_of(origin))
        self._manner = Manner(scope=scope, since=now(), is_refusal_expected=lambda: True)
        self._lock = threading.RLock()
        self._tapes: dict[tuple[str, str], _Recorded] = {}
        self._under_way: Counter[_Recorded] = Counter()
        self._told: set[_Recorded] = set()
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RecordingError(f"can't make the directory of cassettes {directory}: {error.strerror}") from error

    @contextmanager
    def recording(self, name: str, begun_at: str = "") -> Iterator[Tape]:
        """The tape for one exchange, of the cassette `name` as it was begun at `begun_at`, or with the session.

        BrokenCassette if its file is there and is not whole, RecordingError if it can't be written.
        """
        tape = self._tape(name, begun_at)
        tape.check()
        with self._lock:
            self._under_way[tape] += 1
        try:
            yield tape
        finally:
            with self._lock:
                self._under_way[tape] -= 1
                self._settle(tape)

    def save(self) -> None:
        """Write what is still held back: nothing more is recorded."""
        with self._lock:
            for tape in self._tapes.values():
                tape.settle()

    @property
    def leak(self) -> SecretLeak | None:
        """What looked like a secret and kept a cassette from being written, if anything did."""
        with self._lock:
            return next((tape.leak for tape in self._tapes.values() if tape.leak), None)

    def _tape(self, name: str, begun_at: str) -> _Recorded:
        with self._lock:
            if (name, begun_at) not in self._tapes:
                manner = replace(self._manner, since=begun_at or self._manner.since)
                self._tapes[name, begun_at] = _Recorded(names.file_of(self.directory, name), manner)
            return self._tapes[name, begun_at]

    def _settle(self, tape: _Recorded) -> None:
        if tape.leak is not None and tape not in self._told:
            self._told.add(tape)
            logging.getLogger("mockserver").error("%s", tape.leak)
        if tape.holds_back and not self._under_way[tape]:
            tape.settle()


def provider_of(origin: str) -> Provider:
    """The provider that `origin` is to be recorded as: Azure by its host, and OpenAI otherwise."""
    is_azure = urlsplit(Provider().stable(f"{origin}/")).netloc == urlsplit(AZURE).netloc
    return Provider(azure_endpoint=origin) if is_azure else Provider(openai_base_url=f"{origin}/v1")
