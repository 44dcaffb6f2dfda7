"""What a client does with many prompts or texts."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from os import PathLike
from typing import Any, Literal

from llmkit._engine import Engine, Messages
from llmkit._services import Errand
from llmkit.bulk.embedding import MOST_TOKENS, batches, distinct, joined, keys, lengths, recalled
from llmkit.bulk.progress import Progress, Show, shown
from llmkit.bulk.resuming import ResumeFile
from llmkit.bulk.running import Job, check_concurrency, run
from llmkit.errors import InvalidRequest, excerpt
from llmkit.parsers import reask
from llmkit.requests import Request
from llmkit.responses import Completion, Embedding

Errors = Literal["raise", "return"]
Path = str | PathLike[str]


async def mapped(
    engine: Engine,
    prompts: Iterable[Messages],
    *,
    concurrency: int,
    resume: Path | None,
    progress: Progress,
    errors: Errors,
    model: str | None,
    options: Mapping[str, Any],
) -> list[Completion]:
    """A reply for each prompt; every one is checked before the first is sent."""
    if errors not in ("raise", "return"):
        raise InvalidRequest(f"errors = {errors!r}: it has to be 'raise' or 'return'")
    jobs = [
        _job(engine, partial(engine.chat_errand, prompt, model, options), f"prompts[{index}]")
        for index, prompt in enumerate(_listed(prompts, "prompts"))
    ]
    return await _run(jobs, concurrency, resume, progress, returns_errors=errors == "return")


async def embedded(
    engine: Engine,
    texts: Iterable[str],
    *,
    concurrency: int,
    resume: Path | None,
    progress: Progress,
    batch_tokens: int | None,
    model: str | None,
    options: Mapping[str, Any],
) -> Embedding:
    """One vector for each text, in as many requests as that takes; a text that comes twice is sent once."""
    different, order = distinct(_listed(texts, "texts"))
    if not different:
        raise InvalidRequest("There are no texts to embed: give a list of strings")
    name = engine.embedding_model(model)
    tokens = dict(zip(different, lengths(different, spec=engine.settings.spec(name)), strict=True))
    one = engine.embedding_errand(different[:1], model, options).request
    asked = Request(one.surface, {**one.body, "input": []}).fingerprint
    own = keys(different, asked=f"{engine.services.identity} {asked}")
    check_concurrency(concurrency)
    with ExitStack() as stack:
        answers, show = _opened(stack, resume, progress)
        kept, places = recalled(answers, own)
        missing = {text: tokens[text] for text in different if text not in places}
        jobs = [
            replace(
                _job(engine, partial(engine.embedding_errand, part, model, options), f"texts of batch {index}"),
                texts=tuple(own[text] for text in part),
            )
            for index, part in enumerate(batches(missing, most_tokens=batch_tokens or MOST_TOKENS))
        ]
        fresh = await run(jobs, concurrency=concurrency, answers=answers, show=show, returns_errors=False)
    places |= {text: place for place, text in enumerate(missing, start=sum(len(part.vectors) for part in kept))}
    return joined([*kept, *fresh], [places[different[each]] for each in order])


async def _run(
    jobs: Sequence[Job], concurrency: int, resume: Path | None, progress: Progress, *, returns_errors: bool
) -> list[Any]:
    check_concurrency(concurrency)
    with ExitStack() as stack:
        answers, show = _opened(stack, resume, progress)
        return await run(jobs, concurrency=concurrency, answers=answers, show=show, returns_errors=returns_errors)


def _opened(stack: ExitStack, resume: Path | None, progress: Progress) -> tuple[ResumeFile | None, Show]:
    answers = None if resume is None else stack.enter_context(ResumeFile(resume))
    return answers, stack.enter_context(shown(progress))


def _job(engine: Engine, make: "partial[Errand]", place: str) -> Job:
    """The call that `make` makes; raises InvalidRequest, with its place among the others, where it can't be made."""
    try:
        errand = make()
    except InvalidRequest as error:
        error.args = (f"{place}: {error.message}",)
        raise

    async def ask() -> Any:
        return await engine.services.answer(make())  # anew, for its clock begins now

    def read(payload: Mapping[str, Any]) -> Any:
        reply, parse = errand.read(payload), errand.options.parse
        return reply if parse is None else replace(reply, parsed=reask.parsed(parse, reply))

    return Job(
        name=f"{engine.services.identity} {errand.request.fingerprint}",
        ask=ask,
        read=read,
        patience_s=errand.call.limits.deadline_s,
    )


def _listed(values: object, name: str) -> list[Any]:
    """The values as a list: of a text alone, each letter would be one."""
    if isinstance(values, str | bytes | Mapping) or not isinstance(values, Iterable):
        raise InvalidRequest(f"{name} is {excerpt(values)}: it has to be a list of them")
    return list(values)
