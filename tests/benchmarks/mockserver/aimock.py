"""aimock, a mock server of the same kind in JavaScript: https://www.npmjs.com/package/@copilotkit/aimock."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

from tests.benchmarks.mockserver.prompts import TOKENS

VERSION = "1.43.0"
CACHE = Path(".conformance/aimock")


class Missing(Exception):
    """Why aimock can't be run here."""


def command(directory: Path, text: str) -> list[str]:
    """What starts aimock saying `text` to every request, in as many frames as ours; Missing where it is not to be had.

    It keeps the newest 1,000 requests, as it does by default, and logs nothing.
    """
    fixture = directory / "fixture.json"
    fixture.write_text(json.dumps({"fixtures": [{"match": {}, "response": {"content": text}}]}), encoding="utf-8")
    letters = -(-len(text) // TOKENS)
    options = ["--port", "{port}", "--fixtures", str(fixture), "--chunk-size", str(letters), "--log-level", "silent"]
    return ["node", str(_installed()), *options]


def _installed() -> Path:
    package = CACHE / "node_modules/@copilotkit/aimock"
    if shutil.which("npm") is None or shutil.which("node") is None:
        raise Missing("npm is not installed")
    if not (package / "package.json").exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        (CACHE.parent / ".gitignore").write_text("*\n", encoding="utf-8")
        install = ["npm", "install", "--no-audit", "--no-fund", "--silent", f"@copilotkit/aimock@{VERSION}"]
        done = subprocess.run([*install, "--prefix", str(CACHE)], check=False, capture_output=True, text=True)
        if done.returncode:
            raise Missing(f"npm can't install it: {done.stderr.strip()[-300:]}")
    return package / "dist/cli.js"
