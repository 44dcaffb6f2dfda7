"""`python -m mockserver`: the server as a process, until SIGINT or SIGTERM."""

import argparse
import asyncio
import ipaddress
import re
import signal
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mockserver.catalogue import find

if TYPE_CHECKING:
    from mockserver.server import MockServer


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until a signal arrives; 2 if the server cannot start."""
    options = _parser().parse_args(arguments)
    try:
        from mockserver import MockServer, ScriptError
    except ModuleNotFoundError as exc:
        return _complain(str(exc))
    try:
        server = MockServer(
            port=options.port,
            host=options.host,
            script=options.script or (),
            seed=options.seed,
            lenient=options.lenient,
            deployments=dict(options.deployment) or None,
            api_keys=options.api_key,
        )
        if not _is_loopback(options.host):
            _complain(f"warning: {options.host} can be reached from other machines; anyone may use this server")
        asyncio.run(_serve(server))
    except ScriptError as exc:
        return _complain(str(exc))
    except OSError as exc:
        reason = exc.strerror or str(exc)
        return _complain(
            f"cannot listen on {options.host}:{options.port}: {reason}; choose another --port, or 0 for any"
        )
    return 0


async def _serve(server: "MockServer") -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with server:
        print(f"mockserver listening on {server.url}", flush=True)
        await stopped.wait()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mockserver", description="A fake OpenAI and Azure OpenAI that misbehaves on command."
    )
    parser.add_argument("--port", type=_port, default=8080, help="port, 0 for any that is free (default: %(default)s)")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--script", metavar="FILE.yaml", help="steps to take, in order")
    parser.add_argument(
        "--seed", type=int, help="seed of what is generated; with one, the same request gets the same bytes"
    )
    parser.add_argument(
        "--lenient", action="store_true", help="answer also for ids, names and values that somebody made up"
    )
    parser.add_argument(
        "--deployment",
        metavar="NAME=MODEL",
        type=_deployment,
        action="append",
        default=[],
        help="an Azure deployment; given once or more, no others exist",
    )
    parser.add_argument(
        "--api-key",
        metavar="KEY",
        action="append",
        default=[],
        help="a key to accept; given once or more, no others pass",
    )
    return parser


def _port(text: str) -> int:
    if not re.fullmatch("[0-9]{1,5}", text) or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port; it takes a whole number from 0 to 65535")
    return int(text)


def _deployment(text: str) -> tuple[str, str]:
    name, _, model = text.partition("=")
    if not name or find(model) is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no deployment; write NAME=MODEL, for example chat=gpt-4o")
    return name, model


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _complain(message: str) -> int:
    print(f"mockserver: {message}", file=sys.stderr)
    return 2
