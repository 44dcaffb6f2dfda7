"""Images: generated, edited, varied; by URLs that this server answers itself, as base64, or as events.

Parameters, sizes and events: https://platform.openai.com/docs/api-reference/images and …/images-streaming; what images
cost in tokens: https://platform.openai.com/docs/guides/image-generation#cost-and-latency. Refusals as recorded by
openllmetry, openllmetry-js, ruby_llm and genai, where no comment says otherwise. What Azure adds is documented at
https://learn.microsoft.com/azure/ai-services/openai/reference#image-generation.
"""

import base64
from typing import Any

from mockserver.calls import Call
from mockserver.catalogue import Model
from mockserver.content_filter import Verdict
from mockserver.generating import usage
from mockserver.generating.dice import Dice
from mockserver.generating.pictures import Size, dimensions, picture
from mockserver.surfaces import EVERYWHERE, Operation, Result, Setting, Spent
from mockserver.surfaces.image_requests import Wanted, check_edit, check_generate, check_variation, wanted
from mockserver.surfaces.picture_files import address_of, picture_at

# output tokens of gpt-image-1 by quality, for a square, an upright and a wide picture
_TOKENS = {"low": (272, 408, 400), "medium": (1056, 1584, 1568), "high": (4160, 6240, 6208)}
_PARTIAL = 100  # output tokens that each partial image costs beyond that
_INPUT_BASE, _INPUT_TILE = 65, 129  # input tokens of a picture, and of each 512x512 pixels of it

_REVISIONS = (
    "{prompt}. The scene is shown in rich detail, with soft natural light and a calm composition.",
    "A detailed picture of {prompt}, in balanced colours, with a clear subject and a quiet background.",
    "Imagine {prompt}: a carefully composed view with gentle shadows, fine texture and warm tones.",
)


def generate(call: Call, setting: Setting) -> Result:
    """Pictures of a prompt."""
    return _answer(call, setting, "image_generation")


def edit(call: Call, setting: Setting) -> Result:
    """Pictures with what the prompt wants changed; here they have nothing of the originals."""
    return _answer(call, setting, "image_edit")


def estimate(call: Call, model: Model) -> int:
    """The tokens of a gpt-image model; the others are not paid by tokens."""
    want = wanted(call, model)
    return sum(_cost(call, want)) if want.is_gpt else 0


def _answer(call: Call, setting: Setting, event: str) -> Result:
    want = wanted(call, setting.model)
    if not want.is_gpt:
        data = [_dalle(call, setting, want, index) for index in range(want.n)]
        return Result(body={"created": setting.created, "data": data})
    prompt, image, output = _cost(call, want)
    spent = Spent(prompt=prompt + image, completion=output)
    cost = {
        "input_tokens": prompt + image,
        "input_tokens_details": {"image_tokens": image, "text_tokens": prompt},
        "output_tokens": output,
        "total_tokens": spent.total,
    }
    if want.stream:
        return Result(events=tuple(_events(call, setting, want, event, cost)), spent=spent)
    data = [_annotated({"b64_json": _encoded(call, setting, want, index)}, call) for index in range(want.n)]
    body = {"created": setting.created, "background": want.background, "data": data}
    return Result(body={**body, **_looks(want), "usage": cost}, spent=spent)


def _looks(want: Wanted) -> dict[str, Any]:
    return {"output_format": want.encoding, "quality": want.quality, "size": want.size}


def _events(
    call: Call, setting: Setting, want: Wanted, name: str, cost: dict[str, Any]
) -> list[tuple[str, dict[str, Any]]]:
    """Sketches of lower resolution cannot be told from the whole picture here: each is another mosaic."""
    shared = {"created_at": setting.created, "background": want.background, **_looks(want)}
    events = []
    for index in range(want.partial):
        sketch = _encoded(call, setting, want, f"partial {index}")
        payload = {"type": f"{name}.partial_image", "b64_json": sketch, "partial_image_index": index, **shared}
        events.append((f"{name}.partial_image", payload))
    whole = {"type": f"{name}.completed", "b64_json": _encoded(call, setting, want, 0), **shared, "usage": cost}
    return [*events, (f"{name}.completed", whole)]


def _dalle(call: Call, setting: Setting, want: Wanted, index: int) -> dict[str, Any]:
    """One picture of DALL·E, which alone revises prompts and has URLs."""
    item: dict[str, Any] = {}
    if setting.model.family == "dall-e-3":
        chosen = _dice(call, setting, "revision").choice(_REVISIONS)
        item["revised_prompt"] = chosen.format(prompt=want.prompt.rstrip("."))
    if want.response_format == "b64_json":
        item["b64_json"] = base64.b64encode(_drawn(call, setting, want, index)).decode()
    else:
        item["url"] = address_of(call, _dice(call, setting, index).token(24), want.pixels)
    return _annotated(item, call)


def _encoded(call: Call, setting: Setting, want: Wanted, part: int | str) -> str:
    return base64.b64encode(_drawn(call, setting, want, part)).decode()


def _drawn(call: Call, setting: Setting, want: Wanted, part: int | str) -> bytes:
    """The same picture whether it comes by URL or as base64."""
    if not want.is_gpt:
        return picture_at(_dice(call, setting, part).token(24), want.pixels)
    is_transparent = want.background == "transparent"
    return picture(_dice(call, setting, part), want.pixels, encoding=want.encoding, transparent=is_transparent)


def _dice(call: Call, setting: Setting, part: int | str) -> Dice:
    """By prompt, size and the pictures that are given."""
    given = [len(upload.content) for uploads in call.files.values() for upload in uploads]
    asked = [call.body.get("prompt"), call.body.get("size")]
    return Dice(setting.seed, "picture", setting.model.snapshot, asked, given, part)


def _annotated(item: dict[str, Any], call: Call) -> dict[str, Any]:
    """On Azure with the verdicts of the filter; that a prompt has one for profanity is from the documented example."""
    if call.dialect != "azure":
        return item
    clean = Verdict()
    harms = {name: found for name, found in clean.on_prompt().items() if name != "jailbreak"}
    profanity = {"profanity": {"detected": False, "filtered": False}}
    return {**item, "content_filter_results": harms, "prompt_filter_results": {**harms, **profanity}}


def _cost(call: Call, want: Wanted) -> tuple[int, int, int]:
    """Tokens of the prompt, of the pictures given, and of those made."""
    shape = (want.pixels.width > want.pixels.height) * 2 or int(want.pixels.width < want.pixels.height)
    each = _TOKENS.get(want.quality, _TOKENS["high"])[shape]
    output = want.n * each + (want.partial * _PARTIAL if want.stream else 0)
    given = [upload.content for name in ("image", "mask") for upload in call.files.get(name, ())]
    return usage.text_tokens(want.prompt, model="gpt-4o"), sum(map(_input_tokens, given)), output


def _input_tokens(content: bytes) -> int:
    size = dimensions(content) or Size(512, 512)
    return _INPUT_BASE + _INPUT_TILE * -(-size.width // 512) * -(-size.height // 512)


def _operation(name: str, path: str, **rest: Any) -> Operation:
    defaults = {"default_model": "dall-e-2", "kinds": ("image",), "estimate": estimate, "places": EVERYWHERE}
    return Operation(method="POST", path=path, surface="images", name=name, **{**defaults, **rest})


OPERATIONS = (
    _operation("generate", "/images/generations", answer=generate, check=check_generate),
    _operation("edit", "/images/edits", answer=edit, check=check_edit, takes="form"),
    _operation(
        "variation",
        "/images/variations",
        answer=generate,
        check=check_variation,
        takes="form",
        places=("openai",),
    ),
)
