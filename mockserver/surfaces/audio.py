"""Audio: text spoken, speech written down, and speech translated into English.

Bodies and events as documented at https://platform.openai.com/docs/api-reference/audio; refusals name their source
below. What is "heard" depends on the file's bytes alone; a file that this server's own speech endpoint has made is
written down as the very text that it was made of (raw PCM aside, which has no place for it).
"""

import base64
import math
from typing import Any

from mockserver.calls import Call
from mockserver.catalogue import Model
from mockserver.generating import usage
from mockserver.generating.sounds import FORMATS, media_type, speech
from mockserver.surfaces import Operation, Result, Setting, Spent
from mockserver.surfaces.audio_requests import check_speech, check_transcription, check_translation, number
from mockserver.surfaces.transcripts import Transcript, heard, subtitles

_TEXT = "text/plain; charset=utf-8"
_CHUNK = 8_192  # bytes of audio in an event
_TOKENS_A_SECOND = (
    10  # https://platform.openai.com/docs/guides/realtime-costs: one token for 100 ms of the user's audio
)
_SPOKEN_A_SECOND = 20  # there too: one for 50 ms of the assistant's


def speak(call: Call, setting: Setting) -> Result:
    """The text as a file, or as events that carry one piece by piece."""
    text = str(call.body.get("input") or "")
    wanted = call.body.get("response_format")
    encoding = wanted if wanted in FORMATS else "mp3"
    prompt = usage.text_tokens(text, model=setting.model.name)
    speed = number(call.body.get("speed"), 0.25, 4.0, 1.0)
    data = speech(text, prompt, encoding=encoding, speed=speed)
    spent = _spoken(call, setting, prompt)
    if call.body.get("stream_format") == "sse":
        return Result(events=tuple(_speech_events(data, spent)), spent=spent)
    return Result(content=data, content_type=media_type(encoding), spent=spent)


def _spoken(call: Call, setting: Setting, prompt: int) -> Spent:
    """Tokens of models that are paid by them; the older ones are paid by letters."""
    if not setting.model.family.startswith("gpt-"):
        return Spent()
    instructions = call.body.get("instructions")
    extra = usage.text_tokens(instructions, model=setting.model.name) if isinstance(instructions, str) else 0
    audio = max(round(prompt / 50 * _SPOKEN_A_SECOND), 1)
    return Spent(prompt=prompt + extra, completion=audio, audio=audio)


def _speech_events(data: bytes, spent: Spent) -> list[tuple[str, dict[str, Any]]]:
    pieces = [data[at : at + _CHUNK] for at in range(0, len(data), _CHUNK)]
    deltas: list[dict[str, Any]] = [
        {"type": "speech.audio.delta", "audio": base64.b64encode(piece).decode()} for piece in pieces
    ]
    cost = {"input_tokens": spent.prompt, "output_tokens": spent.completion, "total_tokens": spent.total}
    done: dict[str, Any] = {"type": "speech.audio.done", "usage": cost}
    return [(str(event["type"]), event) for event in (*deltas, done)]


def estimate_speech(call: Call, model: Model) -> int:
    """The tokens of the text."""
    text = call.body.get("input")
    return usage.text_tokens(text, model=model.name) if isinstance(text, str) else 0


def transcribe(call: Call, setting: Setting) -> Result:
    """What is said in the file, in the format that is wanted."""
    transcript = heard(call, setting)
    encoding = _format(call)
    by_tokens = setting.model.snapshot.startswith("gpt-")
    spent = _written(call, setting, transcript) if by_tokens else Spent()
    cost = _token_cost(spent) if by_tokens else {"type": "duration", "seconds": math.ceil(transcript.duration_s)}
    if call.stream and by_tokens:
        return Result(events=tuple(_transcript_events(call, setting, transcript, encoding, cost)), spent=spent)
    if encoding in ("text", "srt", "vtt"):
        return _plain(transcript, encoding, spent)
    if encoding == "json":
        body: dict[str, Any] = {"text": transcript.text}
        if "logprobs" in _included(call):
            body["logprobs"] = transcript.logprobs(setting)
        return Result(body={**body, "usage": cost}, spent=spent)
    if encoding == "diarized_json":
        return Result(body={**_diarized(transcript), "usage": cost}, spent=spent)
    return Result(body={**_verbose(call, transcript, "transcribe"), "usage": cost}, spent=spent)


