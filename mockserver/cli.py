"""`python -m mockserver`: the server as a process, until SIGINT or SIGTERM."""

import ipaddress
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from mockserver.tls import TlsFiles
    from mockserver.truth.journal import Journal

_GRACE_S = 30.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until a signal arrives; 2 if the server cannot start, 1 where its verdict on the client is bad."""
    try:
        code = command.main(args=None if arguments is None else list(arguments), standalone_mode=False)
    except click.UsageError as exc:
        exc.show()
        return 2
    except click.Abort:
        return 130
    return int(code or 0)


def _port(_context: click.Context, _parameter: click.Parameter, text: str) -> int:
    if not re.fullmatch("[0-9]{1,5}", str(text)) or int(text) > 65_535:
        raise click.BadParameter(f"{text!r} is no port; it takes a whole number from 0 to 65535")
    return int(text)


def _deployment(_context: click.Context, _parameter: click.Parameter, values: Sequence[str]) -> dict[str, str]:
    from mockserver.catalogue import find

    deployments = {}
    for text in values:
        name, _, model = text.partition("=")
        if not name or find(model) is None:
            raise click.BadParameter(f"{text!r} is no deployment; write NAME=MODEL, for example chat=gpt-4o")
        deployments[name] = model
    return deployments


def _filtered_word(
    _context: click.Context, _parameter: click.Parameter, values: Sequence[str]
) -> dict[str, tuple[str, str]]:
    from mockserver.content_filter import ContentFilter

    words = {}
    for text in values:
        word, _, kind = text.rpartition("=")
        category, _, severity = kind.partition(":")
        if not (word and category and severity):
            advice = "write WORD=CATEGORY:SEVERITY, for example bomb=violence:high"
            raise click.BadParameter(f"{text!r} is no word to filter; {advice}")
        words[word] = category, severity
    try:
        ContentFilter(words)
    except ValueError as exc:
        raise click.BadParameter(str(exc)) from exc
    return words


@click.command("mockserver", context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default="8080", show_default=True, callback=_port, help="Port, 0 for any that is free.")
@click.option("--script", metavar="FILE", help="YAML file of steps to take, in order; read again when it changes.")
@click.option("--seed", type=int, help="Seed of what is generated; with one, the same request gets the same bytes.")
@click.option("--workers", default=1, show_default=True, type=click.IntRange(1, 64), help="Processes that answer.")
@click.option(
    "--cassettes",
    metavar="DIR",
    type=click.Path(exists=True, path_type=Path),
    help="Answer what is recorded here, whatever client asks: each recording once, the last again if --lenient.",
)
@click.option(
    "--replay-speed",
    metavar="F",
    default=0.0,
    type=click.FloatRange(0),
    help="1: in the recorded times, 2: in half of them, 0 (the default): at once.",
)
@click.option(
    "--upstream", metavar="ORIGIN", help="Pass on what is not recorded to the real API: https://api.openai.com"
)
@click.option(
    "--record",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Record what comes from --upstream. A header x-cassette-name names the file, which is else recording.yaml.",
)
@click.option("--lenient", is_flag=True, help="Answer also for ids, names and values that somebody made up.")
@click.option(
    "--deployment",
    "deployments",
    metavar="NAME=MODEL",
    multiple=True,
    callback=_deployment,
    help="An Azure deployment; given once or more, no others exist.",
)
@click.option(
    "--api-key",
    "api_keys",
    metavar="KEY",
    multiple=True,
    help="A key to accept; given once or more, no others pass. By default any key that is not empty does.",
)
@click.option(
    "--filtered-word",
    "filtered_words",
    metavar="WORD=CATEGORY:SEVERITY",
    multiple=True,
    callback=_filtered_word,
    help="A word that the content filter finds, for example bomb=violence:high.",
)
@click.option("--tls-cert", metavar="FILE", type=click.Path(exists=True), help="Certificate chain: serve HTTPS.")
@click.option(
    "--tls-key", metavar="FILE", type=click.Path(exists=True), help="Its private key, if not in the same file."
)
@click.option(
    "--grace",
    "grace_s",
    default=_GRACE_S,
    show_default=True,
    type=click.FloatRange(0, 3600),
    help="Seconds that running answers are given after SIGTERM.",
)
@click.option(
    "--verdict", is_flag=True, help="At the end, judge the client: print what it did wrong, exit with 1 if so."
)
def command(
    *,
    host: str,
    port: int,
    script: str | None,
    seed: int | None,
    workers: int,
    cassettes: Path | None,
    replay_speed: float,
    upstream: str | None,
    record: Path | None,
    lenient: bool,
    deployments: dict[str, str],
    api_keys: Sequence[str],
    filtered_words: dict[str, tuple[str, str]],
    tls_cert: str | None,
    tls_key: str | None,
    grace_s: float,
    verdict: bool,
) -> int:
    """A fake OpenAI and Azure OpenAI that misbehaves on command.

    Clients need nothing but OPENAI_BASE_URL=http://127.0.0.1:PORT/v1, or AZURE_OPENAI_ENDPOINT=http://127.0.0.1:PORT.
    """
    try:
        from llmkit.recording.errors import RecordingError
        from mockserver.content_filter import ContentFilter
        from mockserver.process import Place, serve
        from mockserver.scripting.reading import ScriptError
        from mockserver.state import Settings
        from mockserver.workers.hub import WorkerDied
    except ModuleNotFoundError as exc:
        return _complain(f"the server needs {exc.name}: pip install 'llmkit[testing]'")
    try:
        settings = Settings(
            seed=seed,
            deployments=deployments or None,
            api_keys=frozenset(api_keys),
            lenient=lenient,
            cassettes=cassettes,
            replay_speed=replay_speed,
            upstream=upstream,
            record=record,
            content_filter=ContentFilter(filtered_words),
        )
    except ValueError as exc:
        raise click.UsageError(str(exc)) from exc
    if not _is_loopback(host):
        _complain(f"warning: {host} can be reached from other machines; anyone may use this server")
    try:
        place = Place(host=host, port=port, workers=workers, tls_files=_tls_files(tls_cert, tls_key), grace_s=grace_s)
        journal = serve(settings, place, script=script, announce=_announce)
    except (ScriptError, WorkerDied, RecordingError) as exc:
        return _complain(str(exc))
    except OSError as exc:
        reason = exc.strerror or str(exc)
        return _complain(f"cannot listen on {host}:{port}: {reason}; choose another --port, or 0 for any")
    return _judged(journal) if verdict else 0


def _announce(url: str) -> None:
    print(f"mockserver listening on {url}", flush=True)


def _judged(journal: "Journal") -> int:
    from mockserver.truth.verdict import exit_code, judge

    verdict = judge(journal)
    print(verdict)
    return exit_code(verdict)


def _tls_files(certificate: str | None, key: str | None) -> "TlsFiles":
    from mockserver.tls import context_of

    if certificate is None:
        if key is not None:
            raise click.UsageError("--tls-key needs --tls-cert")
        return None
    try:
        context_of((certificate, key))
    except OSError as exc:  # ssl.SSLError is one
        raise click.UsageError(f"--tls-cert {certificate}: {exc}; it takes a certificate and its key in PEM") from exc
    return certificate, key


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _complain(message: str) -> int:
    print(f"mockserver: {message}", file=sys.stderr)
    return 2
