"""A user's suite, run as its own pytest process: recorded from a real server, replayed without it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from mockserver import MockServer, fault, reply

pytest_plugins = ["pytester"]

APPLICATION = """
    import openai

    def ask(content="Hi", **options):
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

    def use(self, server: MockServer) -> None:
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


def test_a_suite_is_recorded_once_and_replays_without_server_or_key(project: Project, server: MockServer) -> None:
    project.write(test_it="from app import ask\ndef test_one(): assert ask()\ndef test_two(): assert ask('Bye')\n")
    project.use(server)
    recorded = project.run("--record", "test_it.py")
    recorded.assert_outcomes(passed=2)
    recorded.stdout.fnmatch_lines(["llmkit: 2 recorded (* tokens in, * out), 0 replayed; cassettes in cassettes/"])
    assert project.cassettes() == ["test_it/test_one.yaml", "test_it/test_two.yaml"]
    project.use_nothing()
    replayed = project.run()
    replayed.assert_outcomes(passed=2)
    replayed.stdout.fnmatch_lines(
        ["llmkit: replaying from cassettes/, network sealed", "llmkit: 2 replayed; network sealed"]
    )
    assert len(server.journal) == 2


def test_no_credential_reaches_a_cassette(project: Project, server: MockServer) -> None:
    project.write(test_it="from app import ask\ndef test_one(): ask()\n")
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
    project.run("--record").stdout.fnmatch_lines(["llmkit: 0 recorded * 1 replayed; *"])
    assert len(server.journal) == 1
    project.run("--record=all").stdout.fnmatch_lines(["llmkit: 1 recorded * 0 replayed; *"])
    assert len(server.journal) == 2


def test_an_unrecorded_request_fails_with_the_nearest_recording_and_the_command(
    project: Project, server: MockServer
) -> None:
    project.write(test_it="from app import ask\ndef test_one(): ask('What is the capital of France?')\n")
    project.use(server)
    project.run("--record").assert_outcomes(passed=1)
    project.write(test_it="from app import ask\ndef test_one(): ask('What is the capital of Spain?')\n")
    project.use_nothing()
    result = project.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "E * no recording of this request",
            "E * asked * POST https://api.openai.com/v1/chat/completions",
            "E * interaction 1 of 1 differs in",
            "E * $.messages[[]0].content",
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
        ["*RuntimeError: sorry, try later", "*Captured llmkit call*", "no recording of this request"]
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


def test_the_network_is_sealed_while_tests_are_collected(project: Project) -> None:
    project.write(test_it="import socket\nsocket.create_connection(('192.0.2.1', 80), 1)\ndef test_one(): pass\n")
    result = project.run()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*NetworkSealed: the network is sealed: traffic to 192.0.2.1 port 80 was refused*"])


def test_the_network_is_sealed_before_the_first_conftest(project: Project) -> None:
    project.write(conftest="import socket\nsocket.gethostbyname('example.com')\n", test_it="def test_one(): pass\n")
    result = project.run()
    assert result.ret != 0
    assert "NetworkSealed" in str(result.stdout) + str(result.stderr)


def test_a_provider_on_loopback_is_sealed_while_tests_are_collected(project: Project, server: MockServer) -> None:
    project.write(test_it="from app import ask\nask()\ndef test_one(): pass\n")
    project.use(server)
    for options in ([], ["--record"]):
        project.run(*options).assert_outcomes(errors=1)
    assert len(server.journal) == 0


def test_traffic_that_is_no_http_request_fails_the_test(project: Project) -> None:
    project.write(
        test_it="""
        import socket
        def test_udp():
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
                udp.sendto(b"x", ("192.0.2.1", 9))
        def test_connect_ex():
            with socket.socket() as tcp:
                tcp.connect_ex(("192.0.2.1", 9))
        """
    )
    result = project.run()
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(["*NetworkSealed: *192.0.2.1 port 9*"])


