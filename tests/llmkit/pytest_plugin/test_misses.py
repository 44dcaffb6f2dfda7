"""What replay cannot give fails the test that asked, whatever its code does about it."""

from __future__ import annotations

import pytest

from mockserver import MockServer
from tests.llmkit.pytest_plugin.conftest import Project


def test_an_unrecorded_request_fails_with_the_nearest_recording_and_the_command(
    project: Project, server: MockServer
) -> None:
    project.write(test_it="from app import ask_sdk as ask\ndef test_one(): ask('What is the capital of France?')\n")
    project.use(server)
    project.run("--record").assert_outcomes(passed=1)
    project.write(test_it="from app import ask_sdk as ask\ndef test_one(): ask('What is the capital of Spain?')\n")
    project.use_nothing()
    result = project.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "E * no recording of this request: the prompt changed (messages[[]0].content)",
            "E * asked * POST https://api.openai.com/v1/chat/completions",
            "E * interaction 1 of 1 differs in",
            "E * messages[[]0].content",
            'E * recorded  "What is the capital of France?"',
            'E * asked     "What is the capital of Spain?"',
            "E * record what is missing: pytest --record test_it.py::test_one",
        ]
    )
    result.stdout.no_fnmatch_line("*httpx2/_client.py*")  # the SDK's frames say nothing about the test


def test_a_test_that_swallows_a_miss_fails_all_the_same(project: Project) -> None:
    project.write(
        test_it="""
        from app import ask
        def test_one():
            try:
                ask()
            except BaseException:
                pass
        """
    )
    result = project.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*an error of replay was swallowed on the way*", "*no recording of this request*"])


def test_a_miss_that_the_application_wraps_is_still_shown(project: Project) -> None:
    project.write(
        test_it="""
        from app import ask
        def test_one():
            try:
                ask()
            except BaseException:
                raise RuntimeError("sorry, try later") from None
        """
    )
    result = project.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["*RuntimeError: sorry, try later", "*Captured llmkit: not recorded call*", "no recording of this request"]
    )


@pytest.mark.parametrize("content", ["", "version: 1\ninteractions: [", "version: 1\ninteractions:\n- request: 1\n"])
@pytest.mark.parametrize("options", [[], ["--record"], ["--record=all"]])
def test_a_broken_cassette_fails_its_test_with_file_and_line_and_is_kept(
    project: Project, server: MockServer, content: str, options: list[str]
) -> None:
    project.write(test_it="from app import ask\ndef test_one(): ask()\ndef test_other(): pass\n")
    cassette = project.path / "cassettes/test_it/test_one.yaml"
    cassette.parent.mkdir(parents=True)
    cassette.write_text(content)
    project.use(server)
    result = project.run(*options)
    result.assert_outcomes(failed=1, passed=1)
    result.stdout.re_match_lines([r"^_+ test_one _+$", r".*test_one\.yaml:\d+: broken cassette: .*Restore the file"])
    assert cassette.read_text() == content
    assert len(server.journal) == 0


def test_a_miss_swallowed_while_fixtures_are_torn_down_fails_the_test(project: Project) -> None:
    project.write(
        test_it="""
        import pytest
        from app import ask
        @pytest.fixture
        def careless():
            yield
            try:
                ask()
            except BaseException:
                pass
        def test_one(careless): pass
        """
    )
    result = project.run()
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*an error of replay was swallowed on the way*"])


def test_a_miss_that_leads_to_a_skip_fails_the_test(project: Project) -> None:
    project.write(
        test_it="""
        import pytest
        from app import ask
        def test_one():
            try:
                ask()
            except BaseException:
                pytest.skip("no network")
        """
    )
    project.run().assert_outcomes(failed=1)


def test_a_miss_in_a_test_of_anyio_leaves_its_other_tests_alone(project: Project) -> None:
    project.write(
        test_it="""
        import openai, pytest
        @pytest.fixture(scope="module")
        def anyio_backend(): return "asyncio"
        @pytest.fixture(scope="module")
        async def something(anyio_backend): yield 1
        @pytest.mark.anyio
        async def test_one(something):
            async with openai.AsyncOpenAI() as client:
                await client.embeddings.create(model="text-embedding-3-small", input="a")
        @pytest.mark.anyio
        async def test_two(something): assert something == 1
        """
    )
    project.run().assert_outcomes(failed=1, passed=1)
