"""Keeps secrets, and by default what was said, out of log records: a filter for loggers and handlers.

    handler.addFilter(Redaction())

Keys are found by their form, by the names beside them, and by the values of the environment variables that hold ours.
"""

import logging
import os
import re
import traceback
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from llmkit.errors import CircuitOpen, ConfigError, LLMError, TimedOut

HIDDEN = "***"
_NAMES = (
    r"api[-_ ]?key|subscription-key|authorization|cookie|password|passwd|secret|access[-_]?token|refresh[-_]?token|"
    r"client[-_]?secret|credential"
)
_PATTERNS = (
    # a name of a secret and its value, as headers, JSON, Python and queries spell them
    (
        re.compile(
            rf"(?i)((?<![\w-])[\w-]*?(?:{_NAMES})[\w-]*?[\"']?\s{{0,3}}[:=]\s{{0,3}}(?:b?[\"'])?(?:(?:bearer|basic)\s{{1,3}})?)"
            r"([^\s\"',;&{}\[\]()]+)"
        ),
        rf"\1{HIDDEN}",
    ),
    (re.compile(r"(?i)(?<!\w)(bearer|basic)(\s{1,3})[\w.~+/=-]{8,}"), rf"\1\2{HIDDEN}"),
    (re.compile(r"(?<![A-Za-z0-9])sk-[\w-]{8,}"), HIDDEN),
    (re.compile(r"(?<![\w-])eyJ[\w-]{5,}\.[\w.-]+"), HIDDEN),  # a JSON web token
    (re.compile(r"(://)[^\s/@\"']{1,512}@"), rf"\1{HIDDEN}@"),  # user and password of an address
    (re.compile(r"(?i)([?&](?:key|sig|code|token)=)[^&\s\"'#]+"), rf"\1{HIDDEN}"),
)
_VARIABLES = ("OPENAI_API_KEY", "AZURE_OPENAI_API_KEY")
_SHORTEST = 8  # letters of a key; what is shorter, or a plain word, is a placeholder such as "none"
_SECRET_FIELD = re.compile(rf"(?i){_NAMES}")
_OWN_FIELDS = frozenset({*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"})
_CONTENT_FIELDS = frozenset({"prompt", "messages", "reply", "content", "completion"})
# what these say is ours, and quotes nothing of a conversation
_SPEAKING = (ConfigError, TimedOut, CircuitOpen)


def cleaned(text: str, secrets: Iterable[str] = ()) -> str:
    """`text` with *** for what looks like a secret, and for each of `secrets`."""
    for secret in (*secrets, *_of_environment()):
        if secret in text:
            text = text.replace(secret, HIDDEN)
    for pattern, instead in _PATTERNS:
        text = pattern.sub(instead, text)
    return text


def described(error: BaseException) -> str:
    """What went wrong, in words that quote neither prompt nor reply: messages of the API and of parsers may."""
    if not isinstance(error, LLMError):
        return type(error).__name__
    named = {"status": error.status_code, "code": error.code, "request": error.request_id}
    facts = ", ".join(f"{name} {str(value)[:64]}" for name, value in named.items() if value is not None)
    return cleaned(f"{type(error).__name__}: {_said(error)}{facts and f' ({facts})'}")


def _said(error: LLMError) -> str:
    if isinstance(error, _SPEAKING):
        return error.message
    return (type(error).__doc__ or "").partition("\n")[0].partition(";")[0].rstrip(".").replace("`", "")


class Redaction(logging.Filter):
    """Takes secrets out of records, and prompts and replies too unless `content`.

    It rewrites the message with its arguments, the traceback, and the fields of `extra`; the record is the same for all
    handlers, so those after this one get it clean as well. `secrets` are hidden wherever they stand. Of an LLMError it
    keeps the class and the facts, since its message may quote what was said; what an application writes into a message
    by itself it cannot tell from other text. A traceback becomes text, in `exc_text`.
    """

    def __init__(self, *, content: bool = False, secrets: Iterable[str] = ()) -> None:
        super().__init__()
        self._content = content
        self._secrets = tuple(secret for secret in secrets if secret)

    def filter(self, record: logging.LogRecord) -> bool:
        """Cleans the record; every record passes."""
        record.msg, record.args = self._message(record), None
        if record.exc_info and record.exc_info[1] is not None:
            record.exc_text = self._traceback(record.exc_info[1])
            record.exc_info = None
        elif record.exc_text:
            record.exc_text = self._clean(record.exc_text)
        if record.stack_info:
            record.stack_info = self._clean(record.stack_info)
        for name, value in vars(record).items():
            if name not in _OWN_FIELDS:
                setattr(record, name, self._field(name, value))
        return True

    def _message(self, record: logging.LogRecord) -> str:
        try:
            message = self._shown(record.msg)
            return self._clean(str(message) % self._arguments(record.args) if record.args else str(message))
        except Exception as error:  # noqa: BLE001 - whatever an argument does when it is shown, the caller goes on
            return f"{self._clean(str(record.msg))} [its arguments cannot be shown: {type(error).__name__}]"

    def _arguments(self, arguments: Any) -> Any:
        if isinstance(arguments, Mapping):
            return {name: self._shown(value) for name, value in arguments.items()}
        return tuple(map(self._shown, arguments))

    def _shown(self, value: object) -> object:
        return described(value) if isinstance(value, LLMError) and not self._content else value

    def _traceback(self, error: BaseException) -> str:
        if self._content:
            return self._clean("".join(traceback.format_exception(error)).rstrip())
        return self._clean("\n".join(_lines(error, set())))

    def _field(self, name: str, value: Any) -> Any:
        if value is None or isinstance(value, bool | int | float):
            return value
        if name.lower() in _CONTENT_FIELDS and not self._content:
            return f"[hidden: {len(value)} long]" if hasattr(value, "__len__") else "[hidden]"
        if _SECRET_FIELD.search(name):
            return HIDDEN
        if isinstance(value, str):
            return self._clean(value)
        if isinstance(value, Mapping):
            return {key: self._field(str(key), inner) for key, inner in value.items()}
        if isinstance(value, list | tuple):
            return [self._field("", inner) for inner in value]
        return self._clean(str(self._shown(value))) if isinstance(value, BaseException | bytes) else value

    def _clean(self, text: str) -> str:
        return cleaned(text, self._secrets)


def _lines(error: BaseException, seen: set[int]) -> Iterator[str]:
    """The traceback of an error and of those that led to it, without what the errors of calls quote."""
    seen.add(id(error))
    earlier = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if earlier is not None and id(earlier) not in seen:
        yield from _lines(earlier, seen)
        yield f"\n{'It was the cause of' if error.__cause__ else 'While it was handled, there came'}:\n"
    if error.__traceback__ is not None:
        yield "Traceback (most recent call last):"
        yield from (line.rstrip("\n") for line in traceback.format_tb(error.__traceback__))
    yield described(error) if isinstance(error, LLMError) else f"{type(error).__name__}: {error}"
    yield from getattr(error, "__notes__", ())
    for inner in getattr(error, "exceptions", ()):
        if id(inner) not in seen:
            yield from _lines(inner, seen)


def _of_environment() -> Iterator[str]:
    for name in _VARIABLES:
        value = os.environ.get(name, "")
        if len(value) >= _SHORTEST and not value.isalpha():
            yield value
