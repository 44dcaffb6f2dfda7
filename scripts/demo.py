"""`make demo`: the main job on the three applications of `examples/`, told as it goes.

Recorded from the mock server as the stand-in for the real API, or from the real one where the environment holds its
key; replayed without any server; and run under scripted faults. Everything it writes lies in `.demo/`.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from llmkit.recording import RecordingError
from llmkit.recording.cassette import load
from llmkit.recording.replies.ledger import Ledger
from llmkit.recording.replies.prices import Prices, price_list

ROOT = Path(__file__).parents[1]
WORKSHOP = ROOT / ".demo"
CASSETTES = WORKSHOP / "cassettes"
REPORT = WORKSHOP / "faults.json"
START_S = 20.0
RUN_S = 120.0

PROVIDERS = {"OpenAI", "Azure OpenAI"}

_LISTENING = re.compile(r"mockserver listening on (http://\S+)")
_PROVIDER_VARIABLES = (
    "AZURE_OPENAI_API_KEY", "AZURE_OPENAI_ENDPOINT", "OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_ORG_ID",
    "OPENAI_PROJECT_ID", "PYTEST_ADDOPTS",
)  # fmt: skip


class DemoError(Exception):
    """The demo can't go on; the message says what to do."""


def main() -> int:
    """Run the demo; return the exit code."""
    started = time.monotonic()
    shutil.rmtree(WORKSHOP, ignore_errors=True)
    WORKSHOP.mkdir()
    try:
        record()
        replay()
        break_on_purpose()
    except (DemoError, RecordingError) as error:
        say(f"\nThe demo stops here: {error}")
        return 1
    except KeyboardInterrupt:
        say("\nStopped. Nothing is left running; `make demo` starts afresh.")
        return 130
    say(f"\nThat was the main job, in {time.monotonic() - started:.0f} s. A first test of your own: see README.md.")
    return 0


def record() -> None:
    """Record the examples' calls, from the real API where there is a key for it."""
    real = real_providers(os.environ)
    if real == PROVIDERS:
        announce_real(real)
        run_recording({})
        say("\n3. From here on nothing is called and nothing is paid.")
        return
    with MockServerProcess.started() as server:
        say(f"1. The mock server runs in a process of its own (pid {server.pid}) at {server.url}.")
        if real:
            say(f"   It plays {' and '.join(PROVIDERS - real)}; there is a key for the other one:")
            announce_real(real)
        else:
            say("   It stands in for the real API: no key is needed, nothing is paid.")
        played = {name: value for name, value in server.environment().items() if provider_of(name) not in real}
        run_recording(played, server)
    say(f"\n3. The mock server (pid {server.pid}) is stopped.")


def replay() -> None:
    """Replay what was recorded, with nothing to talk to."""
    say("   `pytest` replays the cassettes, without a key and with the network sealed:")
    run = run_pytest([], environment={})
    show_last_lines(run)
    if run.returncode:
        raise DemoError(
            "the replay failed, see above. If a cassette was changed by hand: `make demo` records all of them afresh"
        )


def break_on_purpose() -> None:
    """Run the examples against a server that misbehaves, and say how each took it."""
    with MockServerProcess.started() as server:
        say(f"\n4. The same examples, unchanged, against the mock server (pid {server.pid}), which now misbehaves:")
        options = ["--live", "-p", "scripts.demo_faults", "--tb=no"]
        facts = {"DEMO_SERVER": server.url, "DEMO_REPORT": str(REPORT), "EXAMPLES_TIMEOUT_S": "1"}
        run = run_pytest(options, environment=server.environment() | facts)
        server.check()
    if not REPORT.exists():
        show_all(run)
        raise DemoError("the runs under faults ended early, see above; `make demo` starts afresh")
    show_outcomes(json.loads(REPORT.read_text()))


def run_recording(environment: Mapping[str, str], server: MockServerProcess | None = None) -> None:
    """Run `pytest --record` and say what came of it."""
    say("\n2. `pytest --record examples/` sends every request and writes it down:")
    run = run_pytest(["--record", "--tb=line"], environment=environment, keeps_provider=True)
    show_last_lines(run)
    if server is not None:
        server.check()
    if run.returncode:
        raise DemoError(
            "recording failed, see above. If the provider could not be reached: is the network there, and are key and "
            "endpoint right? `make demo` starts afresh"
        )
    files = sorted(CASSETTES.rglob("*.yaml"))
    say(f"   {len(files)} cassettes lie in {CASSETTES.relative_to(ROOT)}/, to be read and committed, for example")
    say(f"   {files[0].relative_to(ROOT)}")
    if real_providers(os.environ):
        say(f"   Cost, by the prices of {price_list() or 'nobody (install genai-prices)'}: {cost(files)}.")


