"""Score the token counts against what OpenAI and Azure billed, and write the table into docs/tokens.md.

    python scripts/score_tokens.py              score, write the table
    python scripts/score_tokens.py --check      score, compare with the table that is there; 1 where it drifted
    python scripts/score_tokens.py --misses     list what was counted outside its margin
    python scripts/score_tokens.py --by-project one row a project, to see what a rule that fits one does to the others

The traffic is `../shared/data/usage.jsonl`: requests of public projects, with the `usage` that they were billed.
"""

from __future__ import annotations

import argparse
import base64
import json
import re
import struct
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from llmkit.models import spec_for
from llmkit.tokens import TokenCount, count_inputs, count_response_tokens, count_tokens

ROOT = Path(__file__).parents[1]
USAGE = ROOT.parent / "shared/data/usage.jsonl"
TABLE = ROOT / "docs/tokens.md"
BEGIN, END = "<!-- begin: scripts/score_tokens.py -->\n", "<!-- end -->"

_FIRST_WEEKS = "recorded in the first weeks of the Responses API, when hidden instructions were billed"
_HAND = "the prompt was edited after recording"
# rows that no counting rule can meet, by the end of their path; what else is right in the file counts as right
SET_ASIDE: dict[str, str] = {
    "test_chat_completions_cache_write_then_read[gpt-5.6-luna].yaml": "the prompt was cut out of the file",
    "test_chat_completions_cache_write_then_read[gpt-5.6-terra].yaml": "the prompt was cut out of the file",
    "test_responses_cache_write_then_read[gpt-5.6-luna].yaml": "the prompt was cut out of the file",
    "test_responses_cache_write_then_read[gpt-5.6-terra].yaml": "the prompt was cut out of the file",
    "agno/fixtures/agent_run.yaml": "the tools of the request were cut out of the file",
    "test_crewai_instrumentation_context_attributes_legacy.yaml": _HAND,
    "test_crewai_instrumentation_legacy.yaml": _HAND,
    "test_yaml_document_url_input.yaml": "the document was edited after recording",
    "langsmith-sdk/python/cassettes/_runner.yaml": '"prefered" was corrected to "preferred" after recording',
    "test_haystack_tool_calling.yaml": "written by hand: the date of its model is one of gpt-4o's",
    "test_responses_count_tokens.yaml": "written by hand: 7 tokens for a system message of 5 and a question",
    "test_document_in_batch_too_long.yaml": "the text was cut out of the file",
    "gpt-3_5-turbo-0301_chat.yml": "written by hand: the model answering changes within the file",
    "cassettes/gpt-3_5-turbo_chat.yml": "recorded in the first weeks of gpt-3.5-turbo-0301, framed in one token less",
    "test_openai_model_thinking_part.yaml": "its reasoning was billed too, which the file does not hold",
    "test_openai_responses_reasoning_effort.yaml": "its reasoning was billed too, which the file does not hold",
    "test_system_prompt_role_o1_mini.yaml": "o1-mini was billed for a hidden instruction",
    "ruby-openai/spec/fixtures/cassettes/input_items_response_setup.yml": _FIRST_WEEKS,
    "cassettes/responses_create.yml": _FIRST_WEEKS,
    "cassettes/responses_create_with_followup.yml": _FIRST_WEEKS,
    "cassettes/responses_create_with_tool_call.yml": _FIRST_WEEKS,
    "cassettes/responses_delete_setup.yml": _FIRST_WEEKS,
    "cassettes/responses_input_items_setup.yml": _FIRST_WEEKS,
    "cassettes/responses_retrieve_setup.yml": _FIRST_WEEKS,
    "cassettes/responses_stream.yml": _FIRST_WEEKS,
    "test_openai_test_responses_async_api.yaml": _FIRST_WEEKS,
    "test_openai_test_responses_sync_api.yaml": _FIRST_WEEKS,
    "test_openai_responses_model_simple_response.yaml": _FIRST_WEEKS,
    "test_openai_responses_model_simple_response_with_tool_call.yaml": _FIRST_WEEKS,
    "test_openai_responses_system_prompt.yaml": _FIRST_WEEKS,
    "test_openai_responses_model_retry.yaml": _FIRST_WEEKS,
    "test_openai_responses_output_type.yaml": _FIRST_WEEKS,
    "test_openai_responses_result_type.yaml": _FIRST_WEEKS,
    "test_openai_responses/test_openai_responses_stream.yaml": _FIRST_WEEKS,
    "llm-openai-plugin/tests/cassettes/test_openai/test_async_model.yaml": _FIRST_WEEKS,
    "llm-openai-plugin/tests/cassettes/test_openai/test_async_model_schema.yaml": _FIRST_WEEKS,
    **{f"cassettes/test_openai/test_options[options{number}].yaml": _FIRST_WEEKS for number in range(5)},
}
_ELIDED = re.compile(r"<elided image/\w+ bytes=\d+ w=(\d+) h=(\d+)>")
_SEALED = re.compile(r'"encrypted_content": ?"<elided \? bytes=(\d+)>"')
_ANSWERS = ("tool", "function")
_BESIDE = ("audio", "web_search_options")
_STORED = ("previous_response_id", "conversation", "prompt", "context_management")
_OPTIONS = ("instructions", "tools", "tool_choice", "text", "reasoning")


