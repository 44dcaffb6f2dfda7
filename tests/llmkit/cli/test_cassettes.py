"""`llmkit cassettes …`: data on stdout, words on stderr, exit codes for builds."""

from __future__ import annotations

import hashlib
import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from llmkit.cli.program import program
from llmkit.recording import cassette
from llmkit.recording.cassette import vcr_format
from llmkit.recording.interaction import Interaction, Request, Response
from llmkit.recording.scrubbing.leaks import find
from tests.llmkit.recording.samples import KEY, chat, request, streamed

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command in an empty project."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pytest.ini").write_text("[pytest]\nllmkit_prices = gpt-4o-mini = 1000 / 2000\n")

    def run(*arguments: str, answer: str = "") -> Result:
        result = CliRunner().invoke(program, ["cassettes", *arguments], input=answer)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    return run


def save(path: str, *interactions: Any) -> Path:
    cassette.save(Path(path), interactions)
    return Path(path)


def test_ls_lists_the_cassettes_of_the_project(run: Run) -> None:
    save("cassettes/a.yaml", chat(), chat("other", model="in-house"))

    result = run("ls")

    head, row, total = result.stdout.splitlines()
    assert head.split() == ["calls", "in", "out", "cost", "size", "age", "≥400", "models", "path"]
    assert row.split()[:6] == ["2", "20", "10", "$0.02", "+", "?"]
    assert row.endswith("gpt-4o-mini, in-house  cassettes/a.yaml")
    assert total.endswith("1 cassette")
    assert (result.exit_code, result.stderr) == (0, "")


def test_a_table_is_never_cut_and_takes_no_markup(run: Run) -> None:
    name = f"cassettes/{'long/' * 40}test[red].yaml"
    save(name, chat())

    assert name in run("ls").stdout


def test_ls_prints_json_for_programs(run: Run) -> None:
    save("cassettes/a.yaml", chat())

    (row,) = json.loads(run("ls", "--json").stdout)

    assert row["path"] == "cassettes/a.yaml"
    assert (row["calls"], row["tokens"], row["cost_usd"]) == (1, {"in": 10, "out": 5}, 0.02)
    assert (row["models"], row["refusals"], row["dated_by"]) == (["gpt-4o-mini"], 0, "recorded_at")
    assert row["age_days"] > 0
    assert row["size"] == Path("cassettes/a.yaml").stat().st_size


def test_ls_sorts_by_what_is_asked_for(run: Run) -> None:
    save("cassettes/a.yaml", chat())
    save("cassettes/b.yaml", chat(), chat("other"))

    rows = json.loads(run("ls", "--sort", "cost", "--json").stdout)

    assert [row["path"] for row in rows] == ["cassettes/b.yaml", "cassettes/a.yaml"]


@pytest.mark.parametrize("command", ["ls", "stats"])
def test_a_broken_cassette_is_told_on_stderr_and_the_others_are_listed(run: Run, command: str) -> None:
    save("cassettes/b.yaml", chat())
    Path("cassettes/a.yaml").write_text("version: 1\ninteractions: 7\n")

    result = run(command)

    assert "cassettes/b.yaml" in result.stdout
    assert result.stderr == "cassettes/a.yaml:2: broken cassette: 'interactions' is missing or no list\n"
    assert result.exit_code == 1


@pytest.fixture(params=["nowhere/x.yaml", "a.yaml"], ids=["to nothing", "to itself"])
def link(run: Run, request: pytest.FixtureRequest) -> Path:
    """A link that leads nowhere, beside a cassette that is whole."""
    save("cassettes/b.yaml", chat("the other"))
    Path("cassettes/a.yaml").symlink_to(request.param)
    return Path("cassettes/a.yaml")


