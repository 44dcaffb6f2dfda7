"""A suite is recorded once from a real server, and replays without it."""

from __future__ import annotations

import pytest
import yaml

from mockserver import MockServer, fault, reply
from tests.llmkit.pytest_plugin.conftest import Project


def test_a_suite_is_recorded_once_and_replays_without_server_or_key(project: Project, server: MockServer) -> None:
    project.write(test_it="from app import ask\ndef test_one(): assert ask()\ndef test_two(): assert ask('Bye')\n")
    project.use(server)
    recorded = project.run_anew("--record", "test_it.py")
    recorded.assert_outcomes(passed=2)
    recorded.stdout.fnmatch_lines(["llmkit: 2 recorded (* tokens in, * out, $*), 0 replayed; cassettes in cassettes/"])
    assert project.cassettes() == ["test_it/test_one.yaml", "test_it/test_two.yaml"]
    project.use_nothing()
    replayed = project.run_anew()
    replayed.assert_outcomes(passed=2)
    replayed.stdout.fnmatch_lines(
        [
            "llmkit: replaying from cassettes/, network sealed",
            "llmkit: 2 replayed (* tokens and $* saved); network sealed",
        ]
    )
    assert len(server.journal) == 2


def test_no_credential_reaches_a_cassette(project: Project, server: MockServer) -> None:
    project.write(test_it="from app import ask_sdk as ask\ndef test_one(): ask()\n")
    project.use(server)
    project.run("--record").assert_outcomes(passed=1)
    text = (project.path / "cassettes/test_it/test_one.yaml").read_text()
    assert "canary" not in text
    assert "127.0.0.1" not in text
    assert "https://api.openai.com/v1/chat/completions" in text


def test_record_replays_what_is_there_and_all_records_anew(project: Project, server: MockServer) -> None:
    project.write(test_it="from app import ask\ndef test_one(): ask()\n")
    project.use(server)
    project.run("--record").assert_outcomes(passed=1)
    project.run("--record").stdout.fnmatch_lines(["llmkit: 0 recorded * 1 replayed (* saved); *"])
    assert len(server.journal) == 1
    project.run("--record=all").stdout.fnmatch_lines(["llmkit: 1 recorded * 0 replayed; *"])
    assert len(server.journal) == 2


def test_a_failed_rerecording_keeps_what_it_did_not_reach(project: Project, server: MockServer) -> None:
    test = "from app import ask\ndef test_one():\n    ask('one')\n    {}\n    ask('two')\n"
    project.write(test_it=test.format("pass"))
    project.use(server)
    project.run("--record").assert_outcomes(passed=1)
    project.write(test_it=test.format("raise ZeroDivisionError"))
    server.script(reply("a new answer"))
    project.run("--record=all").assert_outcomes(failed=1)
    text = (project.path / "cassettes/test_it/test_one.yaml").read_text()
    assert len(yaml.safe_load(text)["interactions"]) == 2
    assert "a new answer" in text


def test_recording_without_a_key_is_left_to_the_sdk_to_refuse(project: Project) -> None:
    project.write(test_it="from app import ask_sdk as ask\ndef test_one(): ask()\n")
    result = project.run("--record")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*Missing credentials*OPENAI_API_KEY*"])


def test_a_key_that_a_conftest_loads_is_used_for_recording(project: Project, server: MockServer) -> None:
    project.write(
        conftest=f"""
        import os
        os.environ.setdefault("OPENAI_API_KEY", "sk-from-dotenv-0123")
        os.environ.setdefault("OPENAI_BASE_URL", {server.openai_url!r})
        """,
        test_it="from app import ask\ndef test_one(): ask()\n",
    )
    project.run("--record").assert_outcomes(passed=1)


