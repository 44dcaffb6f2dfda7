"""What a sealed process starts is sealed too, and tells."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from llmkit.recording.addresses import Address
from llmkit.recording.sealing.seal import Seal

ELSEWHERE = "192.0.2.1"  # reserved for documentation: no one is there, should the seal leak
URLLIB = f"import urllib.request; urllib.request.urlopen('http://{ELSEWHERE}/', timeout=1)"
ASYNCIO = f"import asyncio; asyncio.run(asyncio.open_connection('{ELSEWHERE}', 80))"
LOOKUP = "import socket; socket.getaddrinfo('example.com', 443)"
UVLOOP = f"import asyncio, uvloop; uvloop.run(asyncio.open_connection('{ELSEWHERE}', 80))"
GRANDCHILD = (
    f"import subprocess, sys; sys.exit(subprocess.run([sys.executable, '-c', {LOOKUP!r}], env={{}}).returncode)"
)
TAKEN_OVER = """
import os, subprocess, sys
from llmkit.recording.sealing import seal
if (inherited := seal.inherited()) is not None: inherited.open()
"""


class Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "4")
        self.end_headers()
        self.wfile.write(b"here")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def port() -> Iterator[int]:
    """A web server of this machine."""
    with HTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def python(
    code: str, *options: str, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *options, "-c", code]
    return subprocess.run(command, env=env, cwd=cwd, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("env", [None, {}, {"PATH": "/bin", "PYTHONPATH": "/nowhere", "HTTPS_PROXY": "http://proxy"}])
@pytest.mark.parametrize("code", [URLLIB, ASYNCIO, LOOKUP])
def test_a_python_child_is_sealed(seal: Seal, code: str, env: Mapping[str, str] | None) -> None:
    child = python(code, env=env)
    assert child.returncode != 0
    assert "NetworkSealed: the network is sealed: " in child.stderr
    assert "was refused in the child process" in child.stderr
    (refused,) = seal.refused_children()
    assert "in the child process" in str(refused)
    assert seal.refused == [refused]
    assert seal.refused_children() == []


def test_a_python_child_with_uvloop_is_sealed(seal: Seal) -> None:
    pytest.importorskip("uvloop", reason="uvloop is not installed")
    assert "NetworkSealed" in python(UVLOOP).stderr
    assert len(seal.refused_children()) == 1


def test_a_childs_child_is_sealed_also_with_an_environment_of_its_own(seal: Seal) -> None:
    assert "NetworkSealed" in python(GRANDCHILD).stderr
    assert len(seal.refused_children()) == 1


def _shell() -> int:
    return os.waitstatus_to_exitcode(os.system(f'"{sys.executable}" -c "{LOOKUP}" 2>/dev/null'))


def _spawn() -> int:
    return os.spawnve(os.P_WAIT, sys.executable, [sys.executable, "-c", f"import sys; sys.stderr = None; {LOOKUP}"], {})


def _posix_spawn() -> int:
    quiet = [(os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0)]
    pid = os.posix_spawn(sys.executable, [sys.executable, "-c", LOOKUP], {}, file_actions=quiet)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


async def _start_by_the_loop() -> int:
    command = (sys.executable, "-c", LOOKUP)
    child = await asyncio.create_subprocess_exec(*command, env={"A": "b"}, stderr=asyncio.subprocess.DEVNULL)
    return await child.wait()


def _asyncio() -> int:
    return asyncio.run(_start_by_the_loop())


def _uvloop() -> int:
    uvloop = pytest.importorskip("uvloop", reason="uvloop is not installed")
    code: int = uvloop.run(_start_by_the_loop())
    return code


@pytest.mark.parametrize("start", [_shell, _spawn, _posix_spawn, _asyncio, _uvloop])
def test_however_a_child_is_started_it_is_sealed(seal: Seal, start: Callable[[], int]) -> None:
    assert start() != 0
    assert len(seal.refused_children()) == 1


def _look_up() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # the traceback is expected
    socket.getaddrinfo("example.com", 443)


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_the_children_of_multiprocessing_are_sealed(seal: Seal, method: str) -> None:
    if method == "forkserver":
        pytest.skip("the server of forks outlives the seal it was started under")
    context: Any = multiprocessing.get_context(method)
    process = context.Process(target=_look_up)
    process.start()
    process.join()
    assert process.exitcode == 1
    assert len(seal.refused_children()) == 1


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_a_child_that_honours_proxies_is_sealed(seal: Seal, port: int) -> None:
    def curl(url: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["curl", "-sS", url], capture_output=True, text=True, timeout=60)

    assert "network-sealed-by-llmkit" in curl("http://example.com/").stderr
    assert curl(f"http://127.0.0.1:{port}/").stdout == "here"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_child_reaches_this_machine(seal: Seal, port: int, host: str) -> None:
    code = f"import urllib.request; print(urllib.request.urlopen('http://{host}:{port}/').read())"
    assert python(code).stdout == "b'here'\n"
    assert seal.refused_children() == []


def test_a_child_reaches_an_allowed_host(seal: Seal) -> None:
    code = "import socket; socket.socket(type=socket.SOCK_DGRAM).connect(('192.0.2.9', 9))"  # nothing is sent
    assert python(code, "-Wignore").returncode == 0


def test_a_child_may_not_reach_the_provider_on_this_machine_that_its_parent_may_not(port: int) -> None:
    reached = f"import socket; socket.create_connection(('127.0.0.1', {port})).close()"
    seal = Seal(is_allowed=lambda address: address != Address("localhost", port))
    seal.close()
    try:
        assert (
            "the provider at localhost"
            in python(reached, env={"OPENAI_BASE_URL": f"http://localhost:{port}/v1"}).stderr
        )
        assert python(reached, env={"OPENAI_BASE_URL": "http://localhost:1/v1"}).returncode == 0
    finally:
        seal.open()


def test_neither_the_process_nor_a_python_child_sees_the_variables(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("HTTPS_PROXY", "http://user's.example:1")
    before = dict(os.environ)
    seal = Seal()
    seal.close()
    try:
        code = "import json, os, sys; print(json.dumps([dict(os.environ), sys.path]))"
        seen, path = eval(python(code).stdout)
        assert dict(os.environ) == before
        assert before.items() <= seen.items()
        assert not [name for name in seen.keys() - before.keys() if "PROXY" in name.upper() or "LLMKIT" in name]
        assert str(tmp_path) in path
        assert not [part for part in path if "inherited" in part]
    finally:
        seal.open()


def test_a_variable_that_the_test_sets_reaches_the_child_and_does_not_unseal_it(
    seal: Seal, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (tmp_path / "of_the_test.py").touch()
    child = python(f"import of_the_test; {LOOKUP}")
    assert "NetworkSealed" in child.stderr


def test_a_child_of_multiprocessing_is_sealed_whatever_the_test_sets(
    seal: Seal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", "/nowhere")
    context: Any = multiprocessing.get_context("spawn")
    process = context.Process(target=_look_up)
    process.start()
    process.join()
    assert process.exitcode == 1
    assert len(seal.refused_children()) == 1


def test_a_childs_shell_is_sealed(seal: Seal) -> None:
    look_up = f' -c "{LOOKUP}"'
    code = f"import os, sys; os.system(sys.executable + {look_up!r})"
    assert "NetworkSealed" in python(code).stderr


def test_a_child_that_honours_proxies_reaches_allowed_hosts_without(seal: Seal) -> None:
    variables = subprocess.run(["env"], capture_output=True, text=True, timeout=60).stdout.splitlines()
    (direct,) = (line for line in variables if line.startswith("NO_PROXY="))
    assert "192.0.2.9" in direct
    assert "127.0.0.1" in direct


def test_opening_the_seal_leaves_children_what_they_had() -> None:
    code = f"""{TAKEN_OVER}