@pytest.mark.parametrize(
    ("command", "tells_of_the_other"),
    [("ls", "cassettes/b.yaml"), ("stats", "cassettes  2, 1 of them broken"), ("show", "the other")],
)
def test_a_link_that_leads_nowhere_is_broken_and_the_others_are_shown(
    run: Run, link: Path, command: str, tells_of_the_other: str
) -> None:
    result = run(command, "cassettes")

    assert (result.exit_code, tells_of_the_other in result.stdout) == (1, True)
    assert result.stderr.startswith(f"{link}:1: broken cassette: it can't be read: ")


def test_check_finds_a_link_that_leads_nowhere(run: Run, link: Path) -> None:
    (finding,) = json.loads(run("check", "--json").stdout)

    assert (finding["kind"], finding["path"]) == ("broken", str(link))


@pytest.mark.parametrize("command", ["scrub", "migrate"])
def test_what_changes_files_passes_a_link_over_that_leads_nowhere(run: Run, link: Path, command: str) -> None:
    Path("cassettes/b.yaml").write_text(vcr_format.dump([chat("Bearer", recorded_at="")]))

    result = run(command, "cassettes")

    assert (result.exit_code, str(link) in result.stderr) == (1, True)
    assert link.is_symlink()
    assert not Path("cassettes/nowhere").exists()


@pytest.mark.parametrize("command", ["ls", "stats", "check"])
def test_without_cassettes_that_is_said(run: Run, command: str) -> None:
    result = run(command)

    assert result.exit_code == 2
    assert "there is no 'cassettes'" in result.stderr
    assert result.stdout == ""


def test_stats_say_what_a_replay_saves(run: Run) -> None:
    save("cassettes/a.yaml", chat(), streamed("a", "b"))

    told = run("stats").stdout

    assert "2, 1 of them streams (50%)" in told
    assert "saved      $0.02 by each replay of all of it; 1 call without a known price" in told
    facts = json.loads(run("stats", "--json").stdout)
    assert (facts["files"], facts["calls"], facts["saved_usd"]) == (1, 2, 0.02)
    assert facts["by_model"]["gpt-4o-mini"]["calls"] == 2


def test_show_shows_conversations(run: Run) -> None:
    path = save("a.yaml", chat("Hello", "Hi"), streamed("Sing!", "La ", "la"))

    told = run("show", str(path)).stdout

    assert [line.strip() for line in told.splitlines() if line.startswith("    ")] == ["Hello", "Hi", "Sing!", "La la"]
    assert "10 in, 5 out · $0.02" in told


def test_show_names_each_cassette_once(run: Run) -> None:
    for name in ("a", "b"):
        save(f"{name}.yaml", chat("1"), chat("2"))

    lines = run("show", "a.yaml", "b.yaml").stdout.splitlines()

    assert [line for line in lines if line.endswith(".yaml")] == ["a.yaml", "b.yaml"]


def test_show_tells_how_a_reply_broke_off(run: Run) -> None:
    one = streamed("x", "y")
    path = save("a.yaml", replace(one, response=replace(one.response, ended="reset: by peer")))

    assert "[broke off: reset: by peer]" in run("show", str(path)).stdout


def test_show_shows_one_interaction(run: Run) -> None:
    path = save("a.yaml", chat("Hello"), chat("Bye"))

    assert "Hello" not in run("show", str(path), "-n", "2").stdout
    assert run("show", str(path), "-n", "3").exit_code == 2


def test_show_shows_what_is_written_down(run: Run) -> None:
    path = save("a.yaml", chat("Hello"))

    assert "    method: POST" in run("show", "--raw", str(path)).stdout.splitlines()


def test_show_prints_json_for_programs(run: Run) -> None:
    path = save("a.yaml", chat("Hello", "Hi"))

    (one,) = json.loads(run("show", "--json", str(path)).stdout)

    assert one["asked"] == [{"role": "user", "text": "Hello"}]
    assert one["replied"] == [{"role": "assistant", "text": "Hi", "finish": "stop"}]


def test_show_lets_no_recording_steer_the_terminal(run: Run) -> None:
    path = save("a.yaml", chat("a\x1b[2Jb", "\x9b2J"))

    assert "\x1b" not in run("show", str(path)).stdout
    assert "\x9b" not in run("show", str(path)).stdout


