"""Moderations: scores by category, and flags where words are found that stand for one.

Categories, and the order of keys, as recorded by pydantic-ai of omni-moderation-latest inside a response; the envelope,
and which categories judge images, as documented at https://platform.openai.com/docs/guides/moderation. The wording of
refusals is that of other surfaces (unverified here). Azure has no such endpoint.

What is flagged is decided by `WORDS` alone, so that a test can choose it: a text with "kill" in it is violent, whatever
it means. Pictures are never looked at, and never flagged.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from mockserver import problems
from mockserver.calls import Call
from mockserver.catalogue import Model
from mockserver.generating.dice import Dice
from mockserver.parameters import check_known, obj, one_of, require, string
from mockserver.surfaces import Operation, Result, Setting

CATEGORIES = (
    *("harassment", "harassment/threatening", "hate", "hate/threatening", "illicit", "illicit/violent", "self-harm"),
    *("self-harm/instructions", "self-harm/intent", "sexual", "sexual/minors", "violence", "violence/graphic"),
)
_ONLY_OMNI = frozenset({"illicit", "illicit/violent"})
_OF_IMAGES = frozenset(
    {"self-harm", "self-harm/instructions", "self-harm/intent", "sexual", "violence", "violence/graphic"}
)

# words and phrases, in lower case, and the categories that they flag
WORDS: Mapping[str, tuple[str, ...]] = {
    "kill": ("violence",),
    "kill you": ("harassment", "harassment/threatening", "violence"),
    "murder": ("violence",),
    "stab": ("violence",),
    "gore": ("violence", "violence/graphic"),
    "bloodbath": ("violence", "violence/graphic"),
    "idiot": ("harassment",),
    "moron": ("harassment",),
    "slur": ("hate",),
    "subhuman": ("hate",),
    "exterminate them": ("hate", "hate/threatening", "violence"),
    "shoplift": ("illicit",),
    "launder money": ("illicit",),
    "pipe bomb": ("illicit", "illicit/violent"),
    "suicide": ("self-harm",),
    "hurt myself": ("self-harm", "self-harm/intent"),
    "how to starve myself": ("self-harm", "self-harm/instructions"),
    "porn": ("sexual",),
    "underage": ("sexual", "sexual/minors"),
}
_FOUND = {word: re.compile(rf"\b{re.escape(word)}") for word in WORDS}


def check(call: Call, model: Model) -> None:
    """Refuse what is neither text, nor texts, nor parts of both kinds."""
    require(call.body, ["input"])
    check_known(call.body, ("model", "input"))
    _check_input(call.body["input"], is_omni=_is_omni(model))


def answer(call: Call, setting: Setting) -> Result:
    """One verdict a text; parts of both kinds are judged together."""
    is_omni = _is_omni(setting.model)
    results = [_verdict(texts, images, setting, is_omni=is_omni) for texts, images in _inputs(call.body.get("input"))]
    dice = setting.dice(call, "moderation")
    name = dice.hexadecimal(32) if is_omni else dice.token(29)
    return Result(body={"id": f"modr-{name}", "model": setting.model.snapshot, "results": results})


def _is_omni(model: Model) -> bool:
    return not model.snapshot.startswith("text-moderation")


def _check_input(value: Any, *, is_omni: bool) -> None:
    if isinstance(value, str):
        return
    if not isinstance(value, list):
        raise problems.invalid_type("input", "one of a string, an array of strings, or an array of objects", value)
    if not value:
        raise problems.empty_array("input")
    if all(isinstance(one, str) for one in value):
        return
    for index, part in enumerate(value):
        _check_part(f"input[{index}]", part, is_omni=is_omni)


def _check_part(param: str, part: Any, *, is_omni: bool) -> None:
    obj(param, part)
    require(part, ["type"], within=param)
    one_of(*(("text", "image_url") if is_omni else ("text",)))(f"{param}.type", part["type"])
    require(part, [part["type"]], within=param)
    if part["type"] == "text":
        string(f"{param}.text", part["text"])
        return
    obj(f"{param}.image_url", part["image_url"])
    require(part["image_url"], ["url"], within=f"{param}.image_url")
    string(f"{param}.image_url.url", part["image_url"]["url"])


def _inputs(value: Any) -> list[tuple[list[str], int]]:
    """For each verdict the texts that it judges, and how many pictures."""
    if not isinstance(value, list):
        return [([str(value)], 0)]
    parts = [part for part in value if isinstance(part, dict)]
    if not parts:
        return [([str(one)], 0) for one in value]
    texts = [str(part.get("text", "")) for part in parts if part.get("type") == "text"]
    return [(texts, len(parts) - len(texts))]


def _verdict(texts: Sequence[str], images: int, setting: Setting, *, is_omni: bool) -> dict[str, Any]:
    scores = _scores("\n".join(texts), setting, is_omni=is_omni)
    flags = {name: score >= 0.5 for name, score in scores.items()}
    verdict = {"flagged": any(flags.values()), "categories": flags, "category_scores": scores}
    if is_omni:
        verdict["category_applied_input_types"] = {name: _applied(name, texts, images) for name in scores}
    return verdict


def _scores(text: str, setting: Setting, *, is_omni: bool) -> dict[str, float]:
    """Near 0, or near 1 where a word is found: always the same for the same text."""
    dice = Dice(setting.seed, "moderation", setting.model.snapshot, text)
    found = {name for word, names in WORDS.items() if _FOUND[word].search(text.lower()) for name in names}
    drawn = {name: (dice.uniform(0.7, 0.99), 10 ** dice.uniform(-7, -2.5)) for name in CATEGORIES}
    names = [name for name in CATEGORIES if is_omni or name not in _ONLY_OMNI]
    return {name: drawn[name][0 if name in found else 1] for name in names}


def _applied(name: str, texts: Sequence[str], images: int) -> list[str]:
    """Which kinds of input the score of a category is about; most categories are about texts only."""
    return ["text"] * bool(texts) + ["image"] * (bool(images) and name in _OF_IMAGES)


OPERATIONS = (
    Operation(
        method="POST",
        path="/moderations",
        surface="moderations",
        name="create",
        answer=answer,
        check=check,
        places=("openai",),
        default_model="omni-moderation-latest",
        kinds=("moderation",),
    ),
)
