"""Audio: files that play, transcripts that say what was spoken, and the rules of each model."""

import base64
import io
import json
import wave
from typing import Any

import httpx
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit.tokens import count_text
from mockserver import MockServer, reply
from mockserver.generating.sounds import FORMATS, duration_s, kind_of, speech, spoken_in
from tests.mockserver.conftest import KEY, Serve

TEXT = "Hello otters. How are you today? The kelp is fine."
WAV = speech(TEXT, 12, encoding="wav")
TRANSCRIPTIONS = "/v1/audio/transcriptions"


def transcribe(http: httpx.Client, content: bytes = WAV, name: str = "a.wav", **fields: Any) -> httpx.Response:
    data = {"model": "whisper-1", **fields}
    return http.post(TRANSCRIPTIONS, data=data, files={"file": (name, content, "application/octet-stream")})


@given(text=st.text(max_size=300), encoding=st.sampled_from([each for each in FORMATS if each != "pcm"]))
def test_every_format_but_raw_samples_carries_the_text(text: str, encoding: str) -> None:
    data = speech(text, 10, encoding=encoding)
    assert spoken_in(data) == text
    assert kind_of(data) == {"opus": "ogg", "aac": "mp3"}.get(encoding, encoding)  # ADTS comes behind an ID3 tag


def test_a_wav_plays_as_long_as_it_says() -> None:
    with wave.open(io.BytesIO(speech("x", 100, encoding="wav"))) as sound:
        assert (sound.getnchannels(), sound.getsampwidth(), sound.getframerate()) == (1, 2, 24_000)
        assert sound.getnframes() / 24_000 == 2.0
    assert duration_s(speech("x", 100, encoding="flac")) == 2.0


def test_longer_texts_and_slower_speech_take_longer(client: openai.OpenAI) -> None:
    def length(text: str, speed: float = 1.0) -> int:
        options: Any = {"model": "tts-1", "voice": "alloy", "response_format": "pcm", "speed": speed}
        return len(client.audio.speech.create(input=text, **options).content)

    assert length(TEXT * 20) > length(TEXT * 10)
    assert length(TEXT * 10, 0.5) == 2 * length(TEXT * 10)


@pytest.mark.parametrize(
    ("encoding", "kind"), [("mp3", "audio/mpeg"), ("opus", "audio/opus"), ("wav", "audio/wav"), ("pcm", "audio/pcm")]
)
def test_speech_comes_with_its_content_type(client: openai.OpenAI, encoding: Any, kind: str) -> None:
    response = client.audio.speech.create(model="tts-1", voice="alloy", input=TEXT, response_format=encoding)
    assert response.response.headers["content-type"] == kind


@pytest.mark.parametrize(("encoding", "ending"), [("mp3", "mp3"), ("wav", "wav"), ("flac", "flac"), ("opus", "ogg")])
def test_what_was_spoken_is_written_down_again(client: openai.OpenAI, encoding: Any, ending: str) -> None:
    spoken = client.audio.speech.create(model="tts-1", voice="alloy", input=TEXT, response_format=encoding)
    heard = client.audio.transcriptions.create(model="whisper-1", file=(f"a.{ending}", spoken.content))
    assert heard.text == TEXT


def test_speech_as_events_is_the_same_file_and_bills_the_text(http: httpx.Client) -> None:
    body = {"model": "gpt-4o-mini-tts", "voice": "alloy", "input": TEXT}
    whole = http.post("/v1/audio/speech", json=body).content
    lines = http.post("/v1/audio/speech", json={**body, "stream_format": "sse"}).text.splitlines()
    events = [json.loads(line[6:]) for line in lines if line.startswith("data: ")]
    assert b"".join(base64.b64decode(event["audio"]) for event in events[:-1]) == whole
    assert events[-1]["type"] == "speech.audio.done"
    assert events[-1]["usage"]["input_tokens"] == count_text(TEXT, model="gpt-4o")


