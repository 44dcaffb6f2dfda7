"""Batches at work: what has become of one by now.

Nothing runs in the background. Whoever asks for a batch moves it on to where the clock says it is: the input is
validated, lines whose turn has come are answered by the server itself, files are written. Lines start one after the
other and don't wait for each other; one that is answered late (a fault of latency) ends late, and one that is never
answered keeps the batch from ending until its window is over. The real service takes minutes for what takes less than
a second here; else the order of states and times is the recorded one.
"""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from mockserver.calls import Call
from mockserver.generating.dice import Dice
from mockserver.surfaces import Performed, Setting, files
from mockserver.surfaces.batch_input import error, errors_in, lines_of, request_of

KIND = "batch"
WINDOW_S = 86_400

_VALIDATING_S = 0.2
_RUNNING_S = 0.4  # in which all lines are started
_FINALIZING_S = 0.2
_CANCELLING_S = 0.2  # recorded as ten minutes
_LINES_AT_ONCE = 500  # while they are answered the server answers nobody else: the next who asks goes on

_OVER = frozenset({"completed", "failed", "expired", "cancelled"})
_FATES = {
    # the first as OpenAI's guide to batches quotes it; the others by the codes of the reference, texts unverified
    "batch_expired": "This request could not be executed before the completion window expired.",
    "batch_cancelled": "The batch was cancelled before this request was executed.",
    "request_timeout": "The underlying call to the model timed out.",
}

Record = dict[str, Any]
Line = dict[str, Any]


def record_of(batch: dict[str, Any], setting: Setting, *, lifetime_s: int | None) -> Record:
    """What is kept of a batch: its object, when it began, and how far it is."""
    return {
        "batch": batch,
        "born_at": setting.now,
        "cancelled_at": None,
        "started": 0,
        "lifetime_s": lifetime_s,
    }


def advance(call: Call, setting: Setting, name: str) -> dict[str, Any] | None:
    """The batch as it stands now, None if there is none of this name."""
    while (record := setting.store.get(KIND, name)) is not None:
        batch: dict[str, Any] = record["batch"]
        if batch["status"] in _OVER:
            return batch
        run = _Run(call, setting, record)
        if not run.step():
            return run.shown()
    return None


def cancel(call: Call, setting: Setting, name: str) -> dict[str, Any] | None:
    """The batch after it was asked to stop, None if there is none; one that is over stays as it is."""
    batch = advance(call, setting, name)
    while batch is not None and batch["status"] not in (*_OVER, "cancelling"):
        record = setting.store.get(KIND, name)
        if record is None:
            return None
        at = record["batch"]["created_at"] + int(setting.now - record["born_at"])
        stopped = {**record["batch"], "status": "cancelling", "cancelling_at": at}
        setting.store.update(KIND, name, record, {**record, "batch": stopped, "cancelled_at": setting.now})
        batch = advance(call, setting, name)
    return batch


