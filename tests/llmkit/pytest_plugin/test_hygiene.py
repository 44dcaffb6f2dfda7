"""A run fails for what is wrong with its cassettes, each fault with its opt-out, and judges only what it ran."""

from __future__ import annotations

import subprocess
import textwrap
from pathlib import Path

import pytest

from llmkit.recording import cassette
from mockserver import MockServer, fault
from tests.llmkit.pytest_plugin.conftest import Project
from tests.llmkit.pytest_plugin.starter import Starter

REFUSED = """
    import urllib.error
    from app import ask
    def test_one():
        try:
            ask()
        except urllib.error.HTTPError:
            pass
"""
RAW = """
    import os, pytest, socket, threading
    from urllib.parse import urlsplit
    from app import ask
    def knock():
        url = urlsplit(os.environ["OPENAI_BASE_URL"])
        socket.create_connection((url.hostname, url.port)).close()
    def test_raw(): knock()
    def test_thread():
        thread = threading.Thread(target=knock)
        thread.start()
        thread.join()
    def test_both():
        knock()
        ask()
    @pytest.mark.cassette(allow="unintercepted")
    def test_allowed(): knock()
    @pytest.mark.live
    def test_live(): knock()
"""


def is_clean(result: pytest.RunResult) -> bool:
    """Whether a run raised no alarm about cassettes."""
    words = ("llmkit: cassettes", "orphan:", "unplayed:", " unplayed: ", "collision:", "did not expect")
    return not any(word in str(result.stdout) for word in words)


def recorded(project: Project, server: MockServer, **files: str) -> None:
    project.write(**files)
    project.use(server)
    assert project.run("--record").ret == 0
    project.use_nothing()


def test_an_unplayed_interaction_fails_its_test_unless_it_is_allowed(project: Project, server: MockServer) -> None:
    text = "import pytest\nfrom app import ask\n{}\ndef test_one():\n    ask('one')\n"
    recorded(project, server, test_it=text.format("") + "    ask('two')\n")
    before = (project.path / "cassettes/test_it/test_one.yaml").read_bytes()
    project.write(test_it=text.format(""))
    result = project.run()
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*1 of 2 recordings is unplayed: test_it.py::test_one passed without them*"])
    assert is_clean(project.run("-o", "llmkit_allow=unplayed"))
    project.write(test_it=text.format("@pytest.mark.cassette(allow='unplayed')"))
    result = project.run()
    assert (result.ret, is_clean(result)) == (0, True)
    project.use(server)
    project.run("--record").assert_outcomes(passed=1)
    assert (project.path / "cassettes/test_it/test_one.yaml").read_bytes() == before


def test_an_unplayed_interaction_of_a_shared_cassette_fails_the_run_unless_it_is_allowed(
    project: Project, server: MockServer
) -> None:
    text = """
        import pytest
        from app import ask
        @pytest.mark.cassette("shared"{})
        def test_one(): ask("one")
        @pytest.mark.cassette("shared")
        def test_two(): {}
    """
    recorded(project, server, test_it=text.format("", "ask('two')"))
    project.write(test_it=text.format("", "pass"))
    result = project.run()
    result.assert_outcomes(passed=2)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["unplayed: 1 recording of cassettes/shared.yaml, which no test plays", "*'two'*"])
    assert project.run("-o", "llmkit_allow=unplayed").ret == 0
    project.write(test_it=text.format(", allow='unplayed'", "pass"))
    assert project.run().ret == 0


