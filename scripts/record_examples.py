"""`make cassettes`: records the committed cassettes of `examples/` anew, from the mock server."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

from scripts.demo import ROOT, MockServerProcess, say

CASSETTES = ROOT / "cassettes" / "examples"


def main() -> int:
    """Record them; return pytest's exit code."""
    shutil.rmtree(CASSETTES, ignore_errors=True)
    with MockServerProcess.started() as server:
        environment = {**os.environ, **server.environment()}
        run = subprocess.run([sys.executable, "-m", "pytest", "--record", "examples", "-q"], cwd=ROOT, env=environment)
    say("Look the change through before you commit it: git diff cassettes/")
    return run.returncode


if __name__ == "__main__":
    sys.exit(main())