def test_an_application_that_chooses_its_provider_by_variables_chooses_as_recorded(
    project: Project, server: MockServer
) -> None:
    project.write(
        test_it="""
        import os, openai
        def test_one():
            is_azure = bool(os.environ.get("AZURE_OPENAI_ENDPOINT"))
            client = openai.AzureOpenAI(api_version="2024-10-21") if is_azure else openai.OpenAI()
            with client:
                client.embeddings.create(model="text-embedding-3-small", input="a")
        """
    )
    project.use(server)
    for name in ("AZURE_OPENAI_ENDPOINT", "AZURE_OPENAI_API_KEY"):
        del project.variables[name]
    project.run("--record").assert_outcomes(passed=1)
    project.use_nothing()
    project.run("-o", "llmkit_dummy_credentials=openai").assert_outcomes(passed=1)


def test_a_refusal_of_a_failed_test_is_not_kept(project: Project) -> None:
    project.write(test_it="from app import ask\ndef test_one(): ask()\n")
    with MockServer(api_keys=["right"]) as server:
        project.use(server)
        project.run("--record").assert_outcomes(failed=1)
        assert project.cassettes() == []


def test_a_refusal_that_the_test_expects_is_recorded(project: Project) -> None:
    project.write(
        test_it="""
        import pytest, urllib.error
        from app import ask
        def test_one():
            with pytest.raises(urllib.error.HTTPError, match="401"):
                ask()
        """
    )
    with MockServer(api_keys=["right"]) as server:
        project.use(server)
        project.run("--record").assert_outcomes(passed=1)
    project.use_nothing()
    project.run().assert_outcomes(passed=1)


def test_a_failed_rerecording_never_replaces_a_good_recording_by_a_refusal(
    project: Project, server: MockServer
) -> None:
    project.write(test_it="from app import ask\ndef test_one(): ask()\n")
    project.use(server)
    project.run("--record").assert_outcomes(passed=1)
    server.script(fault.server_error(status=500))
    project.run("--record=all").assert_outcomes(failed=1)
    project.run().assert_outcomes(passed=1)


def test_a_request_without_a_reply_is_recorded_with_its_error(project: Project, server: MockServer) -> None:
    project.write(
        test_it="""
        import openai, pytest
        from app import ask_sdk as ask
        def test_one():
            with pytest.raises(openai.APITimeoutError):
                ask(timeout=0.5)
        """
    )
    project.use(server)
    server.script(fault.hang())
    project.run("--record").assert_outcomes(passed=1)
    project.use_nothing()
    project.run().assert_outcomes(passed=1)


def test_a_request_that_failed_before_it_was_sent_is_named_at_the_end(project: Project, server: MockServer) -> None:
    project.write(
        test_it="""
        import os, httpx, pytest
        def test_one():
            url = os.environ["OPENAI_BASE_URL"] + "/chat/completions"
            with pytest.raises(httpx.LocalProtocolError):
                httpx.post(url, headers={"no name": "x"})
        """
    )
    project.use(server)
    result = project.run("--record")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        ["llmkit: got no reply, and so can't be replayed: test_it.py::test_one: POST https://api*"]
    )


def test_what_an_interrupted_test_recorded_is_kept(project: Project, server: MockServer) -> None:
    project.write(test_it="from app import ask\ndef test_one():\n    ask()\n    raise KeyboardInterrupt\n")
    project.use(server)
    assert project.run("--record").ret == pytest.ExitCode.INTERRUPTED
    assert project.cassettes() == ["test_it/test_one.yaml"]


def test_a_refusal_that_leads_to_a_skip_is_recorded(project: Project, server: MockServer) -> None:
    project.write(
        test_it="""
        import pytest, urllib.error
        from app import ask
        def test_one():
            try:
                ask()
            except urllib.error.HTTPError:
                pytest.skip("not there")
        """
    )
    project.use(server)
    server.script(fault.refused(status=404, message="not there", type="invalid_request_error"))
    project.run("--record").assert_outcomes(skipped=1)
    project.use_nothing()
    project.run().assert_outcomes(skipped=1)