os.environ["PYTHONPATH"], os.environ["no_proxy"] = "/a", "b"
def variables():
    lines = subprocess.run(["env"], capture_output=True, text=True).stdout.splitlines()
    return {{line for line in lines if not line.startswith("_=")}}
before, popen = variables(), subprocess.Popen.__init__
closed = seal.Seal()
closed.close()
assert before != variables() and popen is not subprocess.Popen.__init__
os.environ["PYTHONPATH"] = "/c"
closed.open()
assert variables() ^ before == {{"PYTHONPATH=/a", "PYTHONPATH=/c"}}, variables() ^ before
assert popen is subprocess.Popen.__init__
"""
    child = python(code, env={"HOME": "/"})
    assert child.returncode == 0, child.stderr


def test_a_child_takes_over_by_opening_what_it_inherits(seal: Seal) -> None:
    refused = f"{TAKEN_OVER}import socket\nsocket.socket(type=socket.SOCK_DGRAM).connect(('{ELSEWHERE}', 9))"
    child = python(refused, "-Wignore")
    assert child.returncode == 0, child.stderr
    assert seal.refused_children() == []


def test_a_child_takes_over_by_closing_a_seal_of_its_own(seal: Seal) -> None:
    connects = f"socket.socket(type=socket.SOCK_DGRAM).connect(('{ELSEWHERE}', 9))"
    begins = "import socket\nfrom llmkit.recording.sealing.seal import Seal"
    closes = f"{begins}\nown = Seal(allowed_hosts=frozenset({{'{ELSEWHERE}'}}))"
    child = python(f"{closes}\nown.close()\n{connects}\nown.open()\n{connects}", "-Wignore")
    assert child.returncode == 0, child.stderr
    assert seal.refused_children() == []


def test_a_process_that_inherits_nothing_says_so() -> None:
    code = "from llmkit.recording.sealing import seal\nassert seal.inherited() is None"
    assert python(code, "-E").returncode == 0


def test_a_sitecustomize_of_the_project_is_run_too(seal: Seal, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import builtins; builtins.customized = __file__")
    child = python(
        f"import sitecustomize; print(customized, sitecustomize.__file__)\n{LOOKUP}", env={"PYTHONPATH": str(tmp_path)}
    )
    where = str(tmp_path / "sitecustomize.py")
    assert child.stdout == f"{where} {where}\n"
    assert "NetworkSealed" in child.stderr


def test_a_python_without_llmkit_keeps_the_proxies_and_says_nothing(seal: Seal) -> None:
    command = [getattr(sys, "_base_executable", sys.executable), "-c", "import os; print(os.environ['HTTPS_PROXY'])"]
    env = {"PYTHONNOUSERSITE": "1"}
    child = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)
    if "KeyError" in child.stderr:
        pytest.skip("this Python is no virtual environment: there is none without llmkit")
    assert child.stdout == "http://network-sealed-by-llmkit.localhost:9\n"
    assert child.stderr == ""


def test_a_child_that_needs_no_network_pays_next_to_nothing(seal: Seal) -> None:
    code = "import sys; print(*sys.modules)"
    unsealed = python(code, "-I").stdout.split()  # where coverage measures children, it imports some itself
    added = set(python(code).stdout.split()) - set(unsealed)
    assert "llmkit_inherited_seal" in added
    roots = {name.partition(".")[0] for name in added - {"llmkit.recording.audit"}}
    assert roots & {"llmkit", "typing", "re"} == set()


def test_the_seal_is_light() -> None:
    heavy = "{'vcr', 'openai', 'yaml', 'asyncio', 'httpx', 'pydantic', 'tempfile', 'subprocess'}"
    code = f"import llmkit.recording.sealing.seal, sys; print({heavy} & set(sys.modules))"
    assert python(code, "-I").stdout == "set()\n"


def test_coverage_measures_a_sealed_child(seal: Seal, tmp_path: Path) -> None:
    (tmp_path / "measured.py").write_text("import socket\n")
    (tmp_path / ".coveragerc").write_text("[run]\nparallel = true\n")
    env = {"COVERAGE_PROCESS_START": str(tmp_path / ".coveragerc")}
    assert python("import measured", env=env, cwd=tmp_path).returncode == 0
    assert list(tmp_path.glob(".coverage.*"))


def test_the_report_is_gone_with_the_seal() -> None:
    code = f"{TAKEN_OVER}closed = seal.Seal()\nclosed.close()\nprint(closed._report.path)\nclosed.open()"
    path = Path(python(code).stdout.strip())
    assert path.name.startswith("llmkit-seal-")
    assert not path.exists()


def test_the_report_outlives_a_forked_child() -> None:
    code = f"""{TAKEN_OVER}
closed = seal.Seal()
closed.close()
if (pid := os.fork()) == 0: sys.exit()
os.waitpid(pid, 0)
assert os.path.exists(closed._report.path)
"""
    child = python(code)
    assert child.returncode == 0, child.stderr


def test_a_forked_child_leaves_the_report_to_its_parent(seal: Seal) -> None:
    pid = os.fork()
    if pid == 0:
        try:
            socket.getaddrinfo("example.com", 443)
        except BaseException:
            os._exit(3)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 3
    (refused,) = seal.refused_children()
    assert f"in the child process {pid}" in str(refused)


def test_closing_and_opening_costs_little() -> None:
    seal = Seal()
    started = time.perf_counter()
    for _ in range(100):
        seal.close()
        seal.open()
    assert time.perf_counter() - started < 1  # 10 ms each, of some 0.1


def test_a_child_with_a_seal_of_its_own_starts_children(seal: Seal) -> None:
    code = (
        "import subprocess, sys\nfrom llmkit.recording.sealing.seal import Seal\nown = Seal()\nown.close()\n"
        "sys.exit(subprocess.run([sys.executable, '-c', 'pass']).returncode)"
    )
    child = python(code, "-Wignore")
    assert child.returncode == 0, child.stderr
