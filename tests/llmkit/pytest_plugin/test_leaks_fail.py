"""A reply that carries a secret fails its test and leaves no cassette, and the secret is not shown."""

from __future__ import annotations

import json
import random
import string

import pytest

from tests.llmkit.pytest_plugin.conftest import Project
from tests.llmkit.pytest_plugin.upstream import Upstream, completion, stream

_random = random.Random(7)


def drawn(length: int, alphabet: str = string.ascii_letters + string.digits) -> str:
    return "".join(_random.choices(alphabet, k=length))


SECRETS = {
    "sk-proj": f"sk-proj-{drawn(48)}",
    "sk-ant": f"sk-ant-api03-{drawn(60)}",
    "ghp": f"ghp_{drawn(36)}",
    "AKIA": f"AKIA{drawn(16, string.ascii_uppercase + string.digits)}",
    "xoxb": f"xoxb-{drawn(12, string.digits)}-{drawn(24)}",
    "AIza": f"AIza{drawn(35)}",
    "glpat": f"glpat-{drawn(20)}",
    "PEM": f"-----BEGIN RSA PRIVATE KEY-----\n{drawn(64)}\n{drawn(64)}\n-----END RSA PRIVATE KEY-----",
}
SECRET = SECRETS["sk-proj"]
SPLIT = (SECRET[:5], SECRET[5:20], SECRET[20:])

TESTS = f"""
    import pytest
    from app import ask

    @pytest.mark.parametrize("kind", {list(SECRETS)!r})
    def test_kind(kind): ask(kind)

    def test_after_others():
        ask("harmless")
        ask("also harmless")
        ask("sk-proj")

    def test_and_goes_on():
        ask("sk-proj")
        ask("harmless")

    def test_caught():
        try:
            ask("sk-proj")
        except BaseException: pass

    def test_there_before():
        ask("harmless")
        if {{is_later}}: ask("sk-proj")

    def test_failing():
        ask("sk-proj")
        assert False, "for a reason of its own"

    @pytest.fixture(scope="module")
    def wide(): return ask("wide") and ask("sk-proj")
    def test_of_a_fixture(wide): pass

    @pytest.fixture
    def narrow():
        yield
        ask("sk-proj")
    def test_of_a_teardown(narrow): ask("harmless")

    def test_split():
        import openai
        with openai.OpenAI() as client:
            messages = [dict(role="user", content="split")]
            list(client.chat.completions.create(model="gpt-4o", messages=messages, stream=True))

    def test_innocent(): ask("harmless")
"""
FAILING = {
    *(f"test_kind[{kind}]" for kind in SECRETS),
    *("test_after_others", "test_and_goes_on", "test_caught", "test_there_before", "test_failing"),
    *("test_of_a_fixture", "test_of_a_teardown", "test_split"),
}


def answers() -> dict[str, bytes]:
    told = {kind: completion(f"Take this: {secret}.") for kind, secret in SECRETS.items()}
    return {**told, "split": stream("Take this: ", *SPLIT, ".")}


def failed(result: pytest.RunResult) -> set[str]:
    lines = (line for line in result.outlines if line.startswith(("FAILED", "ERROR ")))
    return {line.split(" - ")[0].split("::")[1] for line in lines}


def assert_hidden(result: pytest.RunResult, project: Project) -> None:
    shown = "\n".join([*result.outlines, *result.errlines])
    stored = "\n".join((project.path / "cassettes" / name).read_text() for name in project.cassettes())
    for secret in SECRETS.values():
        for text in (secret, json.dumps(secret)[1:-1], secret[-20:]):
            assert text not in shown, "a secret is shown"
            assert text not in stored, "a secret is stored"


def test_a_reply_with_a_secret_fails_its_test_and_leaves_no_cassette(project: Project) -> None:
    project.write(test_it=TESTS.format(is_later=False))
    with Upstream() as upstream:
        project.use(upstream)
        project.run("--record", "-k", "there_before").assert_outcomes(passed=1)
        old = project.path / "cassettes/test_it/test_there_before.yaml"
        before = old.read_bytes()
        upstream.answers |= answers()
        project.write(test_it=TESTS.format(is_later=True))
        result = project.run("--record", "--tb=short", "-rfE")
    assert failed(result) == FAILING
    assert project.cassettes() == ["test_it/test_innocent.yaml", "test_it/test_there_before.yaml"]
    assert old.read_bytes() == before
    assert_hidden(result, project)
    result.stdout.fnmatch_lines_random(
        ["1 secret found, nothing was written to *test_split.yaml:", "  OpenAI key sk-proj-* in response.body choices*"]
    )


def test_what_is_allowed_with_a_reason_passes_and_without_one_is_a_usage_error(project: Project) -> None:
    project.write(test_it="from app import ask\ndef test_one(): ask('sk-proj')\n")
    ini = project.path / "tox.ini"
    with Upstream() as upstream:
        project.use(upstream)
        upstream.answers |= answers()
        result = project.run("--record")
        result.assert_outcomes(failed=1)
        result.stdout.fnmatch_lines(["llmkit: 1 paid for (*), 1 of them not written, 0 replayed; *"])
        digest = next(line.split("(digest ")[1].rstrip(")") for line in result.outlines if "(digest " in line)
        plain = ini.read_text()
        ini.write_text(f"{plain}\nllmkit_allowed_secrets = {digest}:\n")
        refused = project.run("--record")
        assert refused.ret == pytest.ExitCode.USAGE_ERROR
        refused.stderr.fnmatch_lines(["*llmkit_allowed_secrets: allowed secret 1 (*) has no reason*"])
        ini.write_text(f"{plain}\nllmkit_allowed_secrets = {digest}: made up for this test\n")
        project.run("--record").assert_outcomes(passed=1)
    assert project.cassettes() == ["test_it/test_one.yaml"]


def test_the_key_of_the_application_is_scrubbed_where_a_reply_echoes_it(project: Project) -> None:
    project.write(test_it="from app import ask\ndef test_one(): ask('echo'), ask('other')\n")
    with Upstream() as upstream:
        project.use(upstream)
        project.variables["OPENAI_API_KEY"] = SECRETS["sk-proj"]
        project.variables["MY_OTHER_API_KEY"] = SECRETS["sk-ant"]
        upstream.answers |= {
            "echo": completion(f"Your key is {SECRETS['sk-proj']}"),
            "other": completion(f"and {SECRETS['sk-ant']}"),
        }
        result = project.run("--record")
    result.assert_outcomes(passed=1)
    assert_hidden(result, project)
    project.use_nothing()
    project.run().assert_outcomes(passed=1)
