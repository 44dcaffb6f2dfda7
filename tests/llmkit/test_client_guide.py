"""The guide to the client: each example runs as it stands there, against the mock server."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from mockserver import MockServer

pytestmark = pytest.mark.usefixtures("unmeasured_children")

GUIDE = (Path(__file__).parents[2] / "docs" / "guides" / "client.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```python\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("code", EXAMPLES, ids=lambda code: code.splitlines()[-1][:40])
def test_an_example_runs(code: str, tmp_path: Path) -> None:
    with MockServer(seed=1) as server:
        environment = {**os.environ, "OPENAI_API_KEY": "sk-guide-0123456789", "OPENAI_BASE_URL": f"{server.url}/v1"}
        run = subprocess.run(
            [sys.executable, "-c", code],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (run.returncode, run.stderr) == (0, "")
        assert len(server.journal)
        assert server.verdict().ok
