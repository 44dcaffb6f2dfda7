"""Runs many calls at once: a few at a time, each answer kept as it comes, in the order in which they were asked."""

import asyncio
import hashlib
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from llmkit.bulk.resuming import ResumeFile
from llmkit.errors import (
    AuthenticationFailed,
    BulkFailed,
    CircuitOpen,
    ConfigError,
    InvalidRequest,
    LLMError,
    NotFound,
    PermissionDenied,
    QuotaExceeded,
)

# what fails one call in this way fails them all
_HOPELESS = (AuthenticationFailed, PermissionDenied, QuotaExceeded, NotFound, ConfigError)
_LEAST_WAIT_S = 0.05

Show = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One of many calls: `name` tells what is asked, `ask` asks it, and `read` makes a reply of a payload.

    While the breaker is open it waits to be asked, for at most `patience_s`. `texts` are keys of the texts that it asks
    about at once, by which each is found again.
    """

    name: str
    ask: Callable[[], Awaitable[Any]]
    read: Callable[[Mapping[str, Any]], Any]
    patience_s: float
    texts: tuple[str, ...] = ()


def check_concurrency(concurrency: object) -> int:
    """The number itself; raises InvalidRequest for one that is none."""
    if type(concurrency) is not int or concurrency < 1:
        raise InvalidRequest(f"concurrency = {concurrency!r}: it has to be a number of calls from 1, for example 8")
    return concurrency


async def run(
    jobs: Sequence[Job], *, concurrency: int, answers: ResumeFile | None, show: Show, returns_errors: bool
) -> list[Any]:
    """The replies in the order of the jobs; what `answers` has already is not asked again.

    Raises BulkFailed where some failed, after all others have come; with `returns_errors` they stand in their places.
    What would fail every call ends the run at once.
    """
    running = _Run(jobs, answers, show)
    bug = await _worked(running, concurrency)
    if bug is not None:
        raise bug
    if running.failures and not (returns_errors and running.hopeless is None):
        raise running.failure()
    return [running.failures.get(index, running.results[index]) for index in range(len(jobs))]


async def _worked(running: "_Run", concurrency: int) -> Exception | None:
    """Does all there is to do; returns what ended it, if that is no error of a call but somebody's bug."""
    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(min(concurrency, len(running.open))):
                group.create_task(running.work())
    except ExceptionGroup as bugs:
        return bugs.exceptions[0]
    return None


@dataclass(slots=True)
class _Run:
    """The jobs, and what became of them."""

    jobs: Sequence[Job]
    answers: ResumeFile | None
    show: Show
    results: list[Any] = field(init=False)
    failures: dict[int, LLMError] = field(default_factory=dict)
    hopeless: LLMError | None = None
    done: int = 0
    open: list[int] = field(init=False)
    _keys: list[str] = field(init=False)
    _queue: Iterator[int] = field(init=False)

    def __post_init__(self) -> None:
        self._keys = list(_keys(job.name for job in self.jobs))
        self.results = [self._known(index) for index in range(len(self.jobs))]
        self.open = [index for index, result in enumerate(self.results) if result is None]
        self._queue = iter(self.open)
        self.done = len(self.jobs) - len(self.open)
        self.show(self.done, len(self.jobs))

    def _known(self, index: int) -> Any:
        payload = None if self.answers is None else self.answers.get(self._keys[index])
        if payload is None:
            return None
        try:
            return self.jobs[index].read(payload)
        except LLMError:
            return None  # what its parser refuses is asked again

    async def work(self) -> None:
        """Do one job after the other, as long as there are any."""
        for index in self._queue:
            if self.hopeless is not None:
                return
            try:
                self.results[index] = await asked_patiently(self.jobs[index])
                self._keep(index)
            except LLMError as error:
                self.failures[index] = error
                if isinstance(error, _HOPELESS):
                    self.hopeless = error
            self.done += 1
            self.show(self.done, len(self.jobs))

    def _keep(self, index: int) -> None:
        """Write the reply down; where the disk does not take it, it is in the results of the failure still."""
        reply = self.results[index]
        if self.answers is not None and reply.degraded is None:  # a stand-in is asked again next time
            self.answers.add(self._keys[index], reply.payload, texts=self.jobs[index].texts)

    def failure(self) -> BulkFailed:
        """What is raised when not all have come."""
        index, first = next(iter(sorted(self.failures.items())))
        missing = len(self.jobs) - self.done
        rest = f"; {missing} were not made, for they would fail alike" if missing else ""
        kept = "" if self.answers is None else f". The others are in {str(self.answers.path)!r}: the same call resumes"
        return BulkFailed(
            f"{len(self.failures)} of {len(self.jobs)} calls failed{rest}; number {index}: "
            f"{type(first).__name__}: {first}{kept}",
            failures=self.failures,
            results=self.results,
        )


async def asked_patiently(job: Job) -> Any:
    """The reply; while the breaker is open, the job waits instead of failing with all the others."""
    give_up_at = time.monotonic() + job.patience_s
    while True:
        try:
            return await job.ask()
        except CircuitOpen as error:
            wait_s = max(error.retry_after_s or 0.0, _LEAST_WAIT_S)
            if time.monotonic() + wait_s > give_up_at:
                raise
        await asyncio.sleep(wait_s)


def _keys(names: Iterator[str]) -> Iterator[str]:
    """A key for each name: which of those that ask the same it is belongs to it."""
    seen: Counter[str] = Counter()
    for name in names:
        seen[name] += 1
        yield hashlib.sha256(f"{name}\n{seen[name]}".encode()).hexdigest()[:32]
