"""What is heard in a file of audio: its text, in sentences and words with their times.

Segments, words and speakers as documented at
https://platform.openai.com/docs/api-reference/audio/createTranscription; times, probabilities and the ids of tokens are
invented, but lawful: in order, within the file, the same for the same bytes.
"""

import hashlib
import re
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any

from mockserver.calls import Call
from mockserver.forms import Upload
from mockserver.generating import usage
from mockserver.generating.dice import Dice
from mockserver.generating.prose import text_about
from mockserver.generating.sounds import duration_s, spoken_in
from mockserver.surfaces import Setting
from mockserver.surfaces.logprobs import Logprobs

# fmt: off
_LANGUAGES = {
    "en": "english", "de": "german", "es": "spanish", "fr": "french", "it": "italian", "pt": "portuguese",
    "nl": "dutch", "pl": "polish", "ru": "russian", "uk": "ukrainian", "tr": "turkish", "ar": "arabic",
    "zh": "chinese", "ja": "japanese", "ko": "korean", "hi": "hindi", "sv": "swedish", "fi": "finnish",
}
# fmt: on
_SENTENCE = re.compile(r"[^.!?]+[.!?]*\s*")
_LONGEST_TOKEN_ID = 50_256


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcript:
    """A text, how long it takes to say, in which language, and by whom."""

    text: str
    duration_s: float
    language: str
    dice_parts: tuple[Any, ...]
    speakers: tuple[str, ...] = ("A", "B")
    spans: tuple[tuple[float, float, str], ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "spans", tuple(self._timed(_SENTENCE.findall(self.text) or [self.text])))

    def _timed(self, parts: list[str]) -> list[tuple[float, float, str]]:
        """Each part with its start and end, its share of the time being that of its letters."""
        total, timed, at = max(sum(map(len, parts)), 1), [], 0
        for part in parts:
            start, end = self.duration_s * at / total, self.duration_s * (at + len(part)) / total
            timed.append((round(start, 2), round(end, 2), part))
            at += len(part)
        return timed

    def _dice(self, purpose: str) -> Dice:
        seed, *rest = self.dice_parts
        return Dice(seed, purpose, *rest)

    def segments(self) -> list[dict[str, Any]]:
        """Sentences, as `verbose_json` has them."""
        dice = self._dice("segments")
        return [
            {
                "id": index,
                "seek": 0,
                "start": start,
                "end": end,
                "text": f" {text.strip()}",
                "tokens": [dice.randint(0, _LONGEST_TOKEN_ID) for _ in range(max(len(text) // 4, 1))],
                "temperature": 0.0,
                "avg_logprob": -dice.uniform(0.1, 0.5),
                "compression_ratio": dice.uniform(1.0, 1.8),
                "no_speech_prob": dice.uniform(0.0001, 0.05),
            }
            for index, (start, end, text) in enumerate(self.spans)
        ]

    def words(self) -> list[dict[str, Any]]:
        """Words, without the signs around them."""
        timed = self._timed(re.findall(r"\S+\s*", self.text))
        return [{"word": text.strip(' .,;:!?"()\n'), "start": start, "end": end} for start, end, text in timed]

    def diarized(self) -> list[dict[str, Any]]:
        """Sentences with who says them: the speakers take turns."""
        return [
            {
                "type": "transcript.text.segment",
                "id": f"seg_{index + 1:03d}",
                "start": start,
                "end": end,
                "text": text.strip(),
                "speaker": self.speakers[index % len(self.speakers)],
            }
            for index, (start, end, text) in enumerate(self.spans)
        ]

    def logprobs(self, setting: Setting) -> list[dict[str, Any]]:
        """One entry a token, without alternatives."""
        tokens = [b"".join(piece.tokens) for piece in usage.pieces(self.text, model=setting.model.name)]
        entries = Logprobs(0, self._dice("logprobs")).of(tokens)["content"]
        return [{name: entry[name] for name in ("token", "bytes", "logprob")} for entry in entries]


def heard(call: Call, setting: Setting, *, language: str | None = None) -> Transcript:
    """What is said in the file: scripted, or what this server has spoken, or words about its name and the prompt."""
    upload = next(iter(call.files.get("file", ())), Upload(filename="upload", content_type="", content=b""))
    digest = hashlib.blake2b(upload.content, digest_size=12).hexdigest()
    parts = (setting.seed, "transcript", digest)
    text = setting.scripted.text
    if text is None:
        text = spoken_in(upload.content)
    if text is None:
        name = PurePath(upload.filename).stem.replace("_", " ").replace("-", " ")
        text = text_about(f"{call.body.get('prompt') or ''} {name}", Dice(*parts))
    return Transcript(
        text=text,
        duration_s=round(duration_s(upload.content), 2),
        language=language or _language(call),
        dice_parts=parts,
        speakers=_speakers(call),
    )


def _language(call: Call) -> str:
    """The name of the language that the request tells, English without."""
    return _LANGUAGES.get(str(call.body.get("language") or "en").lower()[:2], "english")


def _speakers(call: Call) -> tuple[str, ...]:
    names = call.body.get("known_speaker_names")
    return tuple(map(str, names)) if isinstance(names, list) and names else ("A", "B")


def subtitles(transcript: Transcript, encoding: str) -> str:
    """The text as `srt` or `vtt`."""
    comma = "," if encoding == "srt" else "."
    blocks = [
        (f"{index}\n" if encoding == "srt" else "")
        + f"{_clock(start, comma)} --> {_clock(end, comma)}\n{text.strip()}\n\n"
        for index, (start, end, text) in enumerate(transcript.spans, start=1)
    ]
    return ("" if encoding == "srt" else "WEBVTT\n\n") + "".join(blocks)


def _clock(time_s: float, comma: str) -> str:
    seconds, thousandths = divmod(round(time_s * 1000), 1000)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}{comma}{thousandths:03d}"