def test_plain_formats_have_the_same_text(http: httpx.Client) -> None:
    assert transcribe(http, response_format="text").text == f"{TEXT}\n"
    assert transcribe(http).json() == {"text": TEXT, "usage": {"type": "duration", "seconds": 1}}
    vtt = transcribe(http, response_format="vtt").text
    assert vtt.startswith("WEBVTT\n\n00:00:00.000 --> ")
    srt = transcribe(http, response_format="srt")
    assert srt.headers["content-type"] == "text/plain; charset=utf-8"
    assert srt.text.startswith("1\n00:00:00,000 --> ")
    assert srt.text.count("-->") == 3


def test_verbose_json_has_the_times_asked_for(client: openai.OpenAI) -> None:
    options: Any = {"model": "whisper-1", "file": ("a.wav", WAV), "response_format": "verbose_json"}
    both = client.audio.transcriptions.create(**options, timestamp_granularities=["word", "segment"], language="de")
    assert both.language == "german"
    assert [segment.text for segment in both.segments] == [
        " Hello otters.",
        " How are you today?",
        " The kelp is fine.",
    ]
    assert [word.word for word in both.words][:3] == ["Hello", "otters", "How"]
    ends = [word.end for word in both.words]
    assert ends == sorted(ends)
    assert ends[-1] == both.duration
    assert client.audio.transcriptions.create(**options).words is None
    assert client.audio.transcriptions.create(**options, timestamp_granularities=["word"]).segments is None


def test_a_stream_says_what_the_plain_reply_says(client: openai.OpenAI) -> None:
    file = ("a.wav", WAV)
    plain = client.audio.transcriptions.create(model="gpt-4o-transcribe", file=file, include=["logprobs"])
    events = list(
        client.audio.transcriptions.create(model="gpt-4o-transcribe", file=file, include=["logprobs"], stream=True)
    )
    deltas = [event for event in events if event.type == "transcript.text.delta"]
    done = events[-1]
    assert done.type == "transcript.text.done"
    assert "".join(event.delta for event in deltas) == done.text == plain.text == TEXT
    assert plain.logprobs is not None
    assert len(plain.logprobs) == len(deltas)
    assert done.usage is not None
    assert done.usage.output_tokens == count_text(TEXT, model="gpt-4o")


def test_whisper_does_not_stream(http: httpx.Client) -> None:
    assert transcribe(http, stream="true").json()["text"] == TEXT


def test_diarized_speech_has_speakers_who_take_turns(client: openai.OpenAI) -> None:
    options: Any = {"model": "gpt-4o-transcribe-diarize", "file": ("a.wav", WAV), "response_format": "diarized_json"}
    heard = client.audio.transcriptions.create(**options)
    assert [segment.speaker for segment in heard.segments] == ["A", "B", "A"]
    kinds = [event.type for event in client.audio.transcriptions.create(**options, stream=True)]
    assert kinds.count("transcript.text.segment") == 3


def test_a_translation_is_in_english(client: openai.OpenAI) -> None:
    options: Any = {"model": "whisper-1", "file": ("a.wav", WAV), "response_format": "verbose_json"}
    with pytest.warns(DeprecationWarning, match="deprecated|retired"):
        heard = client.audio.translations.create(**options)
    assert (heard.task, heard.language, heard.text) == ("translate", "english", TEXT)


def test_other_files_are_heard_alike_every_time_and_differently_from_each_other(http: httpx.Client) -> None:
    files = [b"ID3" + bytes([number]) * 9_000 for number in (1, 1, 2)]
    texts = [transcribe(http, content, "otters.mp3").json()["text"] for content in files]
    assert texts[0] == texts[1]
    assert texts[1] != texts[2]
    assert "otters" in texts[0]


def test_a_script_says_what_is_heard(mockserver: MockServer, http: httpx.Client) -> None:
    mockserver.script(reply("Scripted words."))
    assert transcribe(http).json()["text"] == "Scripted words."