def test_an_allowed_host_can_be_reached(project: Project) -> None:
    project.write(
        test_it="""
        import socket
        def test_udp():
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
                udp.connect(("192.0.2.1", 9))
        """
    )
    project.run("-o", "llmkit_allowed_hosts=192.0.2.1").assert_outcomes(passed=1)


def test_a_live_test_is_neither_recorded_nor_replayed(project: Project, server: MockServer) -> None:
    project.write(test_it="import pytest\nfrom app import ask\n@pytest.mark.live\ndef test_one(): assert ask()\n")
    project.use(server)
    for options in ([], ["--record"]):
        project.run(*options).assert_outcomes(passed=1)
    assert len(server.journal) == 2
    assert project.cassettes() == []


def test_a_live_run_records_nothing(project: Project, server: MockServer) -> None:
    project.write(test_it="from app import ask\ndef test_one(): assert ask()\n")
    project.use(server)
    result = project.run("--live")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["llmkit: live, requests are sent and not recorded"])
    assert (len(server.journal), project.cassettes()) == (1, [])


def test_live_and_record_exclude_each_other(project: Project) -> None:
    result = project.run("--live", "--record")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--live and --record exclude each other*"])


def test_an_unknown_mode_is_refused_with_the_valid_ones(project: Project) -> None:
    result = project.run("--record=some")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--record/--record=new_episodes/--record=all/--record=none*'some'*"])


def test_cassettes_lie_where_the_option_says(project: Project, server: MockServer) -> None:
    project.write(test_it="from app import ask\ndef test_one(): ask()\n")
    project.use(server)
    project.run("--record", "--cassettes=elsewhere").stdout.fnmatch_lines(["llmkit: * cassettes in elsewhere/"])
    assert (project.path / "elsewhere/test_it/test_one.yaml").exists()
    project.run("-o", "llmkit_cassettes=elsewhere").assert_outcomes(passed=1)
    assert len(server.journal) == 1


