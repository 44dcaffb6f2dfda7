"""What requests for images may ask, by model, and what they want.

Which parameters each model takes: https://platform.openai.com/docs/api-reference/images/create. Texts as recorded by
openllmetry (unknown parameter), openllmetry-js (files, variations) and ruby_llm (content types, files that are no
pictures); others name their source or are marked unverified.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mockserver import problems
from mockserver.calls import Call
from mockserver.catalogue import Model
from mockserver.forms import Upload
from mockserver.generating.pictures import Size, has_no_alpha, kind_of, size_of
from mockserver.parameters import Check, boolean, check_all, integer, one_of, require, string

_SHARED = frozenset({"model", "prompt", "n", "size", "user", "image", "mask"})
_DALLE = {"dall-e-2": frozenset({"response_format"}), "dall-e-3": frozenset({"response_format", "quality", "style"})}
_GPT = frozenset(
    {"background", "moderation", "output_compression", "output_format", "partial_images", "quality", "stream"}
    | {"input_fidelity", "images", "safety_identifier"}
)
# a request that names no model gets gpt-image-1 if only that takes what it asks for
_ONLY_GPT = _GPT - {"quality"}

_SIZES = {
    "dall-e-2": ("256x256", "512x512", "1024x1024"),
    "dall-e-3": ("1024x1024", "1792x1024", "1024x1792"),
    "gpt-image": ("1024x1024", "1024x1536", "1536x1024", "auto"),
}
_QUALITIES = {"dall-e-3": ("standard", "hd"), "gpt-image": ("low", "medium", "high", "auto")}
_LONGEST_PROMPT = {"dall-e-2": 1_000, "dall-e-3": 4_000, "gpt-image": 32_000}
_ACCEPTED = ("image/jpeg", "image/png", "image/webp")
_MOST_IMAGES = 16

_CHECKS: Mapping[str, Check] = {
    "background": one_of("transparent", "opaque", "auto"),
    "moderation": one_of("low", "auto"),
    "output_format": one_of("png", "jpeg", "webp"),
    "output_compression": integer(0, 100),
    "partial_images": integer(0, 3),
    "response_format": one_of("url", "b64_json"),
    "style": one_of("vivid", "natural"),
    "input_fidelity": one_of("high", "low"),
    "stream": boolean,
    "user": string,
}
_NUMBERS = ("n", "output_compression", "partial_images")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A request with its defaults filled in, and values that nobody takes left out; `encoding` is that of the file."""

    is_gpt: bool
    prompt: str
    n: int
    size: str
    quality: str
    background: str
    encoding: str
    response_format: str
    stream: bool
    partial: int

    @property
    def pixels(self) -> Size:
        """The size as numbers."""
        return size_of(self.size)


def wanted(call: Call, model: Model) -> Wanted:
    """What a request wants; odd values, which a lenient server lets in, count as left out."""
    body, rules = _typed(call), "gpt-image" if call.stream else _rules(call, model)
    return Wanted(
        is_gpt=rules == "gpt-image",
        prompt=str(body.get("prompt") or ""),
        n=_within(body.get("n"), 1, 10, 1),
        size=_one_of(body.get("size"), [size for size in _SIZES[rules] if size != "auto"], "1024x1024"),
        quality=_one_of(body.get("quality"), ("low", "medium", "high"), "high"),
        background=_one_of(body.get("background"), ("transparent", "opaque"), "opaque"),
        encoding=_one_of(body.get("output_format"), ("png", "jpeg", "webp"), "png"),
        response_format=_one_of(body.get("response_format"), ("url", "b64_json"), "url"),
        stream=call.stream,
        partial=_within(body.get("partial_images"), 0, 3, 0),
    )


def _one_of(value: Any, options: Sequence[str], default: str) -> str:
    return value if isinstance(value, str) and value in options else default


def _within(value: Any, least: int, most: int, default: int) -> int:
    return value if type(value) is int and least <= value <= most else default


def _rules(call: Call, model: Model) -> str:
    """Whose rules apply; without a model, gpt-image-1's where a parameter is known to that alone."""
    if "image" in model.snapshot:
        return "gpt-image"
    if "model" not in call.body and call.deployment is None and _ONLY_GPT & call.body.keys():
        return "gpt-image"
    return model.family if model.family in _DALLE else "gpt-image"