def test_diff_exits_with_0_where_nothing_differs(run: Run) -> None:
    old, new = save("a.yaml", chat(identity="1")), save("b.yaml", chat(identity="2"))

    result = run("diff", str(old), str(new))

    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "nothing differs\n")
    assert run("diff", str(old), str(new), "--exact").exit_code == 1


def test_diff_exits_with_1_and_names_json_paths(run: Run) -> None:
    old, new = save("a.yaml", chat("Hello", "Hi")), save("b.yaml", chat("Hallo", "Hi"))

    result = run("diff", str(old), str(new))

    assert result.exit_code == 1
    assert '  request messages[0].content\n    - "Hello"\n    + "Hallo"\n' in result.stdout
    (change,) = json.loads(run("diff", str(old), str(new), "--json").stdout)
    assert change["request"] == [{"where": "messages[0].content", "before": '"Hello"', "after": '"Hallo"'}]


def test_diff_tells_what_was_added_and_what_is_gone(run: Run) -> None:
    models = Interaction(
        request=Request(method="GET", uri="https://api.openai.com/v1/models"), response=Response(status=200)
    )
    old, new = save("a.yaml", chat(), models), save("b.yaml", chat())

    assert "- interaction 2 is gone: GET https://api.openai.com/v1/models" in run("diff", str(old), str(new)).stdout
    assert "+ interaction 2 was added: GET https://api.openai.com/v1/models" in run("diff", str(new), str(old)).stdout


def test_diff_shows_long_texts_where_they_part(run: Run) -> None:
    old, new = (save(f"{word}.yaml", chat("same " * 100 + word + " end" * 100)) for word in ("one", "two"))

    before, after = (
        line
        for line in run("diff", str(old), str(new)).stdout.splitlines()
        if " same one" in line or " same two" in line
    )

    assert before.startswith("    - …")
    assert after.startswith("    + …")
    assert before.endswith("…")
    assert after.endswith("…")
    assert len(before) < 250


def test_diff_shows_the_first_of_many_differences_and_counts_the_rest(run: Run) -> None:
    old, new = save("a.yaml", listing(*"a" * 20)), save("b.yaml", listing(*"b" * 20))

    told = run("diff", str(old), str(new))

    assert "  request input[11]" in told.stdout
    assert "  request input[12]" not in told.stdout
    assert "  … and 8 more in the request" in told.stdout


def listing(*inputs: str) -> Interaction:
    return Interaction(request=request({"input": list(inputs)}, "/v1/embeddings"), response=Response(status=200))


def commit() -> None:
    for command in (["init", "-q"], ["add", "."], ["-c", "user.name=x", "-c", "user.email=x", "commit", "-qm", "x"]):
        subprocess.run(["git", *command], check=True, env={**os.environ, "GIT_CONFIG_GLOBAL": os.devnull})


def test_diff_compares_a_directory_with_git(run: Run) -> None:
    for name in ("same", "other", "gone", ".hidden"):
        save(f"sub/below/{name}.yaml", chat("Hello"))
    commit()
    assert run("diff", "sub").stderr == "nothing differs\n"
    save("sub/below/other.yaml", chat("Hallo"))
    save("sub/new.yaml", chat())
    Path("sub/below/gone.yaml").unlink()

    result = run("diff", "sub")

    assert (result.exit_code, result.stderr) == (1, "3 interactions differ in 3 cassettes\n")
    found = json.loads(run("diff", "sub", "--json").stdout)
    assert [(Path(one["path"]).name, one["changes"][0]["kind"]) for one in found] == [
        ("gone.yaml", "gone"),
        ("other.yaml", "changed"),
        ("new.yaml", "added"),
    ]


