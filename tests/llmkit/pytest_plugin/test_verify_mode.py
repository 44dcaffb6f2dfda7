"""``--record=verify``: the live API is asked, nothing is written, and what differs in structure is named."""

from __future__ import annotations

from tests.llmkit.pytest_plugin.conftest import Project
from tests.llmkit.pytest_plugin.upstream import Upstream, completion, stream

# a test for each way to ask, each asking by its own name
TESTS = """
    import os
    import httpx, openai, pytest, requests
    from app import ask

    URL = os.environ.get("OPENAI_BASE_URL", "https://api.openai.com/v1")

    def messages(text): return [{"role": "user", "content": text}]
    def request(text): return dict(
        url=URL + "/chat/completions", json={"model": "gpt-4o", "messages": messages(text)},
        headers={"Authorization": "Bearer " + os.environ["OPENAI_API_KEY"]},
    )

    def test_same(): assert ask("same") == "Hello"
    def test_added(): ask("added")
    def test_gone(): httpx.post(**request("gone")).json()
    def test_type(): requests.post(**request("type")).json()
    def test_model(): requests.post(**request("model")).json()
    def test_finish():
        with openai.OpenAI() as client:
            client.chat.completions.create(model="gpt-4o", messages=messages("finish"))
    @pytest.mark.parametrize("text", ["whole", "grammar", "undone"])
    def test_stream(text):
        with openai.OpenAI() as client:
            list(client.chat.completions.create(model="gpt-4o", messages=messages(text), stream=True))
    @pytest.mark.asyncio
    @pytest.mark.parametrize("text", ["async", "async gone"])
    async def test_async(text):
        async with openai.AsyncOpenAI() as client:
            await client.chat.completions.create(model="gpt-4o", messages=messages(text))
    @pytest.mark.asyncio
    @pytest.mark.parametrize("text", ["async whole", "async grammar"])
    async def test_async_stream(text):
        async with openai.AsyncOpenAI() as client:
            chunks = await client.chat.completions.create(model="gpt-4o", messages=messages(text), stream=True)
            assert [chunk async for chunk in chunks]
    @pytest.fixture(scope="module")
    def wide(): return ask("wide")
    def test_of_a_fixture(wide): pass
"""
STREAMED = ("whole", "grammar", "undone", "async whole", "async grammar")
TESTS_COUNT = 14


def bytes_of(project: Project) -> dict[str, bytes]:
    return {name: (project.path / "cassettes" / name).read_bytes() for name in project.cassettes()}


def test_verify_calls_the_live_api_writes_nothing_and_fails_on_breaking_drift(project: Project) -> None:
    project.write(test_it=TESTS)
    with Upstream() as upstream:
        project.use(upstream)
        upstream.answers |= {name: stream("Hel", "lo") for name in STREAMED}
        project.run_anew("--record").assert_outcomes(passed=TESTS_COUNT)
        before = bytes_of(project)
        upstream.asked.clear()
        choice = {"finish_reason": "length"}
        upstream.answers |= {
            "same": completion("Quite another text"),
            "added": completion(weather={"sky": "blue"}),
            "gone": completion(usage=None),
            "type": completion(created="yesterday"),
            "model": completion(model="gpt-4o-2027-01-01"),
            "finish": completion(choice=choice),
            "whole": stream("in", "other", "pieces"),
            "grammar": stream("Hel", "lo", ending="data: {broken\n\n"),
            "undone": stream("Hel", "lo", ending=""),
            "async gone": completion(choices=None),
            "async grammar": stream("Hel", "lo", ending="data: {broken\n\n"),
            "wide": completion(usage=None),
        }
        result = project.run_anew("--record=verify", "-rA", "--tb=short")
    assert bytes_of(project) == before, "verify has written"
    assert len(upstream.asked) == TESTS_COUNT, "each request is sent once"
    failed = {line.split(" - ")[0].split("::")[1] for line in result.outlines if line.startswith(("FAILED", "ERROR"))}
    assert failed == {
        "test_gone", "test_type", "test_stream[grammar]", "test_stream[undone]", "test_async[async gone]",
        "test_async_stream[async grammar]", "test_of_a_fixture",
    }  # fmt: skip
    result.stdout.fnmatch_lines_random(
        [
            "llmkit: the live API differs from the cassettes in * ways",
            "  added     * weather: absent → object",
            "  breaking  * usage: object → absent",
            "  breaking  * created: number → string",
            "  notable   * choices[[]0[]].finish_reason: 'stop' → 'length'",
            "  notable   * model: 'gpt-4o-2024-08-06' → 'gpt-4o-2027-01-01'",
            "llmkit: * verified (*); nothing written to cassettes/",
        ]
    )
    result.stdout.no_fnmatch_line("*saved*")


def test_verify_misses_what_has_no_recording_without_sending_it(project: Project) -> None:
    project.write(test_it="from app import ask\ndef test_one(): ask('new')\n")
    with Upstream() as upstream:
        project.use(upstream)
        project.run("--record=verify").assert_outcomes(failed=1)
        assert upstream.asked == []
    assert project.cassettes() == []