def test_an_orphan_fails_the_run_with_the_name_of_its_test_unless_it_is_allowed(
    project: Project, server: MockServer
) -> None:
    text = "import pytest\nfrom app import ask\ndef test_here(): ask()\n"
    recorded(
        project,
        server,
        test_it=text + "class TestOld:\n    def test_gone(self): ask()\n",
        test_empty="from app import ask\ndef test_last(): ask()\n",
        test_away="from app import ask\ndef test_moved(): ask()\n",
        test_named="import pytest\nfrom app import ask\n@pytest.mark.cassette('renamed')\ndef test_one(): ask()\n",
        test_fixture=(
            "import pytest\nfrom app import ask\n@pytest.fixture(scope='module')\ndef old(): ask()\n"
            "def test_one(old): pass\n"
        ),
    )
    project.write(test_it=text, test_empty="", test_named="", test_fixture="def test_one(): pass\n")
    (project.path / "test_away.py").unlink()
    for options in ([], ["-n2"]):
        result = project.run(*options)
        assert result.ret == pytest.ExitCode.TESTS_FAILED
        result.stdout.fnmatch_lines(
            [
                "*llmkit: cassettes*",
                "orphan: cassettes/renamed.yaml is of renamed, *",
                "orphan: cassettes/test_away/test_moved.yaml is of test_away.py::test_moved, *",
                "orphan: cassettes/test_empty/test_last.yaml is of test_empty.py::test_last, *",
                "orphan: cassettes/test_fixture/__module__.yaml is of *",
                "orphan: cassettes/test_it/TestOld/test_gone.yaml is of test_it.py::TestOld::test_gone, *",
            ]
        )
        assert str(result.stdout).count("orphan:") == 5
    result = project.run("-o", "llmkit_allow=orphans")
    assert (result.ret, is_clean(result)) == (0, True)
    assert len(project.cassettes()) == 6


def test_a_collision_fails_the_run_unless_it_is_allowed(project: Project) -> None:
    text = """
        import pytest
        def test_one(): pass
        def test_ONE(): pass
        @pytest.mark.cassette("test_it/test_two"{0})
        def test_other(): pass
        def test_two(): pass
    """
    project.write(test_it=text.format(""))
    result = project.run()
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(
        [
            "collision: test_it.py::test_ONE and test_it.py::test_one have one cassette: *",
            "collision: test_it.py::test_other and test_it.py::test_two have one cassette: *test_two.yaml*",
        ]
    )
    assert project.run("-o", "llmkit_allow=collisions").ret == 0
    project.write(test_it=text.format(", allow='collisions'").replace("def test_ONE", "def test_three"))
    assert project.run().ret == 0


def test_an_old_recording_is_warned_of_and_fails_nothing(project: Project, server: MockServer) -> None:
    recorded(project, server, test_it="from app import ask\ndef test_one(): ask()\ndef test_two(): ask('2')\n")
    path = project.path / "cassettes/test_it/test_one.yaml"
    lines = path.read_text().splitlines()
    aged = ["  recorded_at: '2020-01-02T03:04:05+00:00'" if "recorded_at" in line else line for line in lines]
    path.write_text("\n".join([*aged, ""]))
    result = project.run("-o", "llmkit_max_age_days=30")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["llmkit: warning: cassettes/test_it/test_one.yaml is of 2020-01-02, older than 30*"])
    assert "test_two.yaml is of" not in str(result.stdout)
    assert "warning" not in str(project.run().stdout)


def test_a_recorded_refusal_that_the_test_did_not_expect_fails_it_unless_it_is_allowed(
    project: Project, server: MockServer
) -> None:
    expected = "import pytest, urllib.error\nfrom app import ask\ndef test_one():\n    with pytest.raises({}): ask()\n"
    project.write(test_it=REFUSED)
    project.use(server)
    for times in range(2):
        server.script(fault.server_error(status=500))
        result = project.run("--record")
        result.stdout.fnmatch_lines(["*1 refusal was recorded that test_it.py::test_one did not expect*not kept*"])
        assert (result.ret, project.cassettes(), len(server.journal)) == (1, [], times + 1)
    server.script(fault.server_error(status=500))
    project.write(test_it=expected.format("urllib.error.HTTPError"))
    assert project.run("--record").ret == 0
    project.use_nothing()
    assert project.run().ret == 0
    project.write(test_it=REFUSED)
    result = project.run()
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*1 refusal was replayed that test_it.py::test_one did not expect*"])
    assert project.run("-o", "llmkit_allow=refusals").ret == 0
    project.write(
        test_it="import pytest\npytestmark = pytest.mark.cassette(allow='refusals')\n" + textwrap.dedent(REFUSED)
    )
    assert project.run().ret == 0


def test_a_test_that_reached_the_network_with_nothing_intercepted_fails_unless_it_is_allowed(
    project: Project, server: MockServer
) -> None:
    project.write(test_it=RAW)
    project.use(server)
    result = project.run("--record")
    assert result.ret == 1
    result.assert_outcomes(passed=5, errors=2)
    result.stdout.fnmatch_lines(
        [
            "*test_it.py::test_raw reached * port *, but no request was intercepted*",
            "*test_it.py::test_thread reached * port *, but no request was intercepted*",
        ]
    )
    assert project.run("--record", "-o", "llmkit_allow=unintercepted").ret == 0


