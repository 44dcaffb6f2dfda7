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
PLUGINS = {
    "async def": "pytest_asyncio.plugin",
    "anyio": "anyio.pytest_plugin",
    "mockserver": "mockserver.pytest_plugin",
    "-n": "xdist.plugin",
}
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
        pytester.makeini("[pytest]\npythonpath = .\n")
        monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")

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
        plugins = [word for name in self._plugins(options) for word in ("-p", name)]
        return self._pytester.runpytest_subprocess("-p", "no:cacheprovider", *plugins, *options, timeout=120)

    def _plugins(self, options: tuple[str, ...]) -> Iterator[str]:
        """Name the plugins that the project needs: the others, imported by each of so many runs, take a third of it."""
        yield "llmkit.pytest_plugin"
        written = "".join(path.read_text(encoding="utf-8") for path in self.path.rglob("*.py"))
        for word, plugin in PLUGINS.items():
            if word in written or any(word in option for option in options):
                yield plugin

    def cassettes(self) -> list[str]:
        below = self.path / "cassettes"
        return sorted(str(path.relative_to(below)) for path in below.rglob("*.yaml"))


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Project:
    return Project(pytester, monkeypatch)
