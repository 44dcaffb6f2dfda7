"""The server as a process."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from mockserver.cli import main
from tests.mockserver.asking import AZURE_CHAT, CHAT, chat
from tests.mockserver.conftest import Serve

LISTENING = re.compile(r"mockserver listening on http://127\.0\.0\.1:(\d+)\n")


@contextmanager
def process(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A server process, once it listens, and its port; it must end by itself when told to."""
    command = [sys.executable, "-m", "mockserver", "--port", "0", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as started:
        try:
            assert started.stdout is not None
            first = LISTENING.fullmatch(started.stdout.readline())
            assert first, started.stderr and started.stderr.read()
            yield started, int(first[1])
        finally:
            started.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_says_where_it_listens_and_stops_on_a_signal(network_allowance: Any, number: signal.Signals) -> None:
    with process() as (started, port):
        network_allowance.allow("127.0.0.1", port)
        url = f"http://127.0.0.1:{port}"
        assert httpx.post(url + CHAT, headers={"authorization": "Bearer any"}, json=chat()).status_code == 200
        os.kill(started.pid, number)
        assert started.wait(10) == 0


def test_its_options_are_those_of_the_server(network_allowance: Any, tmp_path: Path) -> None:
    file = tmp_path / "script.yaml"
    file.write_text("steps: [{reply: Hello}]")
    options = ("--script", str(file), "--deployment", "chat=gpt-4.1", "--api-key", "secret-key", "--seed", "3")
    with process(*options) as (_, port), httpx.Client(base_url=f"http://127.0.0.1:{port}") as http:
        network_allowance.allow("127.0.0.1", port)
        assert http.post(AZURE_CHAT, headers={"api-key": "other"}, json=chat()).status_code == 401
        body = http.post(AZURE_CHAT, headers={"api-key": "secret-key"}, json=chat()).json()
    assert body["model"] == "gpt-4.1-2025-04-14"
    assert body["choices"][0]["message"]["content"] == "Hello"


def test_a_hanging_request_does_not_keep_it_alive(network_allowance: Any, tmp_path: Path) -> None:
    file = tmp_path / "script.yaml"
    file.write_text("steps: [{fault: hang}]")
    with process("--script", str(file)) as (started, port):
        network_allowance.allow("127.0.0.1", port)
        url = f"http://127.0.0.1:{port}"
        asking = threading.Thread(target=_ask_in_vain, args=(url,))
        asking.start()
        while not httpx.get(f"{url}/__admin/journal").json()["exchanges"]:
            pass
        started.terminate()
        assert started.wait(10) == 0
        asking.join(10)


def test_a_running_stream_is_finished_before_it_ends(network_allowance: Any, tmp_path: Path) -> None:
    file = tmp_path / "script.yaml"
    file.write_text("steps: [{reply: one two three four five, chunk_delay_s: 0.1}]")
    with process("--script", str(file)) as (started, port):
        network_allowance.allow("127.0.0.1", port)
        url = f"http://127.0.0.1:{port}{CHAT}"
        with httpx.stream("POST", url, headers={"authorization": "Bearer any"}, json=chat(stream=True)) as response:
            lines = response.iter_lines()
            next(lines)
            started.terminate()
            assert list(lines)[-2] == "data: [DONE]"
        assert started.wait(10) == 0


def test_a_second_signal_does_not_wait_for_it(network_allowance: Any, tmp_path: Path) -> None:
    file = tmp_path / "script.yaml"
    file.write_text("steps: [{reply: one two three four five, chunk_delay_s: 60}]")
    with process("--script", str(file)) as (started, port):
        network_allowance.allow("127.0.0.1", port)
        url = f"http://127.0.0.1:{port}{CHAT}"
        with httpx.stream("POST", url, headers={"authorization": "Bearer any"}, json=chat(stream=True)) as response:
            lines = response.iter_lines()
            next(lines)
            started.terminate()
            wait_until_it_refuses(port)
            started.terminate()
            assert started.wait(10) == 0
            with pytest.raises(httpx.RemoteProtocolError):
                list(lines)


def wait_until_it_refuses(port: int) -> None:
    """Return when the server takes no connections any more: it has heard the first signal."""
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            return


def _ask_in_vain(url: str) -> None:
    with pytest.raises(httpx.TransportError):
        httpx.post(url + CHAT, headers={"authorization": "Bearer any"}, json=chat(), timeout=30)


def test_a_taken_port_is_one_line_and_exit_2(serve: Serve, capsys: pytest.CaptureFixture[str]) -> None:
    port = serve().port
    assert main(["--port", str(port)]) == 2
    complaint = capsys.readouterr().err
    assert complaint.startswith(f"mockserver: cannot listen on 127.0.0.1:{port}: ")
    assert complaint.count("\n") == 1


def test_a_bad_script_is_one_line_and_exit_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "script.yaml"
    file.write_text("steps:\n- fault: rate_limitd")
    assert main(["--script", str(file)]) == 2
    complaint = capsys.readouterr().err
    assert complaint.startswith(f"mockserver: {file}:2: unknown fault 'rate_limitd'; did you mean 'rate_limited'?")
    assert complaint.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--port", "99999"], "'99999' is no port; it takes a whole number from 0 to 65535"),
        (["--port", "x"], "'x' is no port"),
        (["--port", "80²"], "'80²' is no port; it takes a whole number from 0 to 65535"),
        (["--port", "٣"], "'٣' is no port"),
        (["--port", "9" * 5000], "is no port; it takes a whole number from 0 to 65535"),
        (["--deployment", "chat"], "'chat' is no deployment; write NAME=MODEL, for example chat=gpt-4o"),
        (["--deployment", "chat=gpt-99"], "'chat=gpt-99' is no deployment"),
    ],
)
def test_wrong_arguments_say_what_is_right(
    capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert main(arguments) == 2
    assert message in " ".join(capsys.readouterr().err.split())


def test_without_aiohttp_it_is_one_line_and_exit_2() -> None:
    code = "import sys; sys.modules['aiohttp'] = None; from mockserver.cli import main; sys.exit(main(['--port', '0']))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert run.stderr == "mockserver: the server needs aiohttp: pip install 'llmkit[testing]'\n"


def test_beyond_loopback_it_warns(serve: Serve, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", 0))
        taken.listen()
        main(["--host", "0.0.0.0", "--port", str(taken.getsockname()[1])])
    assert "warning: 0.0.0.0 can be reached from other machines" in capsys.readouterr().err


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_on_loopback_it_does_not(serve: Serve, capsys: pytest.CaptureFixture[str], host: str) -> None:
    main(["--host", host, "--port", str(serve().port)])
    assert "warning" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("word", "message"),
    [("bomb", "'bomb' is no word to filter; write WORD=CATEGORY:SEVERITY"), ("bomb=fear:high", "fear")],
)
def test_a_word_to_filter_needs_category_and_severity(
    capsys: pytest.CaptureFixture[str], word: str, message: str
) -> None:
    assert main(["--filtered-word", word]) == 2
    assert message in " ".join(capsys.readouterr().err.split())
