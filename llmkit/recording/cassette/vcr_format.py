"""Cassettes as plain vcrpy files, with nothing of ours in them, in YAML or JSON; and reading its JSON.

See https://vcrpy.readthedocs.io, format version 1. It has no word for when a reply came, for how it broke off, or for
the test that recorded it: these are lost.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import yaml

from llmkit.recording import cassette
from llmkit.recording.cassette.yaml_reader import parse
from llmkit.recording.errors import BrokenCassette, RecordingError
from llmkit.recording.interaction import Interaction

Spelling = Literal["yaml", "json"]

_NOT_IN_YAML = re.compile("[\x7f-\x84\x86-\x9f\ud800-\udfff\ufeff\ufffe\uffff\x85\u2028\u2029]")
_OURS = re.compile(rb"^format: llmkit/", re.MULTILINE)


def dump(interactions: Sequence[Interaction], spelling: Spelling = "yaml") -> str:
    """Return ``interactions`` as vcrpy writes them; RecordingError where JSON can't hold a body of binary data."""
    document = {"version": 1, "interactions": [_entry(one) for one in interactions]}
    if spelling == "yaml":
        return str(yaml.dump(document, Dumper=getattr(yaml, "CSafeDumper", yaml.SafeDumper)))
    try:
        return json.dumps(document, indent=4) + "\n"
    except TypeError:
        raise RecordingError("a body is binary data, which vcrpy's JSON can't hold: use its YAML") from None


def load(path: Path) -> list[Interaction]:
    """Read the cassette at ``path``, which may also be one of vcrpy's JSON serializer; raises as `cassette.load`."""
    raw = cassette.read(path)
    return parse(path, _as_yaml(path, raw) if path.suffix == ".json" else raw)


def is_ours(path: Path) -> bool:
    """Tell whether the file at ``path`` says that it is in our format."""
    return bool(_OURS.search(path.read_bytes()[:200]))


def what_is_lost(interactions: Sequence[Interaction]) -> list[str]:
    """Say what of ``interactions`` vcrpy's format can't tell and a replay by vcrpy would do otherwise."""
    broken_off = sum(bool(one.response.ended) for one in interactions)
    if broken_off < 2:
        return ["1 reply that broke off will end as if it were whole"] if broken_off else []
    return [f"{broken_off} replies that broke off will end as if they were whole"]


def _as_yaml(path: Path, raw: bytes) -> bytes:
    """Spell JSON so that it is YAML: YAML 1.1 knows no pairs of surrogates, and some characters not as they are."""
    try:
        document = json.loads(raw)
    except ValueError as error:
        line = getattr(error, "lineno", 1)
        raise BrokenCassette(path, line, f"not JSON: {getattr(error, 'msg', error)}") from None
    text = json.dumps(document, ensure_ascii=False, indent=1)
    return _NOT_IN_YAML.sub(lambda found: f"\\u{ord(found[0]):04x}", text).encode("utf-8")


def _entry(interaction: Interaction) -> dict[str, Any]:
    request, response = interaction.request, interaction.response
    return {
        "request": {
            "method": request.method,
            "uri": request.uri,
            "body": _payload(request.body) if request.body else None,
            "headers": {name: list(values) for name, values in request.headers.items()},
        },
        "response": {
            "status": {"code": response.status, "message": response.reason},
            "headers": {name: list(values) for name, values in response.headers.items()},
            "body": {"string": _payload(response.body)},
        },
    }


def _payload(body: bytes) -> str | bytes:
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        return body
