"""Which file a test's recordings are in: its own, or one that it shares by name; no two tests meet by accident."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit._pytest import cassette_paths
from llmkit.recording import cassette
from mockserver import MockServer
from tests.llmkit.pytest_plugin.conftest import Project

IDS = [
    *("a/b", "a:b", "a?b", "a|b", "a-b", "GPT", "gpt", "Gpt", "", " ", ".", "..", "Ü", "ü", "ß", "ss", "語" * 100),
    *("é", "e\u0301", "가", "\u1100\u1161", "x" * 300, "x" * 299, "a\\b", "a\nb", "K", "\u212a"),
]


def test_parametrized_ids_never_collide_on_one_file(project: Project, server: MockServer) -> None:
    project.write(
        test_it=f"""
        import pytest
        from app import ask
        @pytest.mark.parametrize("x", {IDS!r}, ids={IDS!r})
        def test_one(x): ask(repr(x))
        """
    )
    (project.path / "pytest.ini").unlink(missing_ok=True)
    (project.path / "tox.ini").write_text(
        "[pytest]\nasyncio_default_fixture_loop_scope = function\npythonpath = .\n"
        "disable_test_id_escaping_and_forfeit_all_rights_to_community_support = true\n"
    )
    project.use(server)
    assert project.run("--record").ret == 0
    files = project.cassettes()
    assert len({file.casefold() for file in files}) == len(IDS)
    assert all(len(Path(file).name.encode()) < 200 for file in files)
    assert {"test_it/test_one[gpt].yaml", "test_it/test_one[a-b].yaml", "test_it/test_one[].yaml"} <= set(files)
    project.use_nothing()
    result = project.run()
    result.assert_outcomes(passed=len(IDS))
    assert result.ret == 0


@given(ids=st.sets(st.text() | st.text("aAäÄß\u017fsS./\\:", max_size=4), min_size=2, max_size=6))
def test_no_two_parameters_make_one_file_on_any_file_system(
    tmp_path_factory: pytest.TempPathFactory, ids: set[str]
) -> None:
    root = tmp_path_factory.getbasetemp()

    def path(name: str) -> str:
        item = SimpleNamespace(name=f"test_one[{name}]", path=root / "test_it.py", listchain=list)
        return cassette_paths.of_test(root / "cassettes", root, cast("Any", item)).name

    names = [path(name) for name in ids]
    assert len({name.casefold() for name in names}) == len(ids)
    assert all(len(name.encode()) <= 200 and "/" not in name for name in names)


def test_a_marker_names_a_cassette_at_any_level(project: Project, server: MockServer) -> None:
    project.write(
        test_a="""
        import pytest
        from app import ask
        pytestmark = pytest.mark.cassette("of/module")
        def test_one(): ask("one")
        class TestIt:
            pytestmark = pytest.mark.cassette("of/class")
            def test_two(self): ask("two")
            @pytest.mark.cassette("of/test.yaml")
            def test_three(self): ask("three")
        """,
        test_b="import pytest\nfrom app import ask\n@pytest.mark.cassette('of/module')\ndef test_one(): ask('four')\n",
        test_c="from app import ask\ndef test_marked(): ask('five')\n",
        conftest="""
        import pytest
        def pytest_collection_modifyitems(items):
            for item in items:
                if item.name == "test_marked":
                    item.add_marker(pytest.mark.cassette("of/hook"))
        """,
    )
    project.use(server)
    project.run("--record").assert_outcomes(passed=5)
    assert project.cassettes() == ["of/class.yaml", "of/hook.yaml", "of/module.yaml", "of/test.yaml"]
    shared = cassette.load(project.path / "cassettes/of/module.yaml")
    assert [one.test for one in shared] == ["test_a.py::test_one", "test_b.py::test_one"]
    project.use_nothing()
    result = project.run()
    result.assert_outcomes(passed=5)
    assert result.ret == 0


def test_a_marker_takes_ignore_paths_and_aliases(project: Project, server: MockServer) -> None:
    project.write(
        test_it="""
        import json, os, pytest, urllib.request
        def send(**more):
            url = os.environ.get("OPENAI_BASE_URL", "https://api.openai.com/v1") + "/chat/completions"
            body = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hi"}], **more}
            headers = {"Authorization": "Bearer " + os.environ["OPENAI_API_KEY"], "Content-Type": "application/json"}
            urllib.request.urlopen(urllib.request.Request(url, json.dumps(body).encode(), headers)).read()
        @pytest.mark.cassette(ignore=["metadata.run_id"])
        def test_one(): send(metadata={"run_id": str(os.getpid())})
        @pytest.mark.cassette("named", ignore="user")
        def test_two(): send(user=str(os.getpid()))
        def test_strict(): send(user=str(os.getpid()))
        """
    )
    project.use(server)
    project.run("--record").assert_outcomes(passed=3)
    assert project.cassettes() == ["named.yaml", "test_it/test_one.yaml", "test_it/test_strict.yaml"]
    project.use_nothing()
    project.run().assert_outcomes(passed=2, failed=1)


@pytest.mark.parametrize(
    ("marker", "message"),
    [
        ("alow='unplayed'", "it takes one name and ignore, aliases, allow, replay_speed, not 'alow'"),
        ("'a', 'b'", "it takes one name and *not ('a', 'b')"),
        ("7", "it takes one name and *not (7,)"),
        ("''", "it takes one name and *not ('',)"),
        ("'../x'", "'../x' does not name a file below the directory of the cassettes"),
        ("'.review/x'", "'.review/x' does not name a file *"),
        ("'/x'", "'/x' does not name a file *"),
        ("allow='unplaid'", "'unplaid' is nothing that can be allowed: expected some of unplayed, collisions, *"),
        ("replay_speed=-1", "*-1*"),
        ("aliases={1: 2}", "aliases are texts, not {1: 2}"),
        ("'x' * 201", "xxxxxxxxxxxxxxxxxxxx… is too long for the name of a file: at most 200 bytes"),
    ],
)
def test_a_bad_marker_is_a_usage_error_that_names_the_test_and_what_is_valid(
    project: Project, marker: str, message: str
) -> None:
    project.write(test_it=f"import pytest\n@pytest.mark.cassette({marker})\ndef test_one(): pass\n")
    result = project.run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    literal = message.replace("[", "[[]")
    result.stderr.fnmatch_lines([f"ERROR: @pytest.mark.cassette of test_it.py::test_one: {literal}"])


def test_record_prunes_a_shared_cassette_in_a_full_run_and_only_then(project: Project, server: MockServer) -> None:
    text = """
        import pytest
        from app import ask
        pytestmark = pytest.mark.cassette("shared")
        def test_one(): ask("{}")
        def test_two(): ask("two")
    """
    project.write(test_it=text.format("one"))
    project.use(server)
    project.run("--record").assert_outcomes(passed=2)
    project.write(test_it=text.format("another"))
    path = project.path / "cassettes/shared.yaml"
    project.run("--record", "-k", "test_one").assert_outcomes(passed=1, deselected=1)
    assert len(cassette.load(path)) == 3
    project.run("--record").assert_outcomes(passed=2)
    assert len(cassette.load(path)) == 2
    assert len(server.journal) == 3
    project.write(test_it=text.format("x").replace("ask(", "str("))
    project.run("--record").assert_outcomes(passed=2)
    assert project.cassettes() == []


def test_record_prunes_what_a_passing_test_no_longer_plays_and_records_only_what_changed(
    project: Project, server: MockServer
) -> None:
    project.write(test_it="from app import ask\ndef test_one():\n    ask('one')\n    ask('two')\n    ask('three')\n")
    project.use(server)
    project.run("--record").assert_outcomes(passed=1)
    project.write(test_it="from app import ask\ndef test_one():\n    ask('one')\n    ask('changed')\n")
    project.run("--record").stdout.fnmatch_lines(
        ["llmkit: 1 recorded * 2 dropped (cassettes/test_it/test_one.yaml), 1 replayed *"]
    )
    bodies = [one.request.body for one in cassette.load(project.path / "cassettes/test_it/test_one.yaml")]
    assert [b"one" in bodies[0], b"changed" in bodies[1], len(bodies)] == [True, True, 2]
    project.write(test_it="from app import ask\ndef test_one(): pass\n")
    project.run("--record").assert_outcomes(passed=1)
    assert project.cassettes() == []


def test_once_with_an_existing_cassette_refuses_a_new_request(project: Project, server: MockServer) -> None:
    project.write(
        test_it="""
        import pytest
        from app import ask
        def test_own(): ask("own")
        @pytest.mark.cassette("shared")
        def test_one(): ask("one")
        @pytest.mark.cassette("shared")
        def test_two(): ask("two")
        """
    )
    project.use(server)
    project.run("--record=once").assert_outcomes(passed=3)
    project.write(
        test_it="""
        import pytest
        from app import ask
        def test_own(): ask("other")
        @pytest.mark.cassette("shared")
        def test_one(): ask("another")
        """
    )
    result = project.run("--record=once")
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(["*no recording of this request*"])
    assert len(server.journal) == 3


def test_all_replaces(project: Project, server: MockServer) -> None:
    text = """
        import pytest
        from app import ask
        def test_own(): {}
        @pytest.mark.cassette("shared")
        def test_shared(): {}
    """
    project.write(test_it=text.format("ask('one'), ask('two')", "ask('one'), ask('two')"))
    project.use(server)
    project.run("--record").assert_outcomes(passed=2)
    project.write(test_it=text.format("ask('one')", "ask('one')"))
    places = [project.path / "cassettes" / name for name in ("test_it/test_own.yaml", "shared.yaml")]
    for place in places:
        place.write_text(place.read_text().replace('"finish_reason": "stop"', '"finish_reason": "old!"'))
    project.run("--record=all").assert_outcomes(passed=2)
    assert len(server.journal) == 6
    assert [len(cassette.load(place)) for place in places] == [1, 1]
    assert not any("old!" in place.read_text() for place in places)


def test_a_miss_says_in_which_other_test_it_is_recorded_in_a_section_of_its_own(
    project: Project, server: MockServer
) -> None:
    project.write(test_it="from app import ask\ndef test_one(): ask('one')\ndef test_two(): ask('two')\n")
    project.use(server)
    project.run("--record").assert_outcomes(passed=2)
    hidden = project.path / "cassettes/.review/test_it/test_two.yaml"
    hidden.parent.mkdir(parents=True)
    hidden.write_bytes((project.path / "cassettes/test_it/test_one.yaml").read_bytes())
    project.write(
        test_it="""
        from app import ask
        def test_one(): ask('one')
        def test_two():
            try:
                ask('one')
            except Exception:
                pass
        """
    )
    project.use_nothing()
    result = project.run()
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        [
            "*reason *recorded in another test: cassettes/test_it/test_one.yaml",
            "*= llmkit: requests without a recording =*",
            "test_it.py::test_two",
            "  recorded in another test: cassettes/test_it/test_one.yaml",
        ]
    )
    assert ".review" not in str(result.stdout)
