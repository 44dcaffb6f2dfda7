"""What `import llmkit` costs a process, beside `import openai`; both without what Python itself takes to start."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.benchmarks import fixed_costs
from tests.benchmarks.client.results import Line
from tests.benchmarks.measurement import alternating

MOST_MS = 50.0
CODES = {"nothing": "pass", "llmkit": "import llmkit", "Client": "from llmkit import Client", "openai": "import openai"}
_LOADED = (
    "import llmkit, sys; print(sum(name.partition('.')[0] in ('openai', 'pydantic', 'httpx2') for name in sys.modules))"
)


def lines(_: Path, *, runs: int) -> Iterator[Line]:
    """The CPU time of each import, in a process of its own."""
    found = alternating({name: _python(code) for name, code in CODES.items()}, runs=runs, clock=fixed_costs._children_s)
    cost = {name: found[name].best - found["nothing"].best for name in CODES}
    yield Line(name="import llmkit : openai", ours=cost["llmkit"], theirs=cost["openai"], unit="ms", at_most=MOST_MS)
    yield Line(name="from llmkit import Client : openai", ours=cost["Client"], theirs=cost["openai"], unit="ms")
    done = subprocess.run([sys.executable, "-c", _LOADED], check=True, capture_output=True, text=True)
    name = "modules of openai, pydantic, httpx2 that it loads"
    yield Line(name=name, ours=float(done.stdout), unit="", at_most=0)


def _python(code: str) -> Callable[[], object]:
    return lambda: subprocess.run([sys.executable, "-c", code], check=True)
