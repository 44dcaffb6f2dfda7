"""What requests for speech and transcripts may ask.

Parameters: https://platform.openai.com/docs/api-reference/audio. Refusals as quoted in public bug reports, which
comments name; what has no such comment is worded as on other surfaces, unverified here.
"""

from collections.abc import Mapping
from typing import Any

from mockserver import problems
from mockserver.calls import Call
from mockserver.catalogue import Model
from mockserver.generating.sounds import FORMATS, duration_s, kind_of
from mockserver.parameters import check_all, check_known, decimal, one_of, require, string

VOICES = (
    *("alloy", "ash", "ballad", "coral", "echo", "fable", "onyx", "nova", "sage", "shimmer", "verse"),
    *("marin", "cedar"),
)
_LONGEST_INPUT = 4_096
_LARGEST_FILE = 26_214_400
_SHORTEST_S = 0.1

_SPEECH = {
    "response_format": one_of(*FORMATS),
    "speed": decimal(0.25, 4.0),
    "stream_format": one_of("audio", "sse"),
    "instructions": string,
}
_FILE_KINDS = ("flac", "m4a", "mp3", "mp4", "mpeg", "mpga", "oga", "ogg", "wav", "webm")
_TRANSLATION = frozenset({"file", "model", "prompt", "response_format", "temperature"})
_TRANSCRIPTION = _TRANSLATION | {
    *("language", "timestamp_granularities", "stream", "include", "chunking_strategy"),
    *("known_speaker_names", "known_speaker_references"),
}
_PLAIN_FORMATS = ("json", "text", "srt", "verbose_json", "vtt")


def check_speech(call: Call, model: Model) -> None:
    """Refuse a voice that nobody has, text that is too long, and what the model does not take."""
    body = call.body
    require(body, ["input", "voice"])
    check_known(body, ("model", "input", "voice", *_SPEECH))
    string("input", body["input"])
    if len(body["input"]) > _LONGEST_INPUT:
        # the shape is that of a validator behind the API, as remembered from public bug reports; unverified
        said = {"type": "string_too_long", "loc": ("body", "input"), "input": body["input"]}
        said |= {
            "msg": f"String should have at most {_LONGEST_INPUT} characters",
            "ctx": {"max_length": _LONGEST_INPUT},
        }
        raise problems.error(400, str([said]))
    if not isinstance(body["voice"], dict):
        one_of(*VOICES)("voice", body["voice"])
    check_all(body, _SPEECH)
    if body.get("stream_format") == "sse" and model.family.startswith("tts-"):
        raise problems.unsupported_value("stream_format", "'sse'")


def check_transcription(call: Call, model: Model) -> None:
    """Refuse what is no audio, too large or too short, and formats that the model does not write."""
    _check_fields(call, _TRANSCRIPTION)
    _check_format(call.body.get("response_format"), model)
    _check_details(call.body)
    _check_file(call, model)


def check_translation(call: Call, model: Model) -> None:
    """The same with fewer formats."""
    _check_fields(call, _TRANSLATION)
    if call.body.get("response_format") is not None:
        one_of(*_PLAIN_FORMATS)("response_format", call.body["response_format"])
    _check_file(call, model)


def _check_fields(call: Call, known: frozenset[str]) -> None:
    check_known(call.body, known)
    if not call.files.get("file"):
        raise problems.missing("file")
    temperature = call.body.get("temperature")
    if temperature is not None:
        decimal(0, 1)("temperature", _read(temperature))


def _check_format(wanted: Any, model: Model) -> None:
    if wanted is None:
        return
    one_of(*_PLAIN_FORMATS, "diarized_json")("response_format", wanted)
    can = _formats(model)
    if wanted not in can:
        # as quoted in openai/openai-dotnet#401 for gpt-4o-transcribe, which has the first two
        listed = " or ".join(", ".join(f"'{one}'" for one in can).rsplit(", ", 1))
        message = f"response_format '{wanted}' is not compatible with model '{model.name}'. Use {listed} instead."
        raise problems.error(400, message, param="response_format", code="unsupported_value")


def _formats(model: Model) -> tuple[str, ...]:
    if not model.family.startswith("gpt-"):
        return _PLAIN_FORMATS
    return ("json", "text", "diarized_json") if model.family.endswith("diarize") else ("json", "text")


def _check_details(body: Mapping[str, Any]) -> None:
    for name, options in (("timestamp_granularities", ("word", "segment")), ("include", ("logprobs",))):
        for index, value in enumerate(body.get(name) or ()):
            one_of(*options)(f"{name}[{index}]", value)
    if body.get("timestamp_granularities") and body.get("response_format") != "verbose_json":
        message = "'timestamp_granularities' requires 'response_format' to be 'verbose_json'."
        raise problems.error(400, message, param="timestamp_granularities")


def _check_file(call: Call, model: Model) -> None:
    upload = call.files["file"][0]
    if len(upload.content) > _LARGEST_FILE:
        # as quoted in chidiwilliams/buzz#381
        message = f"Maximum content size limit ({_LARGEST_FILE}) exceeded ({len(upload.content)} bytes read)"
        raise problems.error(413, message, kind="server_error")
    ending = upload.filename.rpartition(".")[2].lower()
    if ending not in _FILE_KINDS or not kind_of(upload.content):
        raise _no_audio(model)
    if duration_s(upload.content) < _SHORTEST_S and kind_of(upload.content) == "wav":
        # as remembered from public bug reports; unverified
        message = f"Audio file is too short. Minimum audio length is {_SHORTEST_S} seconds."
        raise problems.error(400, message, param="file", code="audio_too_short")


def _no_audio(model: Model) -> problems.Problem:
    if model.family.startswith("gpt-"):
        # as quoted in openai/openai-python#2477
        message = "This model does not support the format you provided."
        return problems.error(400, message, param="messages", code="unsupported_format")
    # as quoted in B4PT0R/streamlit-mic-recorder#10, of names without a known ending and of bytes that are no audio
    return problems.error(400, f"Invalid file format. Supported formats: {list(_FILE_KINDS)}")


def number(value: Any, least: float, most: float, default: float) -> float:
    """The value if it is a number within bounds, for servers that let others in."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and least <= value <= most else default


def _read(value: Any) -> Any:
    """A form's text as the number that it spells, if it does."""
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value