@dataclass(frozen=True, slots=True)
class Scored:
    """One request: its project and path, the group it belongs to, what was counted and what was billed."""

    project: str
    path: str
    model: str
    group: str
    count: TokenCount
    billed: int

    @property
    def off(self) -> int:
        """Tokens counted beyond the bill."""
        return self.count.tokens - self.billed

    @property
    def reason_to_set_aside(self) -> str | None:
        """Why no rule can count it right, if so."""
        if self.off == 0:
            return None
        place = f"{self.project}/{self.path}"
        return next((reason for end, reason in SET_ASIDE.items() if place.endswith(end)), None)


def main() -> int:
    """Score, and write, compare or list."""
    parser = argparse.ArgumentParser(description="Score the token counts against billed usage.")
    parser.add_argument("--check", action="store_true", help="compare with the table in docs/tokens.md")
    parser.add_argument("--misses", action="store_true", help="list what was counted outside its margin")
    parser.add_argument("--by-project", action="store_true", help="print one row for each project")
    asked = parser.parse_args()
    if not USAGE.exists():
        print(f"There is no {USAGE}: without the recorded traffic nothing can be scored", file=sys.stderr)
        return 2
    scored = list(score(rows(USAGE)))
    if asked.misses:
        return _list_misses(scored)
    if asked.by_project:
        print(table(scored, by=lambda one: one.project))
        return 0
    written = TABLE.read_text(encoding="utf-8")
    new = with_table(written, table(scored))
    if asked.check:
        print("The table is as it is scored." if new == written else "The table has drifted: run this without --check")
        return int(new != written)
    TABLE.write_text(new, encoding="utf-8")
    return 0


def rows(path: Path) -> Iterator[dict[str, Any]]:
    """The recorded requests that were billed, with stand-ins of the same size for pictures and encrypted reasoning."""
    for line in path.read_text(encoding="utf-8").splitlines():
        line = _SEALED.sub(lambda found: f'"encrypted_content":"{"x" * (int(found[1]) * 4 // 3)}"', line)
        row = json.loads(_ELIDED.sub(lambda found: _picture(int(found[1]), int(found[2])), line))
        if row["usage"]:
            yield row


def score(recorded: Iterable[Mapping[str, Any]]) -> Iterator[Scored]:
    """What can be counted of the recorded traffic, counted."""
    for row in recorded:
        group = group_of(row)
        if group:
            usage = row["usage"]
            billed = int(usage.get("prompt_tokens") or usage.get("input_tokens") or 0)
            yield Scored(row["source_repo"], row["path"], row["model"], group, count_of(row), billed)


def count_of(row: Mapping[str, Any]) -> TokenCount:
    """The count of a recorded request."""
    request, model = row["request"], row["model"]
    if row["api"] == "chat":
        return count_tokens(
            request["messages"],
            model=model,
            tools=request.get("tools") or request.get("functions"),
            tool_choice=request.get("tool_choice") or request.get("function_call"),
            response_format=request.get("response_format"),
        )
    if row["api"] in ("responses", "input_tokens"):
        options = {name: request.get(name) for name in _OPTIONS}
        return count_response_tokens(request["input"], model=model, **options)
    return count_inputs(request["input"] if row["api"] == "embeddings" else request["prompt"], model=model)


