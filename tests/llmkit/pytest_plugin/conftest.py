"""A user's project, whose suite is run as a pytest process of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mockserver import MockServer
from tests.llmkit.pytest_plugin.upstream import Upstream

# the light client is enough for most tests; importing the SDK takes a second of each run
APPLICATION = """
    import json, os, urllib.request

    def ask(content="Hi", **options):
        url = os.environ.get("OPENAI_BASE_URL", "https://api.openai.com/v1") + "/chat/completions"
        body = {"model": "gpt-4o", "messages": [{"role": "user", "content": content}], **options}
        headers = {"Authorization": "Bearer " + os.environ["OPENAI_API_KEY"], "Content-Type": "application/json"}
        with urllib.request.urlopen(urllib.request.Request(url, json.dumps(body).encode(), headers)) as reply:
            return json.load(reply)["choices"][0]["message"]["content"]

    def ask_sdk(content="Hi", **options):
        import openai

        with openai.OpenAI(max_retries=0) as client:
            messages = [{"role": "user", "content": content}]
            reply = client.chat.completions.create(model="gpt-4o", messages=messages, **options)
            return reply.choices[0].message.content
"""
VARIABLES = ("OPENAI_API_KEY", "OPENAI_BASE_URL", "AZURE_OPENAI_API_KEY", "AZURE_OPENAI_ENDPOINT", "OPENAI_ORG_ID")


@pytest.fixture
def server() -> Iterator[MockServer]:
    with MockServer() as server:
        yield server


class Project:
    """A user's project in a directory of its own."""

    def __init__(self, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
        self._pytester = pytester
        self._monkeypatch = monkeypatch
        self.path = pytester.path
        for name in VARIABLES:
            monkeypatch.delenv(name, raising=False)
        pytester.makepyfile(app=APPLICATION)
        pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function\npythonpath = .\n")

    def write(self, **files: str) -> None:
        self._pytester.makepyfile(**files)

    def use(self, server: MockServer | Upstream) -> None:
        self._monkeypatch.setenv("OPENAI_BASE_URL", server.openai_url)
        self._monkeypatch.setenv("OPENAI_API_KEY", "sk-canary-0123456789")
        self._monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", server.url)
        self._monkeypatch.setenv("AZURE_OPENAI_API_KEY", "canary-azure-0123456789")

    def use_nothing(self) -> None:
        for name in VARIABLES:
            self._monkeypatch.delenv(name, raising=False)

    def run(self, *options: str) -> pytest.RunResult:
        return self._pytester.runpytest_subprocess("-p", "no:cacheprovider", *options, timeout=60)

    def cassettes(self) -> list[str]:
        below = self.path / "cassettes"
        return sorted(str(path.relative_to(below)) for path in below.rglob("*.yaml"))


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Project:
    return Project(pytester, monkeypatch)
