"""SDKs and frameworks that each hold a few conversations with the server, by a script of `clients/`."""

import json
import os
import subprocess
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.conformance.report import Row
from tests.conformance.workshop import Absent, Workshop

_WITHIN_S = 120
_SCRIPTS = Path(__file__).with_name("clients")
_ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, kw_only=True)
class Client:
    """One client in one version."""

    name: str
    kind: str  # "python" or "node"
    needs: Sequence[str]
    conversations: int
    script: str = "node.mjs"
    node: int = 0

    def command(self, workshop: Workshop) -> list[str]:
        """What runs its script, in an environment that is made if need be; Absent if it can't be."""
        if self.kind == "python":
            return [str(workshop.python(self.name, self.needs)), "-m", f"tests.conformance.clients.{self.script}"]
        node, home = workshop.node(self.name, self.needs, least=self.node)
        return [node, str(_SCRIPTS / self.script), str(home)]


def clients(*kinds: str) -> Iterator[Client]:
    """Those of `clients.toml` that are of these kinds."""
    data = tomllib.loads(Path(__file__).with_name("clients.toml").read_text(encoding="utf-8"))
    for kind in kinds:
        for name, entry in data[kind].items():
            needs = entry.pop("requirements", None) or entry.pop("packages")
            yield Client(name=name, kind=kind, needs=needs, **entry)


def rows(chosen: Sequence[Client], workshop: Workshop, origin: str) -> list[Row]:
    """Let each hold its conversations, two at a time; a row each."""
    with ThreadPoolExecutor(max_workers=2) as pool:
        return list(pool.map(lambda client: row(client, workshop, origin), chosen))


def row(client: Client, workshop: Workshop, origin: str) -> Row:
    """Let a client hold its conversations."""
    try:
        command = client.command(workshop)
    except Absent as exc:
        return Row(name=client.name, absent=str(exc))
    try:
        done = subprocess.run(
            command, cwd=_ROOT, env=_environment(origin), capture_output=True, text=True, timeout=_WITHIN_S, check=False
        )
    except subprocess.TimeoutExpired:
        return Row(name=client.name, failed=client.conversations, failures=(f"it took more than {_WITHIN_S} s",))
    return judged(client, done.stdout, done.stderr)


def judged(client: Client, stdout: str, stderr: str) -> Row:
    """What its lines say; a conversation without a line has failed too."""
    lines = [json.loads(line) for line in stdout.splitlines() if line.startswith("{")]
    passed = sum(line["ok"] is True for line in lines)
    said = [_failure(line) for line in lines if line["ok"] is not True]
    if len(lines) < client.conversations:
        last = (stderr.strip().splitlines() or ["it says nothing"])[-1]
        said.append(f"of {client.conversations} conversations {len(lines)} were held: {last}")
    return Row(
        name=client.name, passed=passed, failed=max(client.conversations - passed, len(said)), failures=tuple(said)
    )


def _failure(line: Mapping[str, Any]) -> str:
    return f"{line['dialect']}, {line['conversation']}: {line.get('error')}"


def _environment(origin: str) -> dict[str, str]:
    """Ours without what would steer a client elsewhere."""
    steering = (
        "OPENAI_",
        "AZURE_",
        "LITELLM_",
        "LANGCHAIN_",
        "LANGSMITH_",
        "PYTHON",
        "HTTP_PROXY",
        "http_proxy",
        "ALL_PROXY",
    )
    kept = {name: value for name, value in os.environ.items() if not name.startswith(steering)}
    return {**kept, "MOCKSERVER_ORIGIN": origin}