def test_diff_compares_two_directories_by_the_names_of_their_files(run: Run) -> None:
    save("a/x/1.yaml", chat("Hello"))
    save("b/x/1.yaml", chat("Hallo"))

    result = run("diff", "a", "b")

    assert result.stdout.startswith("b/x/1.yaml\n~ interaction 1 changed")
    assert (result.exit_code, result.stderr) == (1, "1 interaction differs in 1 cassette\n")


@pytest.mark.parametrize("path", ["sub/a.yaml", "sub"])
def test_diff_gives_git_no_options(run: Run, path: str) -> None:
    save("sub/a.yaml", chat())
    commit()

    result = run("diff", path, "--revision=--output=written")

    assert (result.exit_code, "is no revision" in result.stderr) == (2, True)
    assert not [*Path().rglob("written*")]


def test_diff_compares_one_file_with_git(run: Run) -> None:
    path = save("sub/a.yaml", chat("Hello"))
    commit()

    assert run("diff", str(path)).exit_code == 0
    save("sub/a.yaml", chat("Hallo"))
    assert run("diff", str(path)).exit_code == 1


@pytest.mark.parametrize("paths", [["a.yaml"], ["a.yaml", "nowhere.yaml"], ["."], ["broken.yaml", "a.yaml"]])
def test_diff_exits_with_2_where_it_cannot_compare(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, paths: list[str]
) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    save("a.yaml", chat())
    Path("broken.yaml").write_text("")

    result = run("diff", *paths)

    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("Error: ")


def test_check_fails_on_errors_and_never_prints_a_secret(run: Run) -> None:
    save("cassettes/a.yaml", chat(f"use {KEY}"), streamed("x", KEY[:14], KEY[14:]))
    Path("cassettes/b.yaml").write_text(f"interactions: [{KEY}")

    for form in ([], ["--json"]):
        result = run("check", *form)
        assert result.exit_code == 1
        assert KEY[8:] not in result.output
        assert KEY[8:20] not in result.output
    assert result.stderr == "checked 2 cassettes: 4 errors, 0 warnings, 0 notes\n"


@pytest.fixture
def telling(run: Run) -> str:
    """A directory whose files have a key in their names, in a test's name, and where they are broken."""
    Path("test_x.py").write_text("")
    save(f"cassettes/test_x/test_a[{KEY}].yaml", chat(test=f"test_x.py::test_a[{KEY}]"))
    save("cassettes/plain.yaml", chat())
    entry = Path("cassettes/plain.yaml").read_text()
    Path("cassettes/number.yaml").write_text(entry.replace("code: 200", f"code: {KEY}"))
    Path("cassettes/tag.yaml").write_text(entry.replace("code: 200", f"code: !{KEY} 200"))
    return "cassettes"


@pytest.mark.parametrize("form", [[], ["--json"]])
@pytest.mark.parametrize(
    "command",
    [["ls"], ["stats"], ["show"], ["check"], ["scrub", "--dry-run"], ["migrate", "--dry-run"], ["prune", "--dry-run"]],
)
def test_no_command_shows_a_secret_of_a_name_or_an_error(
    run: Run, telling: str, command: list[str], form: list[str]
) -> None:
    result = run(*command, telling, *form)

    assert KEY[8:20] not in result.output
    assert "cassettes/" in result.output


def test_no_error_of_a_command_shows_a_secret(run: Run) -> None:
    result = run("ls", f"{KEY}.yaml")

    assert (result.exit_code, KEY[8:] in result.output) == (2, False)


def test_check_lets_be_what_is_allowed(run: Run) -> None:
    save("cassettes/a.yaml", chat(f"use {KEY}"))
    (leak,) = find(chat(f"use {KEY}"))

    assert run("check").exit_code == 1
    assert run("check", "--allow", f"{leak.digest}:a sample").exit_code == 0
    with Path("pytest.ini").open("a") as file:
        file.write(f"llmkit_allowed_secrets =\n    {leak.digest}: a sample\n")
    assert run("check").exit_code == 0


