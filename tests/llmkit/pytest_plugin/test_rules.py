"""What tells two requests not apart is said by the project, by a module and by a test."""

from __future__ import annotations

from mockserver import MockServer
from tests.llmkit.pytest_plugin.conftest import Project

INI = """
llmkit_ignore =
    metadata.run
    ?trace
llmkit_aliases =
    eu.example.com -> api.openai.com
    ?api-version=2024-06-01 -> ?api-version=2024-10-21
"""
MODULE = """
    import os, pytest, requests
    RUN = {run!r}
    KEY = {{"Authorization": "Bearer " + os.environ["OPENAI_API_KEY"], "api-key": "x"}}
    OPENAI = os.environ.get("OPENAI_BASE_URL", "https://api.openai.com/v1")
    AZURE = os.environ.get("AZURE_OPENAI_ENDPOINT", "https://resource.openai.azure.com")

    def post(url=OPENAI + "/chat/completions", **body):
        body = {{"model": "gpt-4o", "messages": [{{"role": "user", "content": "Hi"}}], **body}}
        assert requests.post(url, json=body, headers=KEY).status_code < 500
"""
PROJECT = """
    def test_ignored(): post(metadata={{"run": RUN, "kept": "1"}})
    def test_kept(): post(metadata={{"run": RUN, "kept": RUN}})
    def test_query(): post(OPENAI + f"/chat/completions?trace={{RUN}}")
    def test_other_query(): post(OPENAI + f"/chat/completions?other={{RUN}}")
    def test_version(): post(f"{{AZURE}}/openai/deployments/gpt-4o/chat/completions?api-version={{VERSION[RUN]}}")
    def test_other_version(): post(f"{{AZURE}}/openai/deployments/gpt-4o/chat/completions?api-version={{OTHER[RUN]}}")
    def test_user(): post(user=RUN)
    VERSION = {{"a": "2024-10-21", "b": "2024-06-01"}}
    OTHER = {{"a": "2024-10-21", "b": "2024-02-01"}}
    def test_host(): post(HOST[RUN] + "/chat/completions")
    HOST = {{"a": OPENAI, "b": "https://eu.example.com/v1"}}
"""
MARKED = """
    pytestmark = pytest.mark.cassette(ignore="user")
    def test_of_module(): post(user=RUN)
    @pytest.mark.cassette(ignore=["seed"])
    def test_of_both(): post(user=RUN, seed=ord(RUN))
    @pytest.mark.cassette(ignore=["messages[*].name"], aliases={{"other.example.com": "api.openai.com"}})
    def test_of_test():
        post(HOST[RUN] + "/chat/completions", messages=[{{"role": "user", "content": "Hi", "name": RUN}}])
    def test_without(): post(seed=ord(RUN))
    HOST = {{"a": OPENAI, "b": "https://other.example.com/v1"}}
"""
MISSING = {"test_kept", "test_other_query", "test_other_version", "test_user", "test_without"}


def write(project: Project, run: str) -> None:
    for name, tests in (("test_project", PROJECT), ("test_marked", MARKED)):
        project.write(**{name: (MODULE + tests).format(run=run)})


def test_what_is_ignored_or_an_alias_by_project_module_or_test_does_not_tell_requests_apart(
    project: Project, server: MockServer
) -> None:
    ini = project.path / "tox.ini"
    ini.write_text(f"{ini.read_text()}\n{INI}")
    write(project, "a")
    project.use(server)
    project.run("--record", "-o", "llmkit_allow=refusals").assert_outcomes(passed=12)
    project.use_nothing()
    write(project, "b")
    result = project.run("--tb=line", "-rfE", "-o", "llmkit_allow=refusals")
    failed = {line.split(" - ")[0].split("::")[1] for line in result.outlines if line.startswith("FAILED")}
    assert failed == MISSING
    result.assert_outcomes(passed=12 - len(MISSING), failed=len(MISSING))