def translate(call: Call, setting: Setting) -> Result:
    """What is said in the file, as if in English: text that this server has spoken comes back as it is."""
    transcript = heard(call, setting, language="english")
    encoding = _format(call)
    if encoding in ("text", "srt", "vtt"):
        return _plain(transcript, encoding, Spent())
    if encoding == "verbose_json":
        return Result(body=_verbose(call, transcript, "translate"))
    return Result(body={"text": transcript.text})


def _format(call: Call) -> str:
    wanted = call.body.get("response_format")
    return wanted if isinstance(wanted, str) else "json"


def _included(call: Call) -> list[Any]:
    include = call.body.get("include")
    return include if isinstance(include, list) else []


def _plain(transcript: Transcript, encoding: str, spent: Spent) -> Result:
    text = f"{transcript.text}\n" if encoding == "text" else subtitles(transcript, encoding)
    return Result(content=text.encode(), content_type=_TEXT, spent=spent)


def _written(call: Call, setting: Setting, transcript: Transcript) -> Spent:
    prompt = call.body.get("prompt")
    text = usage.text_tokens(prompt, model=setting.model.name) if isinstance(prompt, str) else 0
    audio = max(round(transcript.duration_s * _TOKENS_A_SECOND), 1)
    return Spent(
        prompt=text + audio, completion=usage.text_tokens(transcript.text, model=setting.model.name), audio=audio
    )


def _token_cost(spent: Spent) -> dict[str, Any]:
    return {
        "type": "tokens",
        "total_tokens": spent.total,
        "input_tokens": spent.prompt,
        "input_token_details": {"text_tokens": spent.prompt - spent.audio, "audio_tokens": spent.audio},
        "output_tokens": spent.completion,
    }


def _verbose(call: Call, transcript: Transcript, task: str) -> dict[str, Any]:
    """Segments unless only words are asked for; translations have no words."""
    wanted = call.body.get("timestamp_granularities")
    wanted = wanted if isinstance(wanted, list) and task == "transcribe" else ["segment"]
    body = {"task": task, "language": transcript.language, "duration": transcript.duration_s, "text": transcript.text}
    if "word" in wanted:
        body["words"] = transcript.words()
    return body if wanted == ["word"] else {**body, "segments": transcript.segments()}


def _diarized(transcript: Transcript) -> dict[str, Any]:
    segments = transcript.diarized()
    return {"task": "transcribe", "duration": transcript.duration_s, "text": transcript.text, "segments": segments}


def _transcript_events(
    call: Call, setting: Setting, transcript: Transcript, encoding: str, cost: dict[str, Any]
) -> list[tuple[str, dict[str, Any]]]:
    """A delta a token; of diarized speech also its segments, each behind its words."""
    logprobs = transcript.logprobs(setting) if "logprobs" in _included(call) else None
    events: list[dict[str, Any]] = []
    for index, piece in enumerate(usage.pieces(transcript.text, model=setting.model.name)):
        delta: dict[str, Any] = {"type": "transcript.text.delta", "delta": piece.text}
        events.append({**delta, "logprobs": logprobs[index : index + 1]} if logprobs is not None else delta)
    if encoding == "diarized_json":
        events += transcript.diarized()
    done: dict[str, Any] = {"type": "transcript.text.done", "text": transcript.text}
    if logprobs is not None:
        done["logprobs"] = logprobs
    return [("", event) for event in (*events, {**done, "usage": cost})]  # documented as data alone, without names


OPERATIONS = (
    Operation(
        method="POST",
        path="/audio/speech",
        surface="audio",
        name="speech",
        answer=speak,
        check=check_speech,
        estimate=estimate_speech,
        kinds=("speech",),
    ),
    Operation(
        method="POST",
        path="/audio/transcriptions",
        surface="audio",
        name="transcription",
        answer=transcribe,
        check=check_transcription,
        kinds=("transcription",),
        takes="form",
    ),
    Operation(
        method="POST",
        path="/audio/translations",
        surface="audio",
        name="translation",
        answer=translate,
        check=check_translation,
        kinds=("transcription",),
        takes="form",
    ),
)
