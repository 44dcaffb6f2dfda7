"""TinyTroupe itself on `llmkit.tinytroupe` and the mock server: ``python -m tests.conformance.tinytroupe``.

Two of its agents talk with each other, over OpenAI and Azure, through a rate limit, and once more out of the cache;
four talk in two steps; and its own `control` keeps two whom its factory made. Its code is fetched from GitHub, since
the `tinytroupe` of the package index is a placeholder; ``--source`` takes a checkout that is there already.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.conformance import conversations
from tests.conformance.report import FAILED, Row, exit_code, failures, table
from tests.conformance.serving import NotStarted, Served, serving
from tests.conformance.workshop import Absent, Workshop, _run

_ROOT = Path(__file__).parents[2]
_HOME = _ROOT / ".conformance"
_REPOSITORY = "https://github.com/microsoft/TinyTroupe"
_COMMIT = "1b9b1f4b8b1d85f45425f194b11079fd8b908dca"  # version 0.3.0
# what its agents and environments import, and what llmkit needs
_NEEDS = [
    "openai>=2.20,<4",
    "pydantic-settings>=2.7",
    "tiktoken>=0.13",
    "chevron",
    "rich",
    "llama-index-core",
    "llama-index-embeddings-openai",
    "llama-index-readers-web",
]
_CLIENT = conversations.Client(
    name="TinyTroupe", kind="python", needs=_NEEDS, conversations=6, script="tinytroupe_client"
)
_WITHIN_S = 300
# no waits; else what TinyTroupe ships
_CONFIG = """\
[OpenAI]
API_TYPE=openai
AZURE_API_VERSION=2024-10-21
MODEL=gpt-4o
MAX_TOKENS=4000
TEMPERATURE=0.3
FREQ_PENALTY=0.0
PRESENCE_PENALTY=0.0
TIMEOUT=60
MAX_ATTEMPTS=5
WAITING_TIME=0
EXPONENTIAL_BACKOFF_FACTOR=5
EMBEDDING_MODEL=text-embedding-3-small
CACHE_API_CALLS=False
CACHE_FILE_NAME=openai_api_cache.pickle
MAX_CONTENT_DISPLAY_LENGTH=1024
[Simulation]
RAI_HARMFUL_CONTENT_PREVENTION=True
RAI_COPYRIGHT_INFRINGEMENT_PREVENTION=True
[Logging]
LOGLEVEL=ERROR
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Let agents talk and print what came of it.

    0 if all held; 1 if something failed; 3 if TinyTroupe or what it needs can't be had.
    """
    options = _parser().parse_args(arguments)
    try:
        with serving("--seed", "7") as served:
            found = [_row(Workshop(options.home), options.source, served)]
    except NotStarted as exc:
        print(exc, file=sys.stderr)
        return FAILED
    found += [Row(name="server", failed=1, failures=(said,)) for said in served.complaints]
    print("\n".join(part for part in (table(found), failures(found)) if part))
    return exit_code(found)


def _row(workshop: Workshop, source: Path | None, served: Served) -> Row:
    try:
        checkout = _checkout(workshop) if source is None else source.resolve()
        python = workshop.python(_CLIENT.name, _NEEDS)
    except Absent as exc:
        return Row(name=_CLIENT.name, absent=str(exc))
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "config.ini").write_text(_CONFIG, encoding="utf-8")
        return _held(python.absolute(), checkout, served.origin, folder)


def _checkout(workshop: Workshop) -> Path:
    """The files of that commit; Absent without git or GitHub."""
    if shutil.which("git") is None:
        raise Absent("git is not on PATH")

    def make(place: Path) -> None:
        at = ["git", "-C", str(place)]
        place.mkdir(parents=True)
        for command in (["init", "--quiet"], ["fetch", "--quiet", "--depth=1", _REPOSITORY, _COMMIT]):
            _run([*at, *command])
        _run([*at, "checkout", "--quiet", "FETCH_HEAD"])

    return workshop._made("tinytroupe-source", [_COMMIT], make)


def _held(python: Path, checkout: Path, origin: str, folder: str) -> Row:
    command = [str(python), "-m", f"tests.conformance.clients.{_CLIENT.script}"]
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=_environment(origin, checkout),
            capture_output=True,
            text=True,
            timeout=_WITHIN_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Row(name=_CLIENT.name, failed=_CLIENT.conversations, failures=(f"it took more than {_WITHIN_S} s",))
    return conversations.judged(_CLIENT, done.stdout, done.stderr)


def _environment(origin: str, checkout: Path) -> dict[str, str]:
    """Ours without what would steer a client elsewhere, and with everything that names the server."""
    steering = ("OPENAI_", "AZURE_", "PYTHON", "HTTP_PROXY", "http_proxy", "ALL_PROXY")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(steering)}
    return kept | {
        "MOCKSERVER_ORIGIN": origin,
        "OPENAI_BASE_URL": f"{origin}/v1",
        "OPENAI_API_KEY": "sk-for-the-mock-server",
        "AZURE_OPENAI_ENDPOINT": origin,
        "AZURE_OPENAI_KEY": "for-the-mock-server",
        "PYTHONPATH": os.pathsep.join([str(_ROOT), str(checkout)]),
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.conformance.tinytroupe", description=main.__doc__)
    parser.add_argument("--source", type=Path, metavar="DIR", help="a checkout of TinyTroupe, in place of GitHub's")
    parser.add_argument("--home", type=Path, default=_HOME, help="where to keep what is installed")
    return parser


if __name__ == "__main__":
    sys.exit(main())
