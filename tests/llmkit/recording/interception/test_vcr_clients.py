"""The clients that only vcrpy knows: its own stubs ask our tape."""

from __future__ import annotations

import http.client
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest
from vcr.patch import PATCHER_NAMES, CassettePatcherBuilder

from llmkit.recording.cassette import load
from llmkit.recording.deck import Deck
from llmkit.recording.errors import CassetteMiss
from llmkit.recording.interception import vcr_clients
from llmkit.recording.manner import Manner, Mode, Scope
from llmkit.recording.tape import Tape
from tests.llmkit.recording.conftest import Upstream


@contextmanager
def played_by_vcrpy(path: Path, mode: Mode) -> Iterator[Tape]:
    """Let vcrpy's stub of http.client, which those of its other clients derive from, ask a tape."""
    deck, tape = Deck(), Tape(path, mode=mode, manner=Manner(scope=Scope(with_loopback=True)))
    face = vcr_clients._Face(deck)
    face.skip_patchers = tuple(name for name in PATCHER_NAMES if name != "httplib")
    patchers = list(CassettePatcherBuilder(face).build())
    deck.put_in(tape)
    for patcher in patchers:
        patcher.__enter__()
    try:
        yield tape
    finally:
        for patcher in reversed(patchers):
            patcher.__exit__(None, None, None)
        deck.take_out(tape)
        tape.save()


def get(upstream: Upstream, path: str) -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", upstream.port)
    connection.request("GET", path)
    try:
        return connection.getresponse().read()
    finally:
        connection.close()


def test_what_vcrpys_stub_records_it_replays(tmp_path: Path, upstream: Upstream) -> None:
    with played_by_vcrpy(tmp_path / "a.yaml", "new_episodes"):
        live = get(upstream, "/v1/models")
    with played_by_vcrpy(tmp_path / "a.yaml", "none") as tape:
        assert get(upstream, "/v1/models") == live
    assert len(load(tmp_path / "a.yaml")) == len(tape.played) == 1


def test_what_has_no_recording_is_a_miss_of_ours(tmp_path: Path, upstream: Upstream) -> None:
    with played_by_vcrpy(tmp_path / "a.yaml", "none"), pytest.raises(CassetteMiss, match="/v1/other"):
        get(upstream, "/v1/other")


def test_vcrpy_is_imported_only_where_it_serves_a_client() -> None:
    block = "from llmkit.recording import recorder; recorder.patched().__enter__()"
    code = f"{block}; import sys; print('vcr' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(any(find_spec(name) for name in ("botocore", "httplib2", "tornado")))