@pytest.mark.parametrize(
    ("fields", "message", "code"),
    [
        ({"model": "gpt-4o-transcribe", "response_format": "verbose_json"},
         "response_format 'verbose_json' is not compatible with model 'gpt-4o-transcribe'. Use 'json' or 'text'",
         "unsupported_value"),
        ({"response_format": "diarized_json"}, "response_format 'diarized_json' is not", "unsupported_value"),
        ({"response_format": "xml"}, "Invalid value: 'xml'.", "invalid_value"),
        ({"timestamp_granularities[]": "word"}, "'timestamp_granularities' requires", None),
        ({"temperature": "2"}, "Invalid 'temperature': decimal above maximum value.", "decimal_above_max_value"),
        ({"speed": "2"}, "Unrecognized request argument supplied: speed", None),
    ],
)  # fmt: skip
def test_parameters_that_the_model_does_not_take_are_refused(
    http: httpx.Client, fields: Any, message: str, code: str | None
) -> None:
    response = transcribe(http, **fields)
    assert response.status_code == 400
    error = response.json()["error"]
    assert error["message"].startswith(message)
    assert error["code"] == code


@pytest.mark.parametrize(
    ("content", "name", "model", "message"),
    [
        (b"Example data", "upload", "whisper-1", "Invalid file format. Supported formats: ['flac', 'm4a', 'mp3',"),
        (b"Example data", "a.mp3", "whisper-1", "Invalid file format."),
        (b"Example data", "a.mp3", "gpt-4o-transcribe", "This model does not support the format you provided."),
        (WAV[:300], "a.wav", "whisper-1", "Audio file is too short. Minimum audio length is 0.1 seconds."),
    ],
)  # fmt: skip
def test_files_that_are_no_audio_are_refused(
    http: httpx.Client, content: bytes, name: str, model: str, message: str
) -> None:
    content = content.replace(b"mockserver speech ", b"")
    response = transcribe(http, content, name, model=model)
    assert response.status_code == 400
    assert response.json()["error"]["message"].startswith(message)


def test_a_file_over_25_mib_is_refused_as_quoted(http: httpx.Client) -> None:
    response = transcribe(http, b"ID3" + bytes(26_214_400), "a.mp3")
    assert response.status_code == 413
    error = response.json()["error"]
    assert error["message"] == "Maximum content size limit (26214400) exceeded (26214403 bytes read)"
    assert error["type"] == "server_error"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"voice": "nobody"}, "Invalid value: 'nobody'."),
        ({"input": "x" * 4097}, "[{'type': 'string_too_long', 'loc': ('body', 'input')"),
        ({"speed": 9}, "Invalid 'speed': decimal above maximum value."),
        ({"response_format": "ogg"}, "Invalid value: 'ogg'."),
        ({"stream_format": "sse"}, "Unsupported value: 'stream_format' does not support 'sse' with this model."),
    ],
)
def test_speech_that_nobody_speaks_is_refused(http: httpx.Client, body: Any, message: str) -> None:
    response = http.post("/v1/audio/speech", json={"model": "tts-1", "voice": "alloy", "input": "x", **body})
    assert response.status_code == 400
    assert response.json()["error"]["message"].startswith(message)


def test_azure_serves_all_three(azure: openai.AzureOpenAI) -> None:
    spoken = azure.audio.speech.create(model="tts-1", voice="alloy", input=TEXT, response_format="wav")
    file = ("a.wav", spoken.content)
    assert azure.audio.transcriptions.create(model="whisper-1", file=file).text == TEXT
    options: Any = {"model": "whisper-1", "file": file, "response_format": "json"}
    with pytest.warns(DeprecationWarning, match="deprecated|retired"):
        assert azure.audio.translations.create(**options).text == TEXT


def test_a_lenient_server_hears_anything(serve: Serve) -> None:
    server = serve(lenient=True)
    headers = {"authorization": f"Bearer {KEY}"}
    files = {"file": ("upload", b"Example data", "application/octet-stream")}
    for path, data in [
        ("transcriptions", {"stream": "true", "model": "gpt-4o-transcribe"}),
        ("translations", {"model": "x"}),
    ]:
        response = httpx.post(f"{server.openai_url}/audio/{path}", data=data, files=files, headers=headers)
        assert response.status_code == 200
    spoken = httpx.post(f"{server.openai_url}/audio/speech", json={"model": "x", "input": None}, headers=headers)
    assert spoken.status_code == 200
