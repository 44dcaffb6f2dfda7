"""docs/guides/telemetry.md: each example runs as it stands there, against the mock server."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from llmkit.telemetry import Telemetry
from mockserver import MockServer, fault
from tests.llmkit.telemetry.conftest import KEY

pytestmark = pytest.mark.usefixtures("unmeasured_children")

GUIDE = (Path(__file__).parents[3] / "docs" / "guides" / "telemetry.md").read_text("utf-8")
EXAMPLES = re.findall(r"^```python\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)


PROGRAM = "import json, sys\nfor code in json.load(sys.stdin):\n    exec(code, {'__name__': '__main__'})\n"


def ran(codes: list[str], server: MockServer, directory: Path) -> str:
    """What these examples print, one after the other in one process."""
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        input=json.dumps(codes),
        env={**os.environ, "OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": f"{server.url}/v1"},
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.returncode, run.stderr) == (0, "")
    return run.stdout


def test_the_examples_run(server: MockServer, tmp_path: Path) -> None:
    printed = ran(EXAMPLES, server, tmp_path)
    for shown in re.findall(r"#\s(asked .*)$", GUIDE, re.MULTILINE):
        assert shown in printed
    assert "gpt-4o: 1 requests, " in printed
    assert "ended gpt-4o " in printed
    assert server.verdict(expect_repeats=True).ok


def test_an_exception_is_logged_as_the_guide_says(server: MockServer, tmp_path: Path) -> None:
    server.script(fault.http_error(status=401))
    printed = ran([code for code in EXAMPLES if "basicConfig" in code], server, tmp_path)
    assert "AuthenticationFailed: The key or token is missing, wrong or expired (status 401" in printed
    assert KEY not in printed


def test_every_option_is_explained() -> None:
    table = re.findall(r"^\| (`\w+`(?:, `\w+`)*) \| (\w+) \|", GUIDE.partition("\n## Logs")[0], re.MULTILINE)
    shown = {name: default for names, default in table for name in re.findall(r"\w+", names)}
    assert shown == {each.name: repr(each.default) for each in fields(Telemetry)}
