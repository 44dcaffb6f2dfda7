"""HTTPS, with a certificate of the test's own."""

import re
import shutil
import ssl
import subprocess
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from mockserver import fault, reply
from mockserver.cli import main
from mockserver.tls import context_of
from tests.mockserver.asking import CHAT, chat, user
from tests.mockserver.conftest import KEY, Serve

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl here to make a certificate with")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for this machine with its key, in one file."""
    folder = tmp_path_factory.mktemp("tls")
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")]
    kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    subprocess.run(["openssl", "req", "-x509", *kind, *names, *files], check=True, capture_output=True)
    both = folder / "both.pem"
    both.write_bytes((folder / "cert.pem").read_bytes() + (folder / "key.pem").read_bytes())
    return both


def test_the_sdk_speaks_to_it_over_https(serve: Serve, certificate: Path) -> None:
    server = serve(tls=context_of((str(certificate), None)), script=[reply("one two three"), reply("plain")])
    assert server.openai_url.startswith("https://")
    trust = httpx.Client(verify=ssl.create_default_context(cafile=str(certificate)), headers=auth())
    with trust, trust.stream("POST", server.url + CHAT, json=chat(stream=True)) as response:
        assert response.read().endswith(b"data: [DONE]\n\n")
    with openai.OpenAI(base_url=server.openai_url, api_key=KEY, max_retries=0) as untrusting:
        with pytest.raises(openai.APIConnectionError):
            untrusting.chat.completions.create(model="gpt-4o", messages=user())


def auth() -> dict[str, str]:
    return {"authorization": f"Bearer {KEY}"}


def test_faults_act_through_it(serve: Serve, certificate: Path) -> None:
    server = serve(tls=context_of((str(certificate), None)), script=[fault.reset(), reply("back")])
    verify = ssl.create_default_context(cafile=str(certificate))
    with httpx.Client(verify=verify, headers=auth()) as http:
        with pytest.raises(httpx.TransportError):
            http.post(server.url + CHAT, json=chat())
        assert "back" in http.post(server.url + CHAT, json=chat()).text


def test_before_a_reset_all_frames_go_out(serve: Serve, certificate: Path) -> None:
    cut = fault.cut(at="done", how="rst", times="forever")
    server = serve(tls=context_of((str(certificate), None)), script=[cut], seed=1)
    verify = ssl.create_default_context(cafile=str(certificate))
    with httpx.Client(verify=verify, headers=auth()) as http:
        whole = {_until_reset(http, server.url) for _ in range(6)}
    assert len(whole) == 1
    assert b'"finish_reason":"stop"' in whole.pop()


def _until_reset(http: httpx.Client, url: str) -> bytes:
    got = b""
    with pytest.raises(httpx.TransportError), http.stream("POST", url + CHAT, json=long()) as response:
        for piece in response.iter_raw():
            got += piece
    return re.sub(rb'"obfuscation":"[^"]*"', b"", got)


def long() -> dict[str, Any]:
    """A stream of many frames."""
    return chat(stream=True, n=12)


def test_what_is_no_certificate_is_one_line_and_exit_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = tmp_path / "wrong.pem"
    wrong.write_text("no certificate")
    assert main(["--tls-cert", str(wrong)]) == 2
    assert "it takes a certificate and its key in PEM" in " ".join(capsys.readouterr().err.split())
