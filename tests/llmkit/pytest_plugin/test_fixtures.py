"""What fixtures of wider scope ask has a cassette of its own, so that every test also runs alone."""

from __future__ import annotations

from mockserver import MockServer, fault
from tests.llmkit.pytest_plugin.conftest import Project


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
        import pytest, urllib.error
        from app import ask
        @pytest.fixture(scope="session")
        def index():
            try:
                ask()
            except urllib.error.HTTPError:
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


def test_workers_that_record_into_one_session_cassette_lose_nothing(project: Project, server: MockServer) -> None:
    fixture = "import pytest\nfrom app import ask\n@pytest.fixture(scope='session')\ndef {0}(): return ask('{0}')\n"
    project.write(
        test_a=fixture.format("a") + "def test_one(a): pass\n", test_b=fixture.format("b") + "def test_two(b): pass\n"
    )
    project.use(server)
    project.run("--record", "-n2", "--dist=loadfile").assert_outcomes(passed=2)
    project.use_nothing()
    project.run().assert_outcomes(passed=2)