SUITE = {
    "conftest": """
        import pytest
        from app import ask
        @pytest.fixture(scope="session")
        def boot(): return ask("boot")
    """,
    "test_a": """
        from pathlib import Path
        import pytest
        from llmkit.recording import use_cassette
        from app import ask
        HERE = Path(__file__).parent
        pytestmark = pytest.mark.smoke
        def test_one(): ask("one")
        @pytest.mark.parametrize("x", ["p", "q"])
        def test_many(x, boot): ask(x)
        @pytest.mark.cassette("shared")
        def test_shared(): ask("shared by a")
        def test_block():
            with use_cassette(HERE / "cassettes/extra.yaml", "new_episodes"):
                ask("extra")
        def test_block_below():
            with use_cassette(HERE / "cassettes/test_a/below.yaml", "new_episodes"):
                ask("below")
        class TestIt:
            @pytest.fixture(scope="class")
            def of_class(self): return ask("class")
            def test_in_class(self, of_class): ask("in class")
            def test_more(self): pass
    """,
    "test_b": """
        import unittest, pytest
        from app import ask
        @pytest.fixture(scope="module")
        def of_module(): return ask("module")
        @pytest.mark.cassette("shared")
        def test_shared(): ask("shared by b")
        def test_two(of_module): ask("two")
        async def test_async(): ask("async")
        class TestCase(unittest.TestCase):
            def test_method(self): ask("method")
        def documented():
            '''
            >>> from app import ask; bool(ask("documented"))
            True
            '''
    """,
    "sub/test_c": """
        import pytest
        from app import ask
        @pytest.mark.cassette("only_c")
        def test_three(boot): ask("three")
        def test_four(): ask("four")
    """,
}


@pytest.fixture(scope="module")
def recorded_suite(tmp_path_factory: pytest.TempPathFactory, starter: Starter | None) -> Project:
    """A suite with everything in it, recorded whole."""
    project = Project(tmp_path_factory.mktemp("suite"), starter)
    (project.path / "sub").mkdir()
    (project.path / "README.md").write_text('>>> from app import ask; bool(ask("read me"))\nTrue\n')
    (project.path / "tox.ini").write_text(
        "[pytest]\nasyncio_default_fixture_loop_scope = function\nasyncio_mode = auto\npythonpath = .\n"
        "markers = smoke\n"
    )
    project.write(**SUITE)
    with MockServer() as server:
        project.use(server)
        for options in (["--doctest-modules", "--doctest-glob=*.md"], []):
            result = project.run("--record", *options)
            assert (result.ret, is_clean(result)) == (0, True)
    return project


@pytest.fixture
def suite(project: Project, recorded_suite: Project) -> Project:
    project.copy(recorded_suite)
    return project


def contents(project: Project) -> dict[str, bytes]:
    return {name: (project.path / "cassettes" / name).read_bytes() for name in project.cassettes()}


PARTS = [
    *(["-k", "one"], ["-k", "shared"], ["-k", "not shared"], ["-k", "nothing_of_this"], ["-m", "smoke"]),
    *(["-m", "not smoke"], ["test_a.py"], ["test_b.py"], ["sub"], ["test_a.py", "sub/test_c.py"], ["sub/../test_b.py"]),
    *(["test_a.py::test_one"], ["test_a.py::TestIt", "test_b.py"], ["test_a.py::test_many[p]"]),
    *(["--deselect", "test_a.py::test_shared"], ["--ignore=test_b.py"], ["--ignore-glob=sub*"], ["--collect-only"]),
    *([], ["-n2"], ["-n2", "test_a.py"], ["-n2", "-k", "two"], ["--doctest-modules"]),
]
RECORDED_PARTS = [
    *(["-k", "one"], ["test_a.py"], ["sub"], ["--ignore=test_b.py"], ["test_a.py::TestIt"], ["-n2", "test_b.py"]),
]


@pytest.mark.parametrize("part", PARTS, ids=" ".join)
def test_running_a_part_of_the_suite_raises_no_false_alarm_about_the_rest(suite: Project, part: list[str]) -> None:
    result = suite.run(*part)
    assert is_clean(result)
    assert result.ret in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED)


