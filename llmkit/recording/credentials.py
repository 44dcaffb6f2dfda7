"""The credentials that replay puts where the environment has none, so that an SDK's client can be made keyless."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager

from llmkit.recording.addresses import AZURE

DUMMY_KEY = "dummy-key-for-replay"
"""It is never sent to a provider."""

_OPENAI = {"OPENAI_API_KEY": DUMMY_KEY}
_AZURE = {"AZURE_OPENAI_API_KEY": DUMMY_KEY, "AZURE_OPENAI_ENDPOINT": AZURE}


def missing(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the dummies for what ``environment`` lacks."""
    return {name: value for name, value in {**_OPENAI, **_AZURE}.items() if not environment.get(name)}


@contextmanager
def dummies(environment: MutableMapping[str, str], *, uris: Iterable[str] = ()) -> Iterator[None]:
    """Put dummies into ``environment`` for the duration of a block.

    Where a cassette's ``uris`` are given and none is Azure's, Azure's dummies are taken out instead: an application
    that looks for Azure's variables to choose its provider chooses as it did when it was recorded.
    """
    before = {name: environment.get(name) for name in (*_OPENAI, *_AZURE)}
    environment.update(missing(environment))
    asked = list(uris)
    if asked and not any(uri.startswith(AZURE) for uri in asked):
        for name in [name for name, value in _AZURE.items() if environment.get(name) == value]:
            del environment[name]
    try:
        yield
    finally:
        environment.update({name: value for name, value in before.items() if value is not None})
        for name in [name for name, value in before.items() if value is None]:
            environment.pop(name, None)
