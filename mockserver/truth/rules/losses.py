"""Losses: answers that came in part, and calls that were never answered whole."""

from collections.abc import Iterator, Sequence

from mockserver.truth.exchange import Exchange
from mockserver.truth.findings import Finding
from mockserver.truth.rules.case import (
    Attempts,
    Case,
    finding,
    has_all,
    is_final,
    named,
    rows_in_words,
    texts,
    whole_rows,
)
from mockserver.truth.soundness import text_of

_ENDINGS = {"rst": "was reset", "fin": "was closed in the middle", "garbled": "broke off"}
_FAR_S = 3600.0  # whoever is told to come back so late is right to give up
_QUOTABLE = 12  # a shorter text may stand in a conversation by chance


def truncated_taken_for_whole(case: Case) -> Iterator[Finding]:
    """Calls whose last answer came in part."""
    for call in case.rows:
        last = call[-1]
        if not _is_piece(last) or case.came_later(last):
            continue
        quoting = _quoting(case, last)
        how = _ENDINGS.get(last.ending, "ended early")
        if quoting is not None:
            message = f"an answer that {how} was taken for whole: request {quoting.number} quotes it"
            yield finding("certain", message, [*call, quoting], call)
        elif last.ending == "whole" or not case.measure.allow_giving_up:
            message = f"the last that came of an answer {how}, and it was not asked for again{_went_on(case, last)}"
            yield finding("likely", f"{message}; whether an error was reported cannot be seen", call, call)


def notes_of_streams(case: Case) -> Iterator[Finding]:
    """Streams whose flaw a client may overlook: it cannot be seen whether it did."""
    for call in case.rows:
        last = call[-1]
        if last.oddity == "unmarked" and has_all(last):
            message = "a stream came without its [DONE], though with every word and its finish reason"
            yield finding("certain", message, [last], call)
        elif last.oddity == "altered" and last.complete:
            message = f"a stream came whole in form, but it is not what was generated ({last.fault})"
            yield finding("certain", f"{message}; whether that was noticed cannot be seen", [last], call)


def _is_piece(last: Exchange) -> bool:
    """Whether the client has the beginning of an answer, and could have taken that for all."""
    if has_all(last) or last.client_left or not 200 <= last.status < 300 or last.answered_at is None:
        return False
    return last.soundness == "truncated" and last.ending in ("whole", "rst", "fin", "garbled") and last.frames > 0


def _quoting(case: Case, last: Exchange) -> Exchange | None:
    """A later request whose conversation holds the piece as if it were the answer."""
    piece = text_of(b"".join(last.pieces), streamed=last.streamed)
    if len(piece.strip()) < _QUOTABLE:
        return None
    later = (each for each in case.exchanges if each.number > last.number and each.key == last.key)
    return next((each for each in later if _says(each, piece)), None)


def _says(each: Exchange, piece: str) -> bool:
    messages = each.request.get("messages") or each.request.get("input") if isinstance(each.request, dict) else None
    if not isinstance(messages, list):
        return False
    said = [message for message in messages if isinstance(message, dict) and message.get("role") == "assistant"]
    return any(text.strip() == piece.strip() for message in said for text in texts(message.get("content")))


def _went_on(case: Case, last: Exchange) -> str:
    later = sum(each.number > last.number and each.key == last.key for each in case.exchanges)
    return f", though {later} other request{'s' * (later > 1)} followed" if later else ""


def row_lost(case: Case) -> Iterator[Finding]:
    """Calls, or rows that were to be asked, without a whole answer."""
    rows = case.measure.rows
    if isinstance(rows, tuple):
        yield from _rows_by_name(case, rows)
    elif rows is not None and (whole := len(whole_rows(case))) < rows:
        yield finding("certain", f"{rows_in_words(rows)} to be answered, and {whole} were", [])
    if not case.measure.allow_giving_up:
        yield from filter(None, (_given_up(case, call) for call in case.rows))


def _given_up(case: Case, call: Attempts) -> Finding | None:
    last = call[-1]
    if any(map(has_all, call)) or not _has_failed(last) or _is_piece(last) or case.came_later(last):
        return None
    tries = "1 attempt" if len(call) == 1 else f"{len(call)} attempts"
    message = f"no whole answer after {tries}, the last with {_end(last)}{_went_on(case, last)}"
    return finding("likely", f"{message}; whether an error was reported cannot be seen", call, call)


def _has_failed(last: Exchange) -> bool:
    """Whether an attempt failed through the server, for a reason that may pass."""
    if last.ended_at is None or last.complete or (last.status >= 400 and (is_final(last) or _puts_off(last))):
        return False
    if last.client_left:
        return bool(last.fault)  # who leaves an answer that is in order has no use for it
    return last.ending != "hang"  # else the server has stopped, and the client was still waiting


def _puts_off(last: Exchange) -> bool:
    """Whether a refusal tells a wait that no call lasts, as Azure does where the quota of a day is spent."""
    return last.delivered and (last.retry_after_s or 0) >= _FAR_S


def _end(last: Exchange) -> str:
    if last.client_left:
        return "the client hanging up"
    if last.status >= 400:
        return f"a {last.status}"
    return {"rst": "a reset", "fin": "a connection closed early"}.get(last.ending, "an answer that is none")


def _rows_by_name(case: Case, names: Sequence[str]) -> Iterator[Finding]:
    found = named(case, names)
    for name in dict.fromkeys(names):
        short = names.count(name) - len(found[name])
        if short > 0:
            yield finding("certain", f"row {name!r} was never answered whole", [])