@pytest.mark.parametrize("entry", ["0123456789ab", "0123456789ab:", ".*: all"])
def test_check_allows_nothing_without_a_reason(run: Run, entry: str) -> None:
    save("cassettes/a.yaml", chat())

    result = run("check", "--allow", entry)

    assert result.exit_code == 2
    assert "--allow" in result.stderr


def test_check_names_an_orphan_by_its_test(run: Run) -> None:
    Path("tests").mkdir()
    Path("tests/test_x.py").write_text("def test_a(): ...\n")
    save("cassettes/tests/test_x/test_gone.yaml", chat())

    result = run("check")

    assert result.exit_code == 1
    assert "error  orphan    tests/test_x.py::test_gone: tests/test_x.py has no such test" in result.stdout
    (finding,) = json.loads(run("check", "--json").stdout)
    assert (finding["severity"], finding["kind"]) == ("error", "orphan")


def test_check_fails_on_warnings_only_if_strict(run: Run) -> None:
    save("cassettes/a.yaml", chat(recorded_at="2020-01-01T00:00:00+00:00"))

    assert run("check", "--max-age-days", "30").exit_code == 0
    assert run("check", "--max-age-days", "30", "--strict").exit_code == 1
    assert run("check", "--strict").exit_code == 0


def test_scrub_names_places_and_no_values(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINE", "c4n4ry-s3cret-0123456789")
    path = save("a.yaml", chat("it is c4n4ry-s3cret-0123456789"))

    dry = run("scrub", "a.yaml", "--secret-env", "MINE", "--dry-run")
    assert "c4n4ry" in path.read_text()
    done = run("scrub", "a.yaml", "--secret-env", "MINE")

    assert "c4n4ry" not in path.read_text()
    assert "a.yaml  #1     request.body messages[0].content" in done.stdout
    assert dry.stderr == "1 place in 1 cassette would be scrubbed\n"
    assert "c4n4ry" not in dry.output + done.output


def test_scrub_tells_headers_that_are_only_noise_in_one_line(run: Run) -> None:
    one = chat()
    headers = {**one.request.headers, "user-agent": ["x"], "host": ["y"], "authorization": [f"Bearer {KEY}"]}
    cookies = {**one.response.headers, "set-cookie": ["a=b"]}
    request, response = replace(one.request, headers=headers), replace(one.response, headers=cookies)
    Path("a.yaml").write_text(vcr_format.dump([replace(one, request=request, response=response)]))

    _, *lines = run("scrub", "a.yaml", "--dry-run").stdout.splitlines()

    assert [line.partition("#1")[2].strip() for line in lines] == [
        "request.headers authorization",
        "response.headers set-cookie (left out)",
        "2 headers without a secret (left out)",
    ]


def test_scrub_refuses_a_variable_that_is_not_set(run: Run) -> None:
    save("a.yaml", chat())

    assert run("scrub", "a.yaml", "--secret-env", "NOT_SET_ANYWHERE").exit_code == 2


def test_scrub_leaves_a_broken_file_and_says_so(run: Run) -> None:
    Path("a.yaml").write_text("interactions: [")

    result = run("scrub", "a.yaml")

    assert result.exit_code == 1
    assert "a.yaml:2: broken cassette, left as it is" in result.stderr


@pytest.fixture
def orphan(run: Run) -> Path:
    Path("test_x.py").write_text("def test_a(): ...\n")
    save("cassettes/test_x/test_a.yaml", chat("a"), chat("b"))
    return save("cassettes/test_x/test_gone.yaml", chat())


def test_prune_deletes_orphans_once_it_may(run: Run, orphan: Path) -> None:
    refused = run("prune")
    assert (refused.exit_code, orphan.exists()) == (2, True)
    assert "use --yes" in refused.stderr

    assert run("prune", "--dry-run").exit_code == 0
    assert orphan.exists()

    done = run("prune", "--yes")
    assert (done.exit_code, orphan.exists()) == (0, False)
    assert "orphan of test_x.py::test_gone" in done.stdout
    assert run("prune").stderr == "nothing to prune\n"


@pytest.mark.parametrize(("answer", "is_kept"), [(b"n\n", True), (b"y\n", False)])
def test_prune_asks_on_a_terminal(orphan: Path, answer: bytes, is_kept: bool) -> None:
    ours, theirs = pty.openpty()
    os.write(ours, answer)

    done = subprocess.run(
        [sys.executable, "-m", "llmkit", "cassettes", "prune"],
        stdin=theirs,
        capture_output=True,
        text=True,
        check=False,
    )
    os.close(ours)
    os.close(theirs)

    assert "Delete this?" in done.stderr
    assert (done.returncode, orphan.exists()) == (1 if is_kept else 0, is_kept)


def test_prune_takes_out_what_a_run_left_unplayed(run: Run, orphan: Path, tmp_path: Path) -> None:
    orphan.unlink()
    path = Path("cassettes/test_x/test_a.yaml")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    report = Path(".pytest_cache/v/llmkit/played")
    report.parent.mkdir(parents=True)
    facts = {"root": str(tmp_path), "cassettes": {str(path): {"sha256": digest, "unplayed": [1]}}, "orphans": []}
    report.write_text(json.dumps(facts))

    assert "#2    cassettes/test_x/test_a.yaml  unplayed" in run("prune", "--dry-run").stdout
    report.rename("elsewhere")
    assert run("prune", "--dry-run").stderr == "nothing to prune\n"
    result = run("prune", "--played", "elsewhere", "--yes", "--json")

    assert [(one["interactions"], one["done"]) for one in json.loads(result.stdout)] == [([2], True)]
    assert cassette.load(path) == [chat("a")]


@pytest.fixture
def renamed(run: Run, tmp_path: Path) -> Path:
    """The cassette of a parameter that is no more, which only a run could find; the last one did."""
    Path("test_x.py").write_text("def test_a(word): ...\n")
    path = save("cassettes/test_x/test_a[old].yaml", chat())
    report = Path(".pytest_cache/v/llmkit/played")
    report.parent.mkdir(parents=True)
    report.write_text(json.dumps({"root": str(tmp_path), "cassettes": {}, "orphans": [str(path)]}))
    return path


def test_what_the_last_run_found_to_be_an_orphan_is_checked_and_pruned(run: Run, renamed: Path) -> None:
    checked = run("check")
    why = "test_x.py::test_a[old]: the last run of pytest had no such test"
    assert (checked.exit_code, f"error  orphan    {why}" in checked.stdout) == (1, True)

    pruned = run("prune", "--yes")
    assert (pruned.exit_code, renamed.exists()) == (0, False)
    assert f"orphan of {why}" in pruned.stdout


@pytest.mark.parametrize("name", ["test_x.py", "cassettes/test_x/test_a[old].yaml"])
def test_what_has_changed_since_the_last_run_is_no_orphan_by_it(run: Run, renamed: Path, name: str) -> None:
    later = Path(".pytest_cache/v/llmkit/played").stat().st_mtime + 1
    os.utime(name, (later, later))

    assert run("check").exit_code == 0
    assert run("prune").stderr == "nothing to prune\n"


def test_merge_and_split_undo_each_other(run: Run) -> None:
    path = save("a.yaml", chat("a", model="one"), chat("b", model="two"))

    assert run("split", "a.yaml", "parts", "--by", "model").exit_code == 0
    assert sorted(path.name for path in Path("parts").iterdir()) == ["one.yaml", "two.yaml"]
    assert run("merge", "b.yaml", "parts").exit_code == 0
    assert cassette.load(Path("b.yaml")) == cassette.load(path)
    assert run("merge", "b.yaml", "parts").exit_code == 2
    forced = run("merge", "b.yaml", "parts", "--force", "--json")
    assert json.loads(forced.stdout) == {"path": "b.yaml", "calls": 2}
    assert forced.stderr == "b.yaml holds 2 interactions of 2 cassettes\n"


def test_migrate_goes_to_our_format_and_back(run: Run) -> None:
    path = Path("a.yaml")
    path.write_text(vcr_format.dump([chat("Hello")]))

    assert run("migrate", "a.yaml").exit_code == 0
    assert vcr_format.is_ours(path)
    assert run("migrate", "a.yaml", "--to", "vcrpy").exit_code == 0
    assert not vcr_format.is_ours(path)
    assert cassette.load(path)[0].response.body == chat().response.body


def test_migrate_fails_where_a_secret_would_stay(run: Run) -> None:
    for name in ("a", "b"):
        Path(f"{name}.yaml").write_text(vcr_format.dump([chat(KEY if name == "a" else "Hello")]))

    result = run("migrate", "a.yaml", "b.yaml")

    assert result.exit_code == 1
    assert result.stderr.endswith("1 of 2 cassettes were written\n")
    assert KEY[8:] not in result.output
    assert not vcr_format.is_ours(Path("a.yaml"))
    assert vcr_format.is_ours(Path("b.yaml"))


def test_migrate_moves_the_layout_of_pytest_recording(run: Run) -> None:
    Path("tests").mkdir()
    Path("tests/test_x.py").write_text("class TestA:\n    def test_b(self): ...\n")
    old = Path("tests/cassettes/test_x/TestA.test_b.yaml")
    old.parent.mkdir(parents=True)
    old.write_text(vcr_format.dump([chat("Hello")]))

    dry = run("migrate", "--layout", "pytest-recording", "--dry-run")
    assert "cassettes/tests/test_x/TestA/test_b.yaml" in dry.stdout
    assert old.exists()
    assert run("migrate", "--layout", "pytest-recording").exit_code == 0

    assert not old.exists()
    assert len(cassette.load(Path("cassettes/tests/test_x/TestA/test_b.yaml"))) == 1
    assert run("check").exit_code == 0


def test_migrate_fails_where_the_layout_leaves_files_behind(run: Run) -> None:
    Path("tests").mkdir()
    Path("tests/test_x.py").write_text("def test_b(): ...\n")
    for name in ("test_b[a-b]", "test_b[c-d]", "other"):
        path = Path(f"tests/cassettes/test_x/{name}.yaml")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(vcr_format.dump([chat("Hello")]))

    result = run("migrate", "--layout", "pytest-recording")

    assert (result.exit_code, path.exists()) == (1, True)
    assert result.stderr.count("pytest-recording writes '-' for each of < > ? % * : | \" ' / \\ in the name") == 1
    assert result.stderr.endswith("\n2 of 3 cassettes were written\n")


def test_migrate_takes_the_json_of_vcrpy_in_a_directory(run: Run) -> None:
    Path("c").mkdir()
    Path("c/a.json").write_text(vcr_format.dump([chat("Hello")], "json"))

    result = run("migrate", "c")

    assert (result.exit_code, result.stderr) == (0, "1 of 1 cassette was written\n")
    assert [path.name for path in Path("c").iterdir()] == ["a.yaml"]


def test_migrate_keeps_the_directories_below_those_named(run: Run) -> None:
    save("cassettes/tests/test_x/a.yaml", chat())

    assert run("migrate", "cassettes", "--to", "vcrpy", "--out", "v").exit_code == 0

    assert Path("v/tests/test_x/a.yaml").exists()


@pytest.mark.parametrize("arguments", [[], ["a.yaml", "--layout", "pytest-recording"]])
def test_migrate_wants_paths_or_a_layout(run: Run, arguments: list[str]) -> None:
    assert run("migrate", *arguments).exit_code == 2


def test_the_program_runs_as_a_module(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("")

    done = subprocess.run(
        [sys.executable, "-m", "llmkit", "cassettes", "check", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert "broken" in done.stdout
    assert done.stderr == "checked 1 cassette: 1 error, 0 warnings, 0 notes\n"


def test_the_package_does_not_import_its_command_line() -> None:
    code = "import sys, llmkit; sys.exit(any(name in sys.modules for name in ('click', 'rich', 'llmkit.cli')))"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