def test_cassettes_lie_at_the_rootdir_wherever_pytest_is_started(
    project: Project, server: MockServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    below = project.path / "tests" / "unit"
    below.mkdir(parents=True)
    (below / "test_it.py").write_text("from app import ask\nclass TestIt:\n    def test_one(self): ask()\n")
    project.use(server)
    monkeypatch.chdir(below)
    project.run("--record", "test_it.py").assert_outcomes(passed=1)
    assert project.cassettes() == ["tests/unit/test_it/TestIt/test_one.yaml"]


def test_no_two_tests_share_a_file(project: Project, server: MockServer) -> None:
    ids = ["a/b", "a:b", "a?b", "a|b", "a-b", "plain", "x" * 300, "x" * 299, "..", "über", "語" * 100]
    project.write(
        test_it=f"""
        import pytest
        from app import ask
        @pytest.mark.parametrize("x", {ids!r}, ids={ids!r})
        def test_one(x): ask(x)
        """
    )
    project.use(server)
    project.run("--record").assert_outcomes(passed=len(ids))
    files = project.cassettes()
    assert len(files) == len(ids)
    assert "test_it/test_one[plain].yaml" in files
    assert all(len(Path(file).name.encode()) < 200 for file in files)
    project.use_nothing()
    project.run().assert_outcomes(passed=len(ids))


def test_what_a_module_fixture_asks_is_there_for_every_test_of_the_module(project: Project, server: MockServer) -> None:
    project.write(
        test_it="""
        import pytest
        from app import ask
        @pytest.fixture(scope="module")
        def greeting(): return ask("Greet me")
        @pytest.fixture(scope="session")
        def farewell(): return ask("Bye")
        def test_one(greeting, farewell): assert greeting
        def test_two(greeting, farewell): assert ask("more") and farewell
        """
    )
    project.use(server)
    project.run("--record").assert_outcomes(passed=2)
    assert project.cassettes() == ["__session__.yaml", "test_it/__module__.yaml", "test_it/test_two.yaml"]
    project.use_nothing()
    for name in ("test_one", "test_two"):
        project.run("-k", name).assert_outcomes(passed=1, deselected=1)


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
    project.write(test_it="from app import ask\ndef test_one(): ask()\n")
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
    project: Project, server: MockServer, monkeypatch: pytest.MonkeyPatch
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
        monkeypatch.delenv(name)
    project.run("--record").assert_outcomes(passed=1)
    project.use_nothing()
    project.run("-o", "llmkit_dummy_credentials=openai").assert_outcomes(passed=1)


def test_dummy_credentials_of_an_unknown_provider_are_refused(project: Project) -> None:
    result = project.run("-o", "llmkit_dummy_credentials=aws")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*no dummy credentials for 'aws': expected openai or azure*"])


def test_a_refusal_of_a_failed_test_is_not_kept(project: Project) -> None:
    project.write(test_it="from app import ask\ndef test_one(): ask()\n")
    with MockServer(api_keys=["right"]) as server:
        project.use(server)
        project.run("--record").assert_outcomes(failed=1)
        assert project.cassettes() == []


def test_a_refusal_that_the_test_expects_is_recorded(project: Project) -> None:
    project.write(
        test_it="""
        import openai, pytest
        from app import ask
        def test_one():
            with pytest.raises(openai.AuthenticationError):
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


def test_a_request_without_a_reply_is_named_at_the_end(project: Project, server: MockServer) -> None:
    project.write(
        test_it="""
        import openai, pytest
        from app import ask
        def test_one():
            with pytest.raises(openai.APITimeoutError):
                ask(timeout=0.5)
        """
    )
    project.use(server)
    server.script(fault.hang())
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


def test_a_miss_in_a_fixture_of_a_module_fails_the_tests_that_use_it_and_no_others(project: Project) -> None:
    project.write(
        test_a="""
        import pytest
        from app import ask
        @pytest.fixture(scope="module")
        def greeting(): return ask()
        def test_one(greeting): pass
        def test_two(greeting): pass
        """,
        test_b="def test_other(): pass\n",
    )
    result = project.run()
    result.assert_outcomes(errors=2, passed=1)
    assert str(result.stdout).count("no recording of this request") >= 2


def test_what_a_module_fixture_asks_when_it_is_torn_down_belongs_to_the_module(
    project: Project, server: MockServer
) -> None:
    project.write(
        test_it="""
        import pytest
        from app import ask
        @pytest.fixture(scope="module")
        def session():
            yield ask("log in")
            ask("log out")
        def test_one(session): pass
        def test_two(session): pass
        """
    )
    project.use(server)
    project.run("--record").assert_outcomes(passed=2)
    assert project.cassettes() == ["test_it/__module__.yaml"]
    project.use_nothing()
    for name in ("test_one", "test_two"):
        project.run("-k", name).assert_outcomes(passed=1, deselected=1)


def test_a_refusal_that_a_session_fixture_expects_is_recorded(project: Project, server: MockServer) -> None:
    project.write(
        test_it="""
        import openai, pytest
        from app import ask
        @pytest.fixture(scope="session")
        def index():
            try:
                ask()
            except openai.NotFoundError:
                return ask()
        def test_one(index): assert index
        """
    )
    project.use(server)
    server.script(fault.refused(status=404, message="not there", type="invalid_request_error"))
    project.run("--record").assert_outcomes(passed=1)
    project.use_nothing()
    project.run().assert_outcomes(passed=1)


def test_fixtures_that_share_a_cassette_keep_each_others_recordings(project: Project, server: MockServer) -> None:
    project.write(
        test_it="""
        import pytest
        from app import ask
        @pytest.fixture(scope="session")
        def one(): return ask()
        @pytest.fixture(scope="session")
        def other(): return ask()
        def test_one(one, other): pass
        """
    )
    project.use(server)
    project.run("--record=all").assert_outcomes(passed=1)
    project.use_nothing()
    project.run().assert_outcomes(passed=1)


def test_a_session_fixture_that_a_live_test_needs_first_is_recorded(project: Project, server: MockServer) -> None:
    project.write(
        test_it="""
        import pytest
        from app import ask
        @pytest.fixture(scope="session", autouse=True)
        def boot(): return ask()
        @pytest.mark.live
        def test_live(): pass
        def test_one(): pass
        """
    )
    project.use(server)
    project.run("--record").assert_outcomes(passed=2)
    project.use_nothing()
    project.run("-k", "test_one").assert_outcomes(passed=1, deselected=1)


def test_a_refusal_that_leads_to_a_skip_is_recorded(project: Project, server: MockServer) -> None:
    project.write(
        test_it="""
        import openai, pytest
        from app import ask
        def test_one():
            try:
                ask()
            except openai.NotFoundError:
                pytest.skip("not there")
        """
    )
    project.use(server)
    server.script(fault.refused(status=404, message="not there", type="invalid_request_error"))
    project.run("--record").assert_outcomes(skipped=1)
    project.use_nothing()
    project.run().assert_outcomes(skipped=1)


def test_a_broken_cassette_is_named_also_where_a_fixture_asks_first(project: Project) -> None:
    project.write(
        test_it="""
        import pytest
        from app import ask
        @pytest.fixture
        def greeting(): return ask()
        def test_one(greeting): pass
        """
    )
    cassette = project.path / "cassettes/test_it/test_one.yaml"
    cassette.parent.mkdir(parents=True)
    cassette.write_text("")
    result = project.run()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*test_one.yaml:1: broken cassette: the file is empty*"])


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


def test_workers_that_record_into_one_session_cassette_lose_nothing(project: Project, server: MockServer) -> None:
    fixture = "import pytest\nfrom app import ask\n@pytest.fixture(scope='session')\ndef {0}(): return ask('{0}')\n"
    project.write(
        test_a=fixture.format("a") + "def test_one(a): pass\n", test_b=fixture.format("b") + "def test_two(b): pass\n"
    )
    project.use(server)
    project.run("--record", "-n2", "--dist=loadfile").assert_outcomes(passed=2)
    project.use_nothing()
    project.run().assert_outcomes(passed=2)


def test_an_allowed_host_can_be_asked_over_http_unrecorded(project: Project, server: MockServer) -> None:
    project.write(
        test_it=f"""
        import httpx
        def test_one(): assert httpx.get("http://127.0.0.1:{server.port}/__admin/health").status_code == 200
        """
    )
    project.use(server)
    project.run("-o", "llmkit_allowed_hosts=localhost").assert_outcomes(passed=1)


def test_a_server_that_the_test_started_is_reached_also_by_its_variable(project: Project) -> None:
    project.write(
        test_it="""
        from app import ask
        from mockserver import fault, reply
        def test_survives(mockserver, monkeypatch):
            monkeypatch.setenv("OPENAI_BASE_URL", mockserver.openai_url)
            mockserver.script(reply("Hello"))
            assert ask() == "Hello"
            assert len(mockserver.journal) == 1
        """
    )
    project.run().assert_outcomes(passed=1)
    assert project.cassettes() == []


def test_other_servers_of_this_machine_are_left_alone(project: Project) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        project.write(
            test_it=f"import socket\ndef test_one(): socket.create_connection(('127.0.0.1', {port})).close()\n"
        )
        project.run().assert_outcomes(passed=1)


def test_the_environment_and_the_network_are_as_before_after_a_run_in_process(
    project: Project, pytester: pytest.Pytester
) -> None:
    project.write(test_it="import os\ndef test_one(): assert os.environ['OPENAI_API_KEY'] == 'dummy-key-for-replay'\n")
    import os

    pytester.runpytest_inprocess("-p", "no:cacheprovider").assert_outcomes(passed=1)
    assert "OPENAI_API_KEY" not in os.environ