@pytest.mark.parametrize("part", RECORDED_PARTS, ids=" ".join)
def test_recording_a_part_of_the_suite_takes_nothing_from_the_rest(
    suite: Project, server: MockServer, part: list[str]
) -> None:
    before = contents(suite)
    suite.use(server)
    assert suite.run("--record", *part).ret == 0
    assert contents(suite) == before
    assert len(server.journal) == 0


def test_running_from_a_subdirectory_judges_what_is_below_it(suite: Project) -> None:
    suite.start = suite.path / "sub"
    assert suite.run().ret == 0
    assert suite.run("test_c.py").ret == 0
    whole = suite.run("..")
    assert (whole.ret, is_clean(whole)) == (0, True)
    (suite.path / "sub/test_c.py").write_text("def test_three(): pass\n")
    result = suite.run()
    assert result.ret == 1
    result.stdout.fnmatch_lines(["orphan: cassettes/sub/test_c/test_four.yaml is of sub/test_c.py::test_four,*"])
    assert str(result.stdout).count("orphan:") == 1


def test_testpaths_are_judged_and_what_is_outside_of_them_is_not(suite: Project) -> None:
    ini = suite.path / "tox.ini"
    ini.write_text(ini.read_text() + "testpaths = sub\n")
    result = suite.run()
    assert (result.ret, is_clean(result)) == (0, True)
    (suite.path / "sub/test_c.py").write_text("def test_three(): pass\n")
    suite.run().stdout.fnmatch_lines(["orphan: cassettes/sub/test_c/test_four.yaml *"])


@pytest.mark.parametrize("how", ["fails", "skips", "breaks", "stops"])
def test_what_did_not_run_to_its_end_raises_no_alarm_about_its_cassettes(
    suite: Project, server: MockServer, how: str
) -> None:
    before = contents(suite)
    decorator = {
        "fails": "    assert False",
        "skips": "    pytest.skip('not now')",
        "stops": "    assert False",
    }
    for name in ("test_a", "test_b", "sub/test_c"):
        path = suite.path / f"{name}.py"
        lines = path.read_text().splitlines()
        if how == "breaks":
            lines.insert(0, "raise RuntimeError" if name == "test_b" else "")
        else:
            lines.append(f"@pytest.fixture(autouse=True)\ndef first():\n{decorator[how]}")
        path.write_text("\n".join(lines))
    suite.use(server)
    options = {"breaks": ["--continue-on-collection-errors"], "stops": ["-x"]}.get(how, [])
    for more in ([], ["-n2"], ["--record"]):
        result = suite.run(*options, *more)
        assert (more, is_clean(result)) == (more, True)
    assert contents(suite) == before


def test_the_tests_that_failed_last_alone_raise_no_alarm(project: Project, server: MockServer) -> None:
    text = "from app import ask\ndef test_one(): ask('one')\ndef test_two(): {}\ndef test_three(): ask('three')\n"
    recorded(project, server, test_it=text.format("ask('two')"), test_more="from app import ask\ndef test_x(): ask()\n")
    project.write(test_it=text.format("assert False"))
    project.run("-p", "cacheprovider").assert_outcomes(passed=3, failed=1)
    for option in ("--lf", "--ff", "--sw", "--nf"):
        result = project.run("-p", "cacheprovider", option)
        assert (option, is_clean(result), result.parseoutcomes()["failed"]) == (option, True, 1)
    assert len(project.cassettes()) == 4


def test_a_module_that_skips_itself_raises_no_alarm(project: Project, server: MockServer) -> None:
    text = """
        import pytest
        from app import ask
        {}
        @pytest.mark.cassette("named")
        def test_one(): ask()
        def test_two(): ask("two")
    """
    recorded(project, server, test_it=text.format(""), test_other="def test_other(): pass\n")
    project.write(test_it=text.format("pytest.importorskip('no_such_module')"))
    result = project.run()
    assert (result.ret, is_clean(result)) == (0, True)