@dataclass(frozen=True)
class MockServerProcess:
    """A `python -m mockserver` of the demo's own."""

    process: subprocess.Popen[str]
    url: str

    @classmethod
    @contextmanager
    def started(cls) -> Iterator[MockServerProcess]:
        """Start one on a free port, and stop it in the end."""
        command = [sys.executable, "-m", "mockserver", "--port", "0"]
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            yield cls(process, _url_of(process))
        finally:
            process.terminate()
            process.communicate(timeout=10)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    def environment(self) -> dict[str, str]:
        """Return what leads OpenAI and Azure clients to it."""
        return {
            "OPENAI_BASE_URL": f"{self.url}/v1",
            "OPENAI_API_KEY": "any",
            "AZURE_OPENAI_ENDPOINT": self.url,
            "AZURE_OPENAI_API_KEY": "any",
        }

    def check(self) -> None:
        """Raise `DemoError` if it is gone."""
        if self.process.poll() is not None:
            raise DemoError(
                f"the mock server (pid {self.pid}) was gone before its work was done, with exit code "
                f"{self.process.returncode}. If you stopped it, that is what a dead provider looks like; "
                "`make demo` starts afresh"
            )


def _url_of(process: subprocess.Popen[str]) -> str:
    watchdog = threading.Timer(START_S, process.kill)
    watchdog.start()
    line = process.stdout.readline() if process.stdout else ""
    watchdog.cancel()
    found = _LISTENING.match(line)
    if found is None:
        process.kill()
        _, errors = process.communicate()
        raise DemoError(f"the mock server did not start: {line}{errors}".strip())
    return found[1]


def run_pytest(
    options: list[str], *, environment: Mapping[str, str], keeps_provider: bool = False
) -> subprocess.CompletedProcess[str]:
    """Run the examples' tests in a process of their own, without the caller's provider unless it is to be kept."""
    kept = {name: value for name, value in os.environ.items() if keeps_provider or name not in _PROVIDER_VARIABLES}
    command = [sys.executable, "-m", "pytest", "examples", "-q", "-p", "no:cacheprovider", f"--cassettes={CASSETTES}"]
    try:
        return subprocess.run(
            [*command, *options], cwd=ROOT, env={**kept, **environment}, capture_output=True, text=True, timeout=RUN_S
        )
    except subprocess.TimeoutExpired:
        raise DemoError(f"pytest took longer than {RUN_S:.0f} s; is the machine very busy?") from None


def real_providers(environment: Mapping[str, str]) -> set[str]:
    """Return which of the real APIs the environment has credentials for."""
    found = set()
    if environment.get("OPENAI_API_KEY"):
        found.add("OpenAI")
    if environment.get("AZURE_OPENAI_ENDPOINT") and environment.get("AZURE_OPENAI_API_KEY"):
        found.add("Azure OpenAI")
    return found


def provider_of(variable: str) -> str:
    """Return whose variable it is."""
    return "Azure OpenAI" if variable.startswith("AZURE_") else "OpenAI"


def announce_real(real: set[str]) -> None:
    """Say loudly that money will be spent."""
    names = " and ".join(sorted(real))
    say(f"   {'*' * 76}\n   * THE REAL API: the environment holds a key, so {names} will be called and paid.")
    for name in ("OPENAI_BASE_URL", "AZURE_OPENAI_ENDPOINT"):
        if os.environ.get(name):
            say(f"   * {name} leads to {os.environ[name]}")
    say(f"   * Less than $0.01; unset OPENAI_API_KEY and AZURE_OPENAI_ENDPOINT to pay nothing.\n   {'*' * 76}")


def cost(files: list[Path]) -> str:
    """Return what the recorded calls cost, as far as their models have a price."""
    ledger = Ledger()
    for interaction in (interaction for file in files for interaction in load(file)):
        ledger.record(interaction.response)
    paid, unpriced = ledger.cost(Prices().cost, "recorded")
    without = ", ".join(sorted(model or "a reply without usage" for model in unpriced))
    return f"${paid or 0:.6f}" + (f", without {without}" if without else "")


def show_last_lines(run: subprocess.CompletedProcess[str]) -> None:
    """Show pytest's closing lines, or all of it where tests failed."""
    if run.returncode:
        show_all(run)
        return
    for line in run.stdout.splitlines()[-2:]:
        say(f"   | {line}")


def show_all(run: subprocess.CompletedProcess[str]) -> None:
    """Show all that pytest said."""
    for line in (run.stdout + run.stderr).splitlines():
        say(f"   | {line}")


def show_outcomes(outcomes: list[dict[str, str]]) -> None:
    """Show how each application took each fault, the worst of its tests counting."""
    applications = list(dict.fromkeys(outcome["application"] for outcome in outcomes))
    faults = list(dict.fromkeys(outcome["fault"] for outcome in outcomes))
    worst = {(o["application"], o["fault"]): o["outcome"] for o in sorted(outcomes, key=_badness)}
    widths = [max(map(len, faults)), *(max(len(a), 32) for a in applications)]
    for row in [["", *applications], *([fault, *(worst[a, fault] for a in applications)] for fault in faults)]:
        say("   " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    count = {
        kind: sum(outcome.startswith(kind) for outcome in worst.values()) for kind in ("survives", "fails cleanly")
    }
    good, clean = count["survives"], count["fails cleanly"]
    wrong = len(worst) - good - clean
    say(f"\n   Of {len(worst)} combinations {good} survive, {clean} fail cleanly, {wrong} go wrong.")


def _badness(outcome: dict[str, str]) -> int:
    return next(i for i, kind in enumerate(("survives", "fails cleanly", "")) if outcome["outcome"].startswith(kind))


def say(text: str) -> None:
    """Print ``text`` at once."""
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