def group_of(row: Mapping[str, Any]) -> str | None:
    """What kind of request it is, and for which family of models; None for what cannot be counted from it."""
    request, spec = row["request"], spec_for(row["model"])
    if not spec.known:
        return None
    if row["api"] == "chat":
        return _chat_group(request, _family(row["model"])) if request.get("messages") else None
    if row["api"] in ("responses", "input_tokens"):
        countable = request.get("input") and not any(request.get(name) for name in _STORED)
        return (
            _response_group(request, _family(row["model"])) if countable and "compact" not in row["url_path"] else None
        )
    return row["api"] if "input" in request or "prompt" in request else None


def table(scored: Iterable[Scored], by: Any = lambda one: one.group) -> str:
    """The scores as a Markdown table."""
    groups = defaultdict(list)
    for one in scored:
        groups[by(one)].append(one)
    lines = [
        "| requests | number | exact | within 2 | billed within the margin | median margin | set aside |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    return "\n".join([*lines, *(_line(name, members) for name, members in sorted(groups.items()))]) + "\n"


def with_table(text: str, written: str) -> str:
    """The page with this table in the place of its own."""
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}{written}{END}{rest.partition(END)[2]}"


def _line(name: str, members: list[Scored]) -> str:
    kept = [one for one in members if not one.reason_to_set_aside]
    shares = (
        sum(one.off == 0 for one in kept),
        sum(abs(one.off) <= 2 for one in kept),
        sum(abs(one.off) <= one.count.margin for one in kept),
    )
    percents = " | ".join(f"{100 * share / len(kept):.1f} %" for share in shares)
    margin = 100 * median(one.count.margin / max(one.billed, 1) for one in kept)
    return f"| {name} | {len(kept)} | {percents} | {margin:.1f} % | {len(members) - len(kept) or ''} |"


def _list_misses(scored: Iterable[Scored]) -> int:
    for one in scored:
        if abs(one.off) > one.count.margin and not one.reason_to_set_aside:
            print(f"{one.group}: {one.off:+} of {one.billed} ({one.count!r}) {one.model} {one.project}/{one.path}")
    return 0


def _family(model: str) -> str:
    spec = spec_for(model)
    return "reasoning" if spec.family == "reasoning" else spec.encoding.removesuffix("_base")


def _chat_group(request: Mapping[str, Any], family: str) -> str | None:
    messages = request["messages"]
    if any(request.get(name) for name in _BESIDE) or _parts(messages) - {"text", "refusal", "image_url"}:
        return None
    if "image_url" in _parts(messages):
        return "chat, images"
    if (request.get("response_format") or {}).get("type") == "json_schema":
        return "chat, json_schema"
    called = any(one.get("tool_calls") or one.get("function_call") or one["role"] in _ANSWERS for one in messages)
    if called:
        return f"chat, tool history, {family}"
    return f"chat, {'tools' if request.get('tools') or request.get('functions') else 'text'}, {family}"


def _response_group(request: Mapping[str, Any], family: str) -> str:
    items = request["input"] if isinstance(request["input"], list) else []
    kinds = {item.get("type") or "message" for item in items}
    offered = {tool.get("type") for tool in request.get("tools") or []}
    parts = _parts(items) | {part.get("type") for item in items for part in _listed(item.get("output"))}
    if offered - {"function"}:
        return "responses, hosted tools"
    if kinds - {"message", "function_call", "function_call_output", "reasoning"}:
        return "responses, other items"
    if parts & {"input_image", "input_file", "input_audio"}:
        return "responses, images and files"
    if "reasoning" in kinds and "function_call" in kinds:
        return "responses, encrypted reasoning"
    if ((request.get("text") or {}).get("format") or {}).get("type") == "json_schema":
        return "responses, json_schema"
    kind = "tool history" if "function_call" in kinds else "tools" if offered else "text"
    return f"responses, {kind}, {family}"


def _parts(messages: Iterable[Mapping[str, Any]]) -> set[Any]:
    return {part.get("type") for message in messages for part in _listed(message.get("content"))}


def _listed(content: Any) -> list[Mapping[str, Any]]:
    return [part for part in content if isinstance(part, Mapping)] if isinstance(content, list) else []


def _picture(width: int, height: int) -> str:
    """The beginning of a PNG of that size, as a URL."""
    head = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + struct.pack(">II", width, height)
    return "data:image/png;base64," + base64.b64encode(head).decode()


if __name__ == "__main__":
    raise SystemExit(main())