def test_a_cassette_of_tests_from_outside_the_rootdir_is_no_orphan(
    project: Project, server: MockServer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    outside = tmp_path_factory.mktemp("outside") / "test_far.py"
    outside.write_text("from app import ask\ndef test_far(): ask('far')\n")
    recorded(project, server, test_it="from app import ask\ndef test_one(): ask()\n")
    project.use(server)
    options = (str(outside), "--rootdir", str(project.path), "-c", str(project.path / "tox.ini"))
    project.run("--record", *options).assert_outcomes(passed=1)
    assert len(project.cassettes()) == 2
    project.use_nothing()
    for more in (options, ()):
        result = project.run(*more)
        assert (result.ret, is_clean(result)) == (0, True)


def test_subtests_that_fail_leave_a_shared_cassette_alone(project: Project, server: MockServer) -> None:
    text = """
        import pytest
        from app import ask
        @pytest.mark.cassette("shared")
        def test_one(subtests):
            with subtests.test("first"): ask("one")
            with subtests.test("second"): {}
    """
    recorded(project, server, test_it=text.format("ask('two')"))
    project.write(test_it=text.format("assert False"))
    project.use(server)
    for options in ([], ["--record"], ["--record", "-n2"]):
        assert is_clean(project.run(*options))
    assert len(cassette.load(project.path / "cassettes/shared.yaml")) == 2


def test_a_fixture_that_no_run_test_set_up_keeps_its_recordings(project: Project, server: MockServer) -> None:
    text = """
        import pytest
        from app import ask
        @pytest.fixture(scope="{0}")
        def used(): return ask("used")
        @pytest.fixture(scope="{0}")
        def other(): return ask("other")
        def test_one(used): pass
        {1}
        def test_two(other): pass
    """
    path = Path("cassettes")
    for scope, name in (("session", "__session__"), ("module", "test_it/__module__")):
        recorded(project, server, test_it=text.format(scope, ""))
        project.write(test_it=text.format(scope, "@pytest.mark.skip"))
        project.use(server)
        for options in ([], ["--record"]):
            result = project.run(*options)
            assert (result.ret, is_clean(result)) == (0, True)
        assert len(cassette.load(project.path / path / f"{name}.yaml")) == 2
        (project.path / path / f"{name}.yaml").unlink()


def test_test_files_have_the_names_that_the_project_gives_them(project: Project, server: MockServer) -> None:
    (project.path / "tox.ini").write_text("[pytest]\npythonpath = .\npython_files = tests.py check_*.py\n")
    text = "import pytest\nfrom app import ask\n@pytest.mark.cassette('shared')\ndef test_{0}(): ask('{0}')\n"
    recorded(project, server, check_a=text.format("a"), check_b=text.format("b"))
    shared = project.path / "cassettes/shared.yaml"
    for test, recordings in (("def test_a(): pass\n", 2), (text.format("a"), 2)):
        project.write(check_a=test)
        project.use(server)
        for options in (["check_a.py"], ["check_a.py", "--record"]):
            result = project.run(*options)
            assert (result.ret, is_clean(result)) == (0, True)
            assert len(cassette.load(shared)) == recordings


def test_a_shared_cassette_is_judged_by_what_all_have_done_that_recorded_into_it(
    project: Project, server: MockServer
) -> None:
    text = "import pytest\nfrom app import ask\n@pytest.mark.cassette('shared')\ndef {0}(): ask('{0}')\n"
    odd = text.format("test_odd")
    (project.path / "odd.py").write_text(odd)
    recorded(project, server, test_it=text.format("test_one"))
    project.use(server)
    assert project.run("--record", "odd.py").ret == 0
    for options in ([], ["--record"], ["test_it.py"], ["test_it.py", "--record"]):
        result = project.run(*options)
        assert (result.ret, is_clean(result)) == (0, True)
    assert len(cassette.load(project.path / "cassettes/shared.yaml")) == 2
    (project.path / "odd.py").unlink()
    assert not is_clean(project.run())


def test_a_test_file_outside_of_testpaths_does_not_end_the_judgement(project: Project, server: MockServer) -> None:
    (project.path / "tests").mkdir()
    (project.path / "tox.ini").write_text("[pytest]\npythonpath = .\ntestpaths = tests\n")
    text = "import pytest\nfrom app import ask\npytestmark = pytest.mark.cassette('shared')\ndef test_one(): ask()\n"
    (project.path / "tests/test_it.py").write_text(text + "def test_two(): ask('two')\n")
    recorded(project, server, test_stray="def test_stray(): pass\n")
    (project.path / "tests/test_it.py").write_text(text)
    result = project.run()
    assert result.ret == 1
    result.stdout.fnmatch_lines(["unplayed: *cassettes/shared.yaml*"])


def test_a_run_that_fails_for_its_cassettes_says_so_below_the_summary(project: Project, server: MockServer) -> None:
    text = "import pytest\nfrom app import ask\n"
    shared = "@pytest.mark.cassette('shared')\ndef test_shared(): {}\n"
    recorded(
        project, server, test_it=text + shared.format("ask(), ask('two')"), test_more=text + "def test_old(): ask()\n"
    )
    project.write(test_it=text + shared.format("ask()"), test_more="def test_y(): pass\n")
    result = project.run()
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        ["  next  *pytest --record, the whole suite", "llmkit: the run fails for 1 orphan, 1 unplayed", "=* 2 passed *"]
    )