def _typed(call: Call) -> dict[str, Any]:
    """The body, its numbers and flags as JSON has them: a form has texts only."""
    body = dict(call.body)
    for name in _NUMBERS:
        value = body.get(name)
        if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10:
            body[name] = int(value)
    if body.get("stream") in ("true", "false"):
        body["stream"] = body["stream"] == "true"
    return body


def check_generate(call: Call, model: Model) -> None:
    """Refuse what the model does not take."""
    _check(call, model)


def check_edit(call: Call, model: Model) -> None:
    """Refuse that, and images that are none; a JSON body may name them by URL or id, which nobody fetches here."""
    _check(call, model)
    if call.files or "images" not in call.body:
        _check_images(call, needs_alpha=model.family == "dall-e-2" and "mask" not in call.files)


def check_variation(call: Call, model: Model) -> None:
    """Refuse every model but dall-e-2, and an image that is none."""
    if model.family != "dall-e-2":
        raise problems.error(400, f"Invalid model {call.body.get('model')}. The model argument should be left blank.")
    body = _typed(call)
    _check_known(body, _SHARED - {"prompt", "mask"} | {"response_format"})
    _check_numbers_and_words(body, "dall-e-2")
    _check_images(call, needs_alpha=False)


def _check(call: Call, model: Model) -> None:
    body, rules = _typed(call), _rules(call, model)
    require(body, ["prompt"])  # unverified here: worded as elsewhere
    string("prompt", body["prompt"])
    _check_known(body, _SHARED | _DALLE.get(rules, _GPT))
    _check_length(body["prompt"], _LONGEST_PROMPT[rules])
    _check_numbers_and_words(body, rules)


def _check_known(body: Mapping[str, Any], known: frozenset[str]) -> None:
    for name in body:
        if name not in known:
            raise problems.error(400, f"Unknown parameter: '{name}'.", param=name, code="unknown_parameter")


def _check_length(prompt: str, most: int) -> None:
    if len(prompt) > most:
        # unverified here: worded as for other texts
        message = (
            f"Invalid 'prompt': string too long. Expected a string with maximum length {most}, but got a string with"
            f" length {len(prompt)} instead."
        )
        raise problems.error(400, message, param="prompt", code="string_above_max_length")


def _check_numbers_and_words(body: Mapping[str, Any], rules: str) -> None:
    check_all(body, _CHECKS)
    if body.get("n") is not None:
        integer(1, 10)("n", body["n"])
        if rules == "dall-e-3" and body["n"] > 1:
            # unverified: worded as remembered from public bug reports
            raise problems.error(400, "You must provide n=1 for this model.", code="invalid_n")
    if body.get("quality") is not None:
        one_of(*_QUALITIES.get(rules, ("standard",)))("quality", body["quality"])
    if body.get("size") is not None:
        _check_size(body["size"], rules)


def _check_size(size: Any, rules: str) -> None:
    string("size", size)
    if size in _SIZES[rules]:
        return
    if rules != "gpt-image" and any(size in sizes for sizes in _SIZES.values()):
        # as quoted in redevrx/chat_gpt_sdk#93
        raise problems.error(400, "The size is not supported by this model.", code="invalid_size")
    raise problems.invalid_value("size", size, _SIZES[rules])


def _check_images(call: Call, *, needs_alpha: bool) -> None:
    uploads = call.files.get("image", ())
    if not uploads and isinstance(call.body.get("image"), str | list):
        raise problems.invalid_type("image", "a file", call.body["image"])
    if not uploads:
        raise problems.missing("image")
    if len(uploads) > _MOST_IMAGES:
        raise problems.array_too_long("image", limit=_MOST_IMAGES, length=len(uploads))
    for index, upload in enumerate(uploads):
        _check_image(f"image[{index}]" if len(uploads) > 1 else "image", index, upload)
        if needs_alpha and has_no_alpha(upload.content):
            message = "Invalid input image - format must be in ['RGBA', 'LA', 'L'], got RGB."
            raise problems.error(400, message, kind="image_generation_user_error")


def _check_image(param: str, index: int, upload: Upload) -> None:
    kind = upload.content_type.partition(";")[0].strip().lower()
    if kind not in _ACCEPTED:
        message = (
            f"Invalid file '{param}': unsupported mimetype ('{kind}'). Supported file formats are 'image/jpeg',"
            " 'image/png', and 'image/webp'."
        )
        raise problems.error(400, message, param=param, code="unsupported_file_mimetype")
    if not kind_of(upload.content):
        message = f"Invalid image file or mode for image {index}, please check the your image file."
        raise problems.error(400, message, code="invalid_image_file")
