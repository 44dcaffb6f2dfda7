"""A recorded ``Retry-After: 3`` costs a replay no wall time, whoever waits for it; other waits last as long as ever."""

from __future__ import annotations

import re

from mockserver import MockServer, fault, reply
from tests.llmkit.pytest_plugin.conftest import Project

TESTS = """
    import os, time
    import openai, pytest, requests, urllib.error
    from requests.adapters import HTTPAdapter
    from urllib3.util import Retry
    import llmkit
    from app import ask

    MESSAGES = [{"role": "user", "content": "Hi"}]
    URL = os.environ.get("OPENAI_BASE_URL", "https://api.openai.com/v1")
    pytestmark = pytest.mark.cassette(allow="refusals")

    def test_sdk():
        with openai.OpenAI(max_retries=2) as client:
            assert client.chat.completions.create(model="gpt-4o", messages=MESSAGES)

    @pytest.mark.asyncio
    async def test_async_sdk():
        async with openai.AsyncOpenAI(max_retries=2) as client:
            assert await client.chat.completions.create(model="gpt-4o", messages=MESSAGES)

    def test_llmkit():
        with llmkit.Client(model="gpt-4o") as client:
            assert len(client.chat("Hi").attempts) == 2

    def test_requests():
        session = requests.Session()
        retry = Retry(total=2, status_forcelist=[429], allowed_methods=None, respect_retry_after_header=True)
        for scheme in ("http://", "https://"):
            session.mount(scheme, HTTPAdapter(max_retries=retry))
        headers = {"Authorization": "Bearer " + os.environ["OPENAI_API_KEY"]}
        reply = session.post(URL + "/chat/completions", json={"model": "gpt-4o", "messages": MESSAGES}, headers=headers)
        assert reply.status_code == 200

    def test_loop():
        for attempt in range(3):
            try:
                ask()
                return
            except urllib.error.HTTPError as error:
                time.sleep(float(error.headers["Retry-After"]))
        raise AssertionError("no answer")
"""
OTHER_WAITS = """
    import asyncio, time, pytest
    from app import ask

    def test_a_sleep_that_follows_an_answer():
        ask()
        started = time.monotonic()
        time.sleep(0.3)
        assert time.monotonic() - started >= 0.29

    @pytest.mark.asyncio
    async def test_a_sleep_of_another_task():
        async def other():
            started = time.monotonic()
            await asyncio.sleep(0.3)
            return time.monotonic() - started
        waiting = asyncio.create_task(other())
        ask("Bye")
        assert await waiting >= 0.29
"""


def test_a_recorded_retry_after_of_three_seconds_costs_a_replay_nothing(project: Project, server: MockServer) -> None:
    project.write(test_it=TESTS)
    project.use(server)
    server.script(
        *(step for times in (1, 1, 1, 1, 2) for step in (fault.rate_limited(retry_after_s=1).times(times), reply("ok")))
    )
    project.run("--record").assert_outcomes(passed=5)
    for name in project.cassettes():
        path = project.path / "cassettes" / name
        text = path.read_text()
        longer, count = re.subn(r"(?im)(retry-after(?:-ms)?:[\s\[-]*['\"]?)1", r"\g<1>3", text)
        assert count >= 1, "the time to wait is in the cassette"
        path.write_text(longer)
    project.use_nothing()
    result = project.run_anew("--durations=0", "--durations-min=0")
    result.assert_outcomes(passed=5)
    calls = [line.split() for line in result.outlines if " call " in line]
    assert len(calls) == 5
    # of six waits for three seconds none was waited for; importing the SDK may take long on a slow machine
    assert sum(float(seconds.rstrip("s")) for seconds, *_ in calls) < 10


def test_a_sleep_that_is_no_backoff_takes_its_time(project: Project, server: MockServer) -> None:
    project.write(test_it=OTHER_WAITS)
    project.use(server)
    project.run("--record").assert_outcomes(passed=2)
    project.use_nothing()
    project.run().assert_outcomes(passed=2)