def test_the_recordings_of_a_modules_fixture_stay_where_it_lets_them_be_unplayed(
    project: Project, server: MockServer
) -> None:
    text = """
        import pytest
        from app import ask
        {}
        @pytest.fixture(scope="module")
        def of_module(): {}
        def test_one(of_module): pass
    """
    recorded(project, server, test_it=text.format("", "ask('one'), ask('two')"))
    path = project.path / "cassettes/test_it/__module__.yaml"
    project.use(server)
    project.write(test_it=text.format("pytestmark = pytest.mark.cassette(allow='unplayed')", "ask('one')"))
    assert (project.run().ret, project.run("--record").ret, len(cassette.load(path))) == (0, 0, 2)
    project.write(test_it=text.format("", "ask('one')"))
    assert project.run("--record", "-o", "llmkit_allow=unplayed").ret == 0
    assert len(cassette.load(path)) == 2
    result = project.run("--record")
    result.stdout.fnmatch_lines(["llmkit: 0 recorded * 1 dropped (cassettes/test_it/__module__.yaml), 1 replayed *"])
    assert len(cassette.load(path)) == 1


def test_what_a_modules_marker_overlooks_is_overlooked_for_its_fixtures(project: Project, server: MockServer) -> None:
    text = """
        import pytest
        from app import ask
        pytestmark = pytest.mark.cassette(ignore="user")
        @pytest.fixture(scope="module")
        def of_module(): ask("one", user="{}")
        def test_one(of_module): pass
    """
    recorded(project, server, test_it=text.format("first"))
    project.write(test_it=text.format("second"))
    result = project.run()
    assert (result.ret, is_clean(result)) == (0, True)


MANY = """
    import pytest
    from app import ask
    def pytest_generate_tests(metafunc): metafunc.parametrize("x", {})
    def test_many(x): ask(x)
"""


def test_parameters_that_are_left_out_are_noted_and_fail_nothing(project: Project, server: MockServer) -> None:
    recorded(project, server, test_it=MANY.format(["p", "Q"]))
    project.write(test_it=MANY.format(["p"]))
    result = project.run()
    assert (result.ret, is_clean(result)) == (0, True)
    result.stdout.fnmatch_lines(
        ["llmkit: note: cassettes/test_it/test_many[[]Q[]]-*.yaml has no test with these parameters in this run"]
    )


def test_the_cassette_of_a_renamed_test_is_moved_by_the_command_that_the_run_shows(
    project: Project, server: MockServer
) -> None:
    (project.path / "sub").mkdir()
    text = "from app import ask\nclass Test{}:\n    def test_one(self): ask()\n"
    recorded(project, server, test_it=text.format("Old"))
    project.write(test_it=text.format("New"))
    result = project.run()
    moving = "mkdir -p cassettes/test_it/TestNew && git mv cassettes/test_it/TestOld/test_one.yaml {}"
    command = moving.format("cassettes/test_it/TestNew/test_one.yaml")
    result.stdout.fnmatch_lines([f"orphan: * is of test_it.py::TestOld::test_one, which is no more: *: {command}"])
    subprocess.run(command.replace("git mv", "mv"), shell=True, cwd=project.path, check=True)
    result = project.run()
    assert (result.ret, is_clean(result)) == (0, True)


def test_an_orphan_is_named_by_its_test_and_not_by_the_hash_of_its_file(project: Project, server: MockServer) -> None:
    recorded(project, server, test_it=MANY.format(["Q"]))
    project.write(test_it="def test_other(): pass\n")
    result = project.run()
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        ["orphan: cassettes/test_it/test_many[[]Q[]]-*.yaml is of test_it.py::test_many[[]Q[]], which is no more: rm *"]
    )
