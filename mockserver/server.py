"""Start and stop: in the running loop, or in a thread with a loop of its own."""

import asyncio
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from mockserver.app import pipeline_of
from mockserver.clock import Clock
from mockserver.content_filter import ContentFilter
from mockserver.quotas import Quotas
from mockserver.scripting.steps import Step
from mockserver.scripting.tokens import token_of
from mockserver.site import Site
from mockserver.state import Settings, State
from mockserver.truth.journal import Exchange
from mockserver.truth.ledger import Ledger
from mockserver.truth.verdict import Verdict, judge

_ENDING_S = 0.3  # for the server to note the end of an answer that its client has

_GRACE_S = 0.5  # for requests under way when the server stops


class MockServer:
    """A fake OpenAI and Azure OpenAI on a port of its own, from `with` or `async with` to its end.

    `script` is a list of steps or the path of a YAML file. With a `seed`, the same request gets the same bytes from any
    server. With `deployments`, other Azure deployments do not exist; without, any name does. With `api_keys`, other
    keys are refused; without, any key passes. `lenient` answers for ids and values that somebody made up. With `tls` it
    speaks HTTPS. `now` is the clock that the server's own reads.

    With `cassettes`, a directory or a file, it answers what is recorded there, whatever client asks: at once, or with a
    `replay_speed` of 1 in the recorded times. With `upstream`, the origin of a real API, it passes requests on, and
    records them into cassettes in the directory `record`; with both, it passes on what is not recorded. A header
    `x-cassette-name`, or PUT /__admin/cassette, names the cassette to play or to record to.

    OSError if the port is taken, ScriptError if the file is no script, BrokenCassette if one of `cassettes` is none,
    ValueError if `upstream` is no origin, RuntimeError where a server is started that runs. The end of `with` raises
    SecretLeak if what looks like a secret has kept a cassette from being written.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        host: str = "127.0.0.1",
        script: Sequence[Step | dict[str, Any]] | str | Path = (),
        seed: int | None = None,
        deployments: Mapping[str, str] | None = None,
        api_keys: Iterable[str] = (),
        lenient: bool = False,
        filtered_words: Mapping[str, tuple[str, str]] | None = None,
        cassettes: str | Path | None = None,
        replay_speed: float = 0.0,
        upstream: str | None = None,
        record: str | Path | None = None,
        tls: ssl.SSLContext | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        settings = Settings(
            seed=seed,
            deployments=deployments,
            api_keys=frozenset(api_keys),
            lenient=lenient,
            content_filter=ContentFilter(filtered_words or {}),
            cassettes=None if cassettes is None else Path(cassettes),
            replay_speed=replay_speed,
            upstream=upstream,
            record=None if record is None else Path(record),
            now=now,
        )
        self._state = State(settings)
        self._state.script.start(script, seed=seed or 0)
        self._host, self._wanted_port, self._tls = host, port, tls
        self._port: int | None = None
        self._running: _InLoop | _InThread | None = None

    @property
    def host(self) -> str:
        """The address that the server listens on."""
        return self._host

    @property
    def port(self) -> int:
        """The port; RuntimeError before the start."""
        if self._port is None:
            raise RuntimeError("the server is not running; start it with `with MockServer() as server:`")
        return self._port

    @property
    def url(self) -> str:
        """The root, without a slash at its end."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http{'s' if self._tls else ''}://{host}:{self.port}"

    @property
    def openai_url(self) -> str:
        """What an OpenAI client takes as its base URL."""
        return f"{self.url}/v1"

    @property
    def azure_endpoint(self) -> str:
        """What an Azure client takes as its endpoint."""
        return self.url

    @property
    def journal(self) -> Sequence[Exchange]:
        """What has been asked and answered."""
        return self._state.journal

    @property
    def ledger(self) -> Ledger:
        """What was generated, what of it reached the socket, and what a provider would bill."""
        return Ledger(self._state.journal)

    def verdict(self, **options: Any) -> Verdict:
        """What the journal says against the client; `assert server.verdict().ok`, or `.check()` for a table.

        The options are those of `mockserver.truth.verdict.Measure`. Where the server runs in a thread, answers that are
        just ending are waited for.
        """
        if isinstance(self._running, _InThread):
            self._state.journal.wait_until_ended(_ENDING_S)
        return judge(self._state.journal, **options)

    @property
    def clock(self) -> Clock:
        """The time in which the server lives; `clock.stop()` makes it virtual."""
        return self._state.clock

    @property
    def quotas(self) -> Quotas:
        """Requests and tokens a minute, for each key and deployment: `quotas.set(rpm=3, tpm=1000)`."""
        return self._state.quotas

    @property
    def token(self) -> str:
        """The script in one word, with its seed; `/__admin/script` and a later run take it."""
        return token_of(self._state.script)

    def script(self, *steps: Step | dict[str, Any]) -> None:
        """Append steps, which may be dicts as JSON has them.

        They are taken in order, one a request, and afterwards replies are generated again. TypeError or ScriptError for
        what is no step.
        """
        self._state.script.extend(steps)

    @property
    def script_left(self) -> list[Step]:
        """The steps that no request has taken yet; a step that is taken several times with the times still to come.

        Nothing fails for them: a test that wants its script used up asserts `not mockserver.script_left`.
        """
        return self._state.script.left()

    def reset(self) -> None:
        """Forget the journal, what was uploaded and all steps, those from the start included."""
        self._state.reset()

    def _check_idle(self) -> None:
        if self._running is not None:
            message = f"the server is already running at {self.url}; leave its `with` first, or start another one"
            raise RuntimeError(message)

    def __enter__(self) -> Self:
        self._check_idle()
        running = _InThread(self)
        running.start()
        self._running = running
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if isinstance(self._running, _InThread):
            self._running.stop()
        self._port = self._running = None
        self._raise_leak(exc)

    async def __aenter__(self) -> Self:
        self._check_idle()
        running = _InLoop(self)
        await running.start()
        self._running = running
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if isinstance(self._running, _InLoop):
            await self._running.stop()
        self._port = self._running = None
        self._raise_leak(exc)

    def _raise_leak(self, exc: BaseException | None) -> None:
        leak = self._state.tapes.leak if self._state.tapes else None
        if leak is not None and exc is None:
            raise leak


class _InLoop:
    """The server in the running loop."""

    def __init__(self, server: MockServer) -> None:
        self._server = server

    async def start(self) -> None:
        server = self._server
        self._site = Site(pipeline_of(server._state), tls=server._tls, grace_s=_GRACE_S)  # noqa: SLF001 - its own half
        server._port = await self._site.listen(server._host, server._wanted_port)  # noqa: SLF001

    async def stop(self) -> None:
        await self._site.abort()


class _InThread:
    """The server in a thread with a loop of its own."""

    def __init__(self, server: MockServer) -> None:
        self._inner = _InLoop(server)
        self._started = threading.Event()
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="mockserver", daemon=True)

    def start(self) -> None:
        self._thread.start()
        self._started.wait()
        if self._failure is not None:
            self._thread.join()
            raise self._failure

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join()

    async def _run(self) -> None:
        self._loop, self._stopped = asyncio.get_running_loop(), asyncio.Event()
        try:
            await self._inner.start()
        except Exception as exc:  # noqa: BLE001 - raised again in the thread that starts the server
            self._failure = exc
            return
        finally:
            self._started.set()
        await self._stopped.wait()
        await self._inner.stop()