class _Run:
    """One look at a batch that is not over."""

    def __init__(self, call: Call, setting: Setting, record: Record) -> None:
        self._call, self._setting, self._record = call, setting, record
        self._batch: dict[str, Any] = record["batch"]
        self._elapsed_s = setting.now - record["born_at"]
        cancelled_at = record["cancelled_at"]
        self._cancelled_s = math.inf if cancelled_at is None else cancelled_at - record["born_at"]
        self._total: int = self._batch["request_counts"]["total"]
        self._lines: list[Line] | None = None
        self._content: bytes | None = None  # the input, which the batch keeps from when it was validated

    @property
    def _is_cancelled(self) -> bool:
        return self._cancelled_s < math.inf

    @property
    def _until_s(self) -> float:
        """Up to when lines have been at work."""
        return float(min(self._elapsed_s, self._cancelled_s, WINDOW_S))

    def step(self) -> bool:
        """Move the batch on by one step; False where there is nothing to be done for now.

        Who has done a step, or was forestalled by another process, looks at the batch anew.
        """
        if self._until_s >= _VALIDATING_S and self._batch["in_progress_at"] is None:
            return self._keep(self._validated())
        due = self._due()
        if due > self._record["started"]:
            return self._start(due)
        ended = self._ended()
        return ended is not None and self._keep(ended)

    def _keep(self, record: Record) -> bool:
        self._setting.store.update(KIND, self._batch["id"], self._record, record, self._content)
        return True

    def shown(self) -> dict[str, Any]:
        """The batch as a client sees it, between the steps that are kept."""
        if self._batch["in_progress_at"] is None:
            return self._batch
        lines = self._ended_lines()
        batch = {**self._batch, "request_counts": self._counts(lines), "usage": _usage(lines)}
        if len(lines) == self._total and not self._is_cancelled:
            batch |= {"status": "finalizing", "finalizing_at": self._stamp(_last(lines))}
        return batch

    def _stamp(self, elapsed_s: float) -> int:
        """Unix seconds, as the batch tells times."""
        return int(self._batch["created_at"] + elapsed_s)

    def _with(self, **changes: Any) -> Record:
        return {**self._record, "batch": {**self._batch, **changes}}

    def _validated(self) -> Record:
        found = self._input_errors()
        if found:
            errors = {"object": "list", "data": found}
            return self._with(status="failed", errors=errors, failed_at=self._stamp(_VALIDATING_S))
        lines = lines_of(self._content or b"")
        status = "cancelling" if self._is_cancelled else "in_progress"
        counts = {"total": len(lines), "completed": 0, "failed": 0}
        started = {"status": status, "in_progress_at": self._stamp(_VALIDATING_S), "request_counts": counts}
        return self._with(**started, model=request_of(lines[0])["body"].get("model"), usage=_usage([]))

    def _input_errors(self) -> list[dict[str, Any]]:
        name = self._batch["input_file_id"]
        file = files.find(self._setting, name)
        if file is None:
            # the organization is the one of the headers
            message = f"Cannot find file {name}, or organization org-mockserver does not have access to it."
            return [error("invalid_request", message, param="file_id")]
        if file["purpose"] != "batch" and not self._setting.lenient:
            message = f"The file {name} has the purpose '{file['purpose']}', and a batch needs 'batch'."  # unverified
            return [error("invalid_request", message, param="file_id")]
        self._content = files.content_of(self._setting, name) or b""
        return errors_in(
            lines_of(self._content),
            endpoint=self._batch["endpoint"],
            on_azure=self._call.dialect == "azure",
            lenient=self._setting.lenient,
        )

    def _due(self) -> int:
        """How many lines have had their turn: the last of them `_RUNNING_S` after the first could."""
        if not self._total:
            return 0
        share = (self._until_s - _VALIDATING_S) / _RUNNING_S
        return max(min(math.floor(share * self._total + 1e-6), self._total), 0)

    def _starts_s(self, index: int) -> float:
        return _VALIDATING_S + _RUNNING_S * (index + 1) / self._total

    def _start(self, due: int) -> bool:
        """Claim the lines that are due, so that nobody else answers them, and answer them; False if some are left."""
        first: int = self._record["started"]
        last = min(due, first + _LINES_AT_ONCE)
        name = self._batch["id"]
        if not self._setting.store.update(KIND, name, self._record, {**self._record, "started": last}):
            return True
        lines = lines_of(self._setting.store.content(KIND, name) or b"")
        for index in range(first, last):
            self._answer(index, request_of(lines[index]))
        return last == due

    def _answer(self, index: int, request: Mapping[str, Any]) -> None:
        reply = self._setting.perform(self._call, request["method"], request["url"], request["body"])
        line = {
            "index": index,
            "ends_s": self._starts_s(index) + min(reply.delay_s, 2 * WINDOW_S),
            "succeeded": reply.status == 200 and reply.body is not None,
            "entry": self._entry(index, request["custom_id"], reply),
        }
        self._setting.store.put(_kind_of_lines(self._batch["id"]), f"{index:06}", line)

    def _entry(self, index: int, custom_id: str, reply: Performed | str) -> dict[str, Any]:
        """A line of the output; Azure's have no id of their own, and their parts in alphabetical order."""
        response, failure = None, None
        if isinstance(reply, str):
            failure = {"code": reply, "message": _FATES[reply]}
        elif reply.body is None:
            failure = {"code": "request_timeout", "message": _FATES["request_timeout"]}
        elif self._call.dialect == "azure":
            response = {"body": reply.body, "request_id": reply.request_id, "status_code": reply.status}
        else:
            response = {"status_code": reply.status, "request_id": reply.request_id, "body": reply.body}
        entry = {"custom_id": custom_id, "response": response, "error": failure}
        if self._call.dialect == "azure":
            return entry
        dice = Dice(self._setting.seed, "batch_req", self._batch["id"], index)
        return {"id": f"batch_req_{dice.hexadecimal(32)}", **entry}

    def _ended_lines(self) -> list[Line]:
        """The lines that have been answered by now, in the order of the input."""
        if self._lines is None:
            known = self._setting.store.all(_kind_of_lines(self._batch["id"]))
            ended = [line for line in known if line["ends_s"] <= self._until_s]
            self._lines = sorted(ended, key=lambda line: int(line["index"]))
        return self._lines

    def _ended(self) -> Record | None:
        """The record of a batch that is over by now."""
        if self._is_cancelled:
            is_over = self._elapsed_s >= self._cancelled_s + _CANCELLING_S
            return self._settled("cancelled", self._cancelled_s + _CANCELLING_S) if is_over else None
        if self._batch["in_progress_at"] is None:
            return None
        lines = self._ended_lines()
        if len(lines) == self._total:
            end_s = _last(lines) + _FINALIZING_S
            return self._settled("completed", end_s) if self._elapsed_s >= end_s else None
        if self._elapsed_s >= WINDOW_S and self._record["started"] == self._total:
            return self._settled("expired", WINDOW_S)
        return None

    def _settled(self, status: Literal["completed", "expired", "cancelled"], at_s: float) -> Record:
        """The record of a batch with this end, its files written."""
        changes: dict[str, Any] = {"status": status, f"{status}_at": self._stamp(at_s)}
        if self._batch["in_progress_at"] is not None:
            lines = self._ended_lines()
            changes |= self._written(lines, "batch_expired" if status == "expired" else "batch_cancelled")
            changes |= {"request_counts": self._counts(lines), "usage": _usage(lines)}
            if status != "cancelled":
                changes["finalizing_at"] = self._stamp(at_s - _FINALIZING_S)
        return self._with(**changes)

    def _written(self, lines: Sequence[Line], fate: str) -> dict[str, Any]:
        """The files with what went well and what did not; no file for what there is nothing of."""
        good = [line["entry"] for line in lines if line["succeeded"]]
        bad = [line["entry"] for line in lines if not line["succeeded"]] + self._unfinished(lines, fate)
        return {
            "output_file_id": self._file("output", good) if good else None,
            "error_file_id": self._file("error", bad) if bad else None,
        }

    def _unfinished(self, lines: Sequence[Line], fate: str) -> list[dict[str, Any]]:
        """What is said of the lines that have no answer."""
        if len(lines) == self._total:
            return []
        ended = {line["index"] for line in lines}
        texts = lines_of(self._setting.store.content(KIND, self._batch["id"]) or b"")
        rest = [index for index in range(self._total) if index not in ended]
        return [self._entry(index, request_of(texts[index])["custom_id"], fate) for index in rest]

    def _file(self, what: str, entries: Sequence[Mapping[str, Any]]) -> str:
        """A file whose id depends on the batch alone: who writes it a second time writes the same."""
        content = "".join(json.dumps(entry, ensure_ascii=False) + "\n" for entry in entries)
        dice = Dice(self._setting.seed, what, self._batch["id"])
        made = files.keep(
            self._call,
            self._setting,
            filename=f"{self._batch['id']}_{what}.jsonl",
            purpose="batch_output",
            content=content.encode(),
            lifetime_s=self._record["lifetime_s"],
            name=f"file-{dice.hexadecimal(32) if self._call.dialect == 'azure' else dice.token(22)}",
        )
        name: str = made["id"]
        return name

    def _counts(self, lines: Sequence[Line]) -> dict[str, int]:
        completed = sum(line["succeeded"] for line in lines)
        return {"total": self._total, "completed": completed, "failed": len(lines) - completed}


