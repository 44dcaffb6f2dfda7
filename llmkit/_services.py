"""What happens around the requests of a call: cache, fallback and parser."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from llmkit._exchange import exchange
from llmkit._flow import Audience, Call
from llmkit._gate import TOLD_S, Gate
from llmkit._transport import Transport
from llmkit.errors import ContextOverflow, InvalidRequest, LLMError, ParseFailed
from llmkit.options import CallOptions
from llmkit.parsers import reask
from llmkit.policies import cache
from llmkit.policies.cache import CachePolicy, Entry, Skip
from llmkit.policies.fallback import Ask, Degraded, Recall, Say, Step, degraded, fallback_of, steps_after
from llmkit.requests import Request
from llmkit.stores import Stores

T = TypeVar("T")

_DEGRADED = Skip("incomplete", "a fallback gave it")


@dataclass(slots=True)
class Errand:
    """One call on its way: what is asked and how, how an answer is read, and where it is kept.

    `check` refuses a request that a model does not take. `key` is None for what is not to be cached, and `skip` then
    says why; both are None until the cache has been `looked` into. `too_long` is for a model with a larger window.
    """

    request: Request
    options: CallOptions
    call: Call
    read: Callable[..., Any]
    check: Callable[[Request], Request]
    key: str | None = None
    skip: Skip | None = None
    looked: bool = False
    degraded: Degraded | None = None
    too_long: ContextOverflow | None = None


Asking = Callable[["Services", Errand], Awaitable[T]]


@dataclass(slots=True)
class Services:
    """What the calls of one client share; `without_usage` are models whose streams cannot tell their usage."""

    transport: Transport
    gate: Gate
    stores: Stores
    identity: str
    policy: CachePolicy = field(default_factory=CachePolicy)
    observers: Audience = field(default_factory=dict)
    without_usage: set[str] = field(default_factory=set)

    async def aclose(self) -> None:
        """Closes what is open on the running event loop; another call would open it again."""
        await self.transport.aclose()
        await self.stores.aclose()

    async def answer(self, errand: Errand, known: Any = None) -> Any:
        """The reply of a call: `known` already, from the cache, the model or a fallback; as its parser takes it."""
        try:
            reply = await self._parsed(errand, known or await self._asked(errand))
        except BaseException as error:
            errand.call.tell("ended", error)
            raise
        errand.call.tell("ended", reply)
        return reply

    def recalled_now(self, errand: Errand) -> Any:
        """The cached answer, if the cache is on this machine; it takes no event loop to look."""
        store = self.stores.cache
        if store is None or not store.local or not self._is_looked_for(errand) or errand.key is None:
            return None
        return self._read(errand, store.get_now(errand.key), fresh=True)

    async def recalled(self, errand: Errand) -> Any:
        """The cached answer, if there is one."""
        store = self.stores.cache
        if store is None or errand.looked:
            return None
        if store.local or not self._is_looked_for(errand) or errand.key is None:
            return self.recalled_now(errand)
        return self._read(errand, await _in_time(errand, store.get(errand.key)), fresh=True)

    async def with_fallback(self, errand: Errand, asking: Asking[T]) -> Any:
        """What `asking` finds, or, where it fails, what the call's fallback has in its stead."""
        failure: LLMError
        try:
            if errand.too_long is not None:
                raise errand.too_long
            return await asking(self, errand)
        except LLMError as error:
            failure = error
        plan = fallback_of(errand.options.fallback)
        for step in steps_after(plan, failure, in_time=errand.call.remaining_s > 0):
            errand.call.tell("falls back", step)
            found = await self._stand_in(step, errand, asking)
            if found is not None:
                errand.degraded = degraded(step, failure)
                return found
        failure.attempts = tuple(errand.call.attempts)
        raise failure

    async def settled(self, errand: Errand, reply: Any) -> Any:
        """A reply that has come whole: marked with what is to be known of it, and kept if it may be."""
        skip = await self._kept(errand, reply)
        if skip is None and errand.degraded is None:
            return reply
        return replace(reply, degraded=errand.degraded, not_cached=skip and skip.reason)

    async def _asked(self, errand: Errand) -> Any:
        known = await self.recalled(errand)
        if known is not None:
            return known
        await self.transport.prepare()
        return await self.settled(errand, await self.with_fallback(errand, _exchanged))

    async def _parsed(self, errand: Errand, reply: Any) -> Any:
        """The reply with what its parser makes of it; one that it refuses is asked for again, as often as allowed."""
        parse, most = errand.options.parse, 1 + (errand.options.reasks or 0)
        asked = 1
        while parse is not None:
            try:
                return replace(reply, parsed=reask.parsed(parse, reply))
            except ParseFailed as error:
                failure = error
            decision = reask.decide(failure, reply, asked=asked, most=most)
            if isinstance(decision, reask.Stop):
                failure.attempts = tuple(errand.call.attempts)
                failure.add_note(f"llmkit asked {asked} times: {decision.reason}")
                raise failure
            errand = self._again(errand, decision.messages)
            reply = await self._asked(errand)
            asked += 1
        return reply

    def _again(self, errand: Errand, messages: Sequence[dict[str, Any]]) -> Errand:
        if errand.request.surface != "chat":
            raise InvalidRequest("reasks are for chat: the other surfaces have no conversation to go on with")
        errand.call.turn_to(errand.request.model)
        request = errand.check(errand.request.with_messages([*errand.request.body["messages"], *messages]))
        return replace(errand, request=request, key=None, skip=None, looked=False, degraded=None, too_long=None)

    def _is_looked_for(self, errand: Errand) -> bool:
        """Whether an answer of the cache will do; makes the key, or notes why there is none."""
        errand.looked = True
        if errand.options.cache is False:
            return False
        request = errand.request
        errand.skip = cache.not_asked(request.surface, request.body, opted_in=errand.options.cache is True)
        if errand.skip is None:
            errand.key = cache.key_of(request.surface, request.body, endpoint=self.identity)
            errand.skip = None if errand.key else cache.NO_KEY
        return errand.key is not None

    def _read(self, errand: Errand, entry: Entry | None, *, fresh: bool) -> Any:
        if entry is None or (fresh and not self.policy.is_fresh(entry, time.time())):
            return None
        payload = cache.loads(entry)
        if payload is None:
            return None
        try:
            reply = errand.read(payload, cached=True, attempts=tuple(errand.call.attempts))
        except LLMError:
            return None  # an entry that is no answer is a miss
        errand.call.tell("cached", reply)
        return reply

    async def _kept(self, errand: Errand, reply: Any) -> Skip | None:
        """Keeps the reply; why not, if not."""
        store = self.stores.cache
        if store is None:
            return cache.NO_CACHE if errand.options.cache is True else None
        if errand.key is None:
            return errand.skip
        skip = _DEGRADED if errand.degraded else cache.not_kept(errand.request.surface, reply.payload)
        if skip is None:
            entry = cache.entry_of(reply.payload, now=time.time())
            await _in_time(errand, store.put(errand.key, entry, keep_s=self.policy.keep_s))
        return skip

    async def _stand_in(self, step: Step, errand: Errand, asking: Asking[Any]) -> Any:
        """What one step of a fallback has; None if it has nothing."""
        match step:
            case Ask(target):
                if errand.call.remaining_s <= 0:
                    return None  # those before it took what was left
                services = self if target.via is None else target.via.services
                errand.call.turn_to(target.model)
                try:
                    request = errand.check(errand.request.to(target.model))
                    await services.transport.prepare()
                    return await asking(services, replace(errand, request=request))
                except LLMError:
                    return None  # the first failure is the one that is told
            case Recall():
                store = self.stores.cache
                entry = None if store is None or errand.key is None else await _in_time(errand, store.get(errand.key))
                return self._read(errand, entry, fresh=False)
            case Say(text):
                return _said(errand, text)


async def _exchanged(services: Services, errand: Errand) -> Any:
    return await exchange(services.transport, services.gate, errand.request, errand.call, errand.read)


async def _in_time(errand: Errand, pending: Awaitable[T]) -> T | None:
    """What a store says in half of the time that the call has left, or in no time at all: no store holds a call up."""
    try:
        async with asyncio.timeout(max(errand.call.remaining_s / 2, TOLD_S)):
            return await pending
    except TimeoutError:
        return None


def _said(errand: Errand, text: str) -> Any:
    """A reply of a fixed text, as the API would have sent it; there is none where vectors were asked for."""
    said: dict[str, Any] = {"index": 0, "finish_reason": "stop"}
    match errand.request.surface:
        case "chat":
            payload: dict[str, Any] = {"choices": [said | {"message": {"role": "assistant", "content": text}}]}
        case "completions":
            payload = {"choices": [said | {"text": text}]}
        case "responses":
            part = {"type": "output_text", "text": text}
            payload = {"status": "completed", "output": [{"type": "message", "role": "assistant", "content": [part]}]}
        case _:
            return None
    return errand.read(payload, attempts=tuple(errand.call.attempts))
