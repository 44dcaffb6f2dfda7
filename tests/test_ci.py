"""What CI runs is what the README says, where nothing is skipped for want of a program; and a failure is told."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import threading
import tomllib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
WORKFLOW: dict[Any, Any] = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text("utf-8"))
JOBS: dict[str, Any] = WORKFLOW["jobs"]
README = (ROOT / "README.md").read_text("utf-8")
GH = """\
#!/bin/sh
printf '%s\\n' "$*" >> "$GH_SAID"
case "$2" in
list) [ "${GH_BROKEN:-}" ] && exit 4; echo "$GH_ISSUE" ;;
esac
"""


def steps(job: str) -> list[dict[str, Any]]:
    return list(JOBS[job]["steps"])


def commands(job: str) -> list[str]:
    return [step["run"] for step in steps(job) if "run" in step]


def test_every_push_and_pull_request_is_checked() -> None:
    """Row 6.I4."""
    on = WORKFLOW[True]  # YAML 1.1 reads `on` so
    assert on["push"]["branches"] == ["main"]
    assert "pull_request" in on


def test_ci_runs_the_commands_of_the_readme() -> None:
    """Row 6.I4."""
    shown = re.findall(r"^(make (?:demo|test))\b", README, re.MULTILINE)
    assert shown == ["make demo", "make test"]
    assert [command for command in commands("check") if command.startswith("make")] == shown
    assert "exec make test\n" in (ROOT / ".ci/run").read_text("utf-8")


def test_every_supported_python_is_checked() -> None:
    """Row 6.I4."""
    supported = re.findall(
        r'"Programming Language :: Python :: (3\.\d+)"', (ROOT / "pyproject.toml").read_text("utf-8")
    )
    assert JOBS["check"]["strategy"]["matrix"]["python"] == supported


@pytest.mark.parametrize("script", ["scripts/install_redis.sh", "scripts/install_browser.sh"])
def test_ci_installs_what_tests_would_be_skipped_without(script: str) -> None:
    """Row 6.I4."""
    run = commands("check")
    assert run.index(script) < run.index("make test")
    assert os.access(ROOT / script, os.X_OK)


@pytest.mark.parametrize(
    "target", sorted({word for job in JOBS for word in re.findall(r"make (\w+)", str(commands(job)))})
)
@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_what_ci_makes_is_in_the_makefile(target: str) -> None:
    planned = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True)
    assert planned.returncode == 0, planned.stderr


def test_ci_compares_benchmarks_with_the_baseline() -> None:
    """Row 6.I5."""
    assert "make regression" in commands("regression")


def test_reports_are_kept_also_of_a_failed_run() -> None:
    """Rows 6.I2 and 6.I6."""
    after = steps("check")[[step.get("run") for step in steps("check")].index("make test") + 1 :]
    kept = next(step for step in after if step.get("uses", "").startswith("actions/upload-artifact@"))
    assert kept["with"]["path"] == "reports/"
    shown = next(step for step in after if "GITHUB_STEP_SUMMARY" in step.get("run", ""))
    assert "reports/summary.md" in shown["run"]
    assert all("!cancelled()" in step["if"] for step in (kept, shown))


def test_no_job_can_fail_unseen() -> None:
    """Rows 6.I4 and 6.I7."""
    last = JOBS["required"]
    assert set(last["needs"]) == set(JOBS) - {"required"}
    assert last["if"] == "always()"
    [judging] = [command for command in commands("required") if command.startswith("test ")]
    assert judging.count("success") == len(last["needs"])


def test_a_failure_on_main_alerts() -> None:
    """Row 6.I7."""
    alert = steps("required")[-1]
    assert alert["if"].startswith("failure()")
    assert alert["run"] == ".ci/alert"
    assert os.access(ROOT / ".ci/alert", os.X_OK)
    assert JOBS["required"]["permissions"]["issues"] == "write"
    used = set(re.findall(r"\$\{?([A-Z_]+)", (ROOT / ".ci/alert").read_text("utf-8")))
    assert used <= set(alert["env"])


class _Webhook(BaseHTTPRequestHandler):
    said: list[object]

    def do_POST(self) -> None:
        self.said.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: it would be in the output of the tests."""


@pytest.fixture
def webhook() -> Iterator[tuple[str, list[object]]]:
    said: list[object] = []
    server = HTTPServer(("127.0.0.1", 0), type("Webhook", (_Webhook,), {"said": said}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/hook", said
    server.shutdown()
    server.server_close()


def alert(tmp_path: Path, **environment: str) -> tuple[int, list[str]]:
    """Run the alert with a `gh` that only writes down what it is asked."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/gh").write_text(GH)
    (tmp_path / "bin/gh").chmod(0o755)
    path = f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"
    told = {"RUN_URL": "https://ci.test/1", "COMMIT": "abc", "GH_SAID": str(tmp_path / "said"), "GH_ISSUE": ""}
    ran = subprocess.run([ROOT / ".ci/alert"], env={"PATH": path, **told, **environment}, capture_output=True)
    return ran.returncode, (tmp_path / "said").read_text().splitlines()


def test_the_first_failure_opens_an_issue(tmp_path: Path) -> None:
    """Row 6.I7."""
    code, asked = alert(tmp_path)
    assert code == 0
    assert asked[1:] == ["issue create --title CI fails on main --body CI failed for commit abc: https://ci.test/1"]


def test_the_next_failure_is_told_in_the_same_issue(tmp_path: Path) -> None:
    """Row 6.I7."""
    code, asked = alert(tmp_path, GH_ISSUE="7")
    assert code == 0
    assert asked[1:] == ["issue comment 7 --body CI failed for commit abc: https://ci.test/1"]


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_a_webhook_is_told_even_where_the_repository_cannot_be(
    tmp_path: Path, webhook: tuple[str, list[object]]
) -> None:
    """Row 6.I7."""
    url, said = webhook
    code, _ = alert(tmp_path, ALERT_WEBHOOK_URL=url, GH_BROKEN="1")
    assert code == 1  # the step shows that one of both was not told
    assert said == [{"text": "CI failed for commit abc: https://ci.test/1"}]


def test_every_version_of_the_sdk_is_tested() -> None:
    """Row 1.I1: the job installs what `check`, with the newest, does not have."""
    required = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["dependencies"]
    assert {re.split(r"[<>=\[]", one)[0] for one in required} >= {"openai", "tiktoken"}
    [sdk] = [one for one in required if re.match(r"openai\b", one)]
    assert sdk == "openai>=2.20,<4"
    assert JOBS["sdk"]["strategy"]["matrix"]["openai"] == ["==2.20.*", ">=2.20,<3"]