def _last(lines: Sequence[Line]) -> float:
    return max(float(line["ends_s"]) for line in lines)


def _usage(lines: Sequence[Line]) -> dict[str, Any]:
    """The tokens of all answers together, under the names that the reference gives them."""
    bills = [bill for line in lines if isinstance(bill := _bill(line), dict)]
    prompt = sum(_count(bill, "prompt_tokens", "input_tokens") for bill in bills)
    completion = sum(_count(bill, "completion_tokens", "output_tokens") for bill in bills)
    cached = sum(_detail(bill, ("prompt_tokens_details", "input_tokens_details"), "cached_tokens") for bill in bills)
    thought = sum(
        _detail(bill, ("completion_tokens_details", "output_tokens_details"), "reasoning_tokens") for bill in bills
    )
    return {
        "input_tokens": prompt,
        "input_tokens_details": {"cached_tokens": cached},
        "output_tokens": completion,
        "output_tokens_details": {"reasoning_tokens": thought},
        "total_tokens": prompt + completion,
    }


def _bill(line: Line) -> Any:
    """What an answer says of its cost, if it is one that says so."""
    body = line["entry"]["response"]["body"] if line["succeeded"] else None
    return body.get("usage") if isinstance(body, dict) else None


def _count(bill: Mapping[str, Any], *names: str) -> int:
    return next((bill[name] for name in names if type(bill.get(name)) is int), 0)


def _detail(bill: Mapping[str, Any], places: Sequence[str], name: str) -> int:
    return sum(_count(bill[place], name) for place in places if isinstance(bill.get(place), dict))


def _kind_of_lines(batch: str) -> str:
    return f"lines of {batch}"
