"""The credentials that replay puts where the environment has none, so that an SDK's client can be made keyless."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, MutableMapping
from contextlib import contextmanager

from llmkit.recording.addresses import AZURE

DUMMY_KEY = "dummy-key-for-replay"
"""It is never sent to a provider."""

_DUMMIES = {
    "openai": {"OPENAI_API_KEY": DUMMY_KEY},
    "azure": {"AZURE_OPENAI_API_KEY": DUMMY_KEY, "AZURE_OPENAI_ENDPOINT": AZURE},
}
PROVIDERS = tuple(_DUMMIES)
"""The providers that there are dummies for."""


def missing(environment: Mapping[str, str], *, providers: Collection[str] = PROVIDERS) -> dict[str, str]:
    """Return the dummies for what ``environment`` lacks of ``providers``; ValueError for an unknown one."""
    unknown = sorted(set(providers) - set(PROVIDERS))
    if unknown:
        raise ValueError(f"there are no dummy credentials for {unknown[0]!r}: expected {' or '.join(PROVIDERS)}")
    needed = {name: value for provider in providers for name, value in _DUMMIES[provider].items()}
    return {name: value for name, value in needed.items() if not environment.get(name)}


@contextmanager
def dummies(environment: MutableMapping[str, str], *, providers: Collection[str] = PROVIDERS) -> Iterator[None]:
    """Put dummies for ``providers`` into ``environment`` for the duration of a block."""
    put = missing(environment, providers=providers)
    environment.update(put)
    try:
        yield
    finally:
        for name in [name for name, value in put.items() if environment.get(name) == value]:
            del environment[name]
