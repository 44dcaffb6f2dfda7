"""Images: files that are what they claim to be, the rules of each model, and what they cost."""

import base64
import struct
import zlib
from typing import Any

import httpx
import openai
import pytest

from llmkit.tokens import count_text
from mockserver.generating import pictures
from mockserver.generating.dice import Dice
from mockserver.generating.pictures import Size, dimensions, kind_of, picture
from tests.mockserver.conftest import KEY, Serve

GENERATIONS = "/v1/images/generations"
AZURE = "/openai/deployments/dall-e-3/images/generations?api-version=2024-10-21"
PNG = picture(Dice(0, "test"), Size(64, 64))
# colours without transparency, as IHDR says
RGB = PNG[:25] + b"\x02" + PNG[26:]


def generate(http: httpx.Client, **parameters: Any) -> Any:
    response = http.post(GENERATIONS, json={"prompt": "an otter", **parameters})
    assert response.status_code == 200, response.text
    return response.json()


def refusal(response: httpx.Response) -> Any:
    assert response.status_code == 400, response.text
    return response.json()["error"]


def upload(http: httpx.Client, path: str, content: bytes, kind: str = "image/png", **fields: str) -> httpx.Response:
    return http.post(f"/v1/images/{path}", data=fields, files={"image": ("otter.png", content, kind)})


def test_a_png_has_whole_chunks_and_as_many_pixels_as_it_says() -> None:
    data = picture(Dice(1, "x"), Size(33, 17))
    at, body = 8, b""
    while at < len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        name, content = data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        assert struct.unpack(">I", data[at + 8 + length : at + 12 + length]) == (zlib.crc32(name + content),)
        body += content if name == b"IDAT" else b""
        at += 12 + length
    assert dimensions(data) == Size(33, 17)
    assert len(zlib.decompress(body)) == 17 * (1 + 17)


def blocks(scan: bytes) -> int:
    """How many blocks a scan has: the code of a mean's length, its bits, and a zero for nothing more."""
    bits, at, count = "".join(f"{byte:08b}" for byte in scan), 0, 0
    lengths = {code: length for length, code in enumerate(pictures._CODES)}
    while len(bits) - at > 7 or "0" in bits[at:]:
        end = next(end for end in range(at + 2, at + 10) if bits[at:end] in lengths)
        at = end + lengths[bits[at:end]] + 1
        assert bits[at - 1] == "0"
        count += 1
    return count


def test_a_jpeg_says_its_size_and_has_every_block() -> None:
    stripes = [[(0, 0, 0), (255, 255, 255)] * 4] * 8  # steps from black to white are spelt with ones only
    data = pictures._jpeg(Size(640, 640), stripes)
    frame = data.index(b"\xff\xc0")
    assert struct.unpack(">HH", data[frame + 5 : frame + 9]) == (640, 640)
    scan = data[data.index(b"\xff\xda") + 14 : -2]
    assert b"\xff\x00" in scan
    assert blocks(scan.replace(b"\xff\x00", b"\xff")) == 3 * 80 * 80
    assert data.endswith(b"\xff\xd9")


def test_a_webp_says_its_size() -> None:
    data = picture(Dice(1, "x"), Size(40, 24), encoding="webp")
    bits = int.from_bytes(data[21:25], "little")
    assert (bits & 0x3FFF, bits >> 14 & 0x3FFF) == (39, 23)
    assert struct.unpack("<I", data[4:8]) == (len(data) - 8,)


def test_a_url_leads_to_the_picture_without_a_key(client: openai.OpenAI) -> None:
    response = client.images.generate(model="dall-e-3", prompt="an otter", size="1792x1024")
    (item,) = response.data or []
    assert item.revised_prompt
    assert "otter" in item.revised_prompt
    assert item.url is not None
    found = httpx.get(item.url)
    assert found.headers["content-type"] == "image/png"
    assert dimensions(found.content) == Size(1792, 1024)


def test_base64_is_the_picture_that_the_url_leads_to(http: httpx.Client) -> None:
    url = generate(http, model="dall-e-2", size="256x256")["data"][0]["url"]
    encoded = generate(http, model="dall-e-2", size="256x256", response_format="b64_json")["data"][0]["b64_json"]
    assert httpx.get(url).content == base64.b64decode(encoded)


def test_the_same_prompt_gets_the_same_picture_and_another_one_another(serve: Serve) -> None:
    servers = [serve(seed=3), serve(seed=3)]
    bodies = [
        httpx.post(
            f"{server.openai_url}/images/generations",
            json={"model": "gpt-image-1", "prompt": prompt},
            headers={"authorization": f"Bearer {KEY}"},
        ).content
        for server, prompt in [(servers[0], "a"), (servers[1], "a"), (servers[1], "b")]
    ]
    assert bodies[0] == bodies[1]
    assert bodies[1] != bodies[2]


@pytest.mark.parametrize(
    "name", ["img-x.png", "img-aaaaaaaaaaaaaaaaaaaaaaaa-9999x9999.png", "img-aaaaaaaaaaaaaaaaaaaaaaaa-0x1.png"]
)
def test_files_that_nobody_drew_do_not_exist(http: httpx.Client, name: str) -> None:
    assert http.get(f"/__files/{name}").status_code == 404


@pytest.mark.parametrize("encoding", ["png", "jpeg", "webp"])
def test_gpt_image_answers_base64_in_the_format_asked_for(http: httpx.Client, encoding: str) -> None:
    body = generate(http, model="gpt-image-1", output_format=encoding, n=2)
    assert body["output_format"] == encoding
    assert [kind_of(base64.b64decode(item["b64_json"])) for item in body["data"]] == [encoding] * 2
    assert body["data"][0] != body["data"][1]


@pytest.mark.parametrize(
    ("parameters", "output"),
    [
        ({}, 4160),
        ({"quality": "low"}, 272),
        ({"quality": "medium", "size": "1024x1536"}, 1584),
        ({"quality": "high", "size": "1536x1024", "n": 3}, 3 * 6208),
    ],
)
def test_gpt_image_bills_the_prompt_and_what_the_guide_says_for_the_picture(
    http: httpx.Client, parameters: Any, output: int
) -> None:
    usage = generate(http, model="gpt-image-1", **parameters)["usage"]
    text = count_text("an otter", model="gpt-4o")
    assert usage["input_tokens_details"] == {"image_tokens": 0, "text_tokens": text}
    assert usage["output_tokens"] == output
    assert usage["total_tokens"] == text + output


def test_a_stream_has_sketches_and_then_the_picture_of_the_plain_reply(client: openai.OpenAI) -> None:
    plain = client.images.generate(model="gpt-image-1", prompt="an otter")
    stream = client.images.generate(model="gpt-image-1", prompt="an otter", stream=True, partial_images=2)
    events = list(stream)
    kinds = [event.type for event in events]
    assert kinds == ["image_generation.partial_image"] * 2 + ["image_generation.completed"]
    assert plain.data is not None
    assert plain.usage is not None
    whole = events[-1]
    assert whole.type == "image_generation.completed"
    assert whole.usage.output_tokens == plain.usage.output_tokens + 2 * 100
    assert events[-1].b64_json == plain.data[0].b64_json
    assert [event.partial_image_index for event in events[:2] if event.type == "image_generation.partial_image"] == [
        0,
        1,
    ]


def test_an_edit_takes_a_form_and_bills_the_picture_given(client: openai.OpenAI) -> None:
    response = client.images.edit(model="gpt-image-1", prompt="add kelp", image=("a.png", PNG, "image/png"))
    assert response.usage is not None
    assert response.usage.input_tokens_details.image_tokens == 65 + 129
    stream = client.images.edit(
        model="gpt-image-1", prompt="add kelp", image=("a.png", PNG, "image/png"), stream=True, partial_images=1
    )
    assert [event.type for event in stream] == ["image_edit.partial_image", "image_edit.completed"]


def test_a_variation_is_dall_e_2s(client: openai.OpenAI) -> None:
    with pytest.warns(DeprecationWarning, match="deprecated|retired"):
        response = client.images.create_variation(image=("a.png", PNG, "image/png"), n=2, size="256x256")
    assert len(response.data or []) == 2


@pytest.mark.parametrize(
    ("parameters", "message", "param", "code"),
    [
        ({"model": "dall-e-2", "quality": "standard"}, "Unknown parameter: 'quality'.", "quality", "unknown_parameter"),
        ({"model": "gpt-image-1", "style": "vivid"}, "Unknown parameter: 'style'.", "style", "unknown_parameter"),
        ({"model": "dall-e-2", "stream": True}, "Unknown parameter: 'stream'.", "stream", "unknown_parameter"),
        ({"model": "dall-e-3", "size": "256x256"}, "The size is not supported by this model.", None, "invalid_size"),
        ({"model": "dall-e-3", "n": 2}, "You must provide n=1 for this model.", None, "invalid_n"),
        ({"model": "gpt-image-1", "size": "1x1"}, "Invalid value: '1x1'.", "size", "invalid_value"),
        ({"model": "gpt-image-1", "quality": "hd"}, "Invalid value: 'hd'.", "quality", "invalid_value"),
        ({"model": "gpt-image-1", "n": 11}, "Invalid 'n': integer above", "n", "integer_above_max_value"),
        ({"model": "dall-e-2", "prompt": "x" * 1001}, "Invalid 'prompt'", "prompt", "string_above_max_length"),
    ],
)  # fmt: skip
def test_parameters_that_the_model_does_not_take_are_refused(
    http: httpx.Client, parameters: Any, message: str, param: str | None, code: str
) -> None:
    error = refusal(http.post(GENERATIONS, json={"prompt": "an otter", **parameters}))
    assert error["message"].startswith(message)
    assert (error["param"], error["code"], error["type"]) == (param, code, "invalid_request_error")


def test_a_request_without_a_model_gets_the_one_that_takes_its_parameters(http: httpx.Client) -> None:
    assert "url" in generate(http)["data"][0]
    assert "b64_json" in generate(http, background="opaque")["data"][0]


@pytest.mark.parametrize(
    ("content", "kind", "code", "message"),
    [
        (PNG, "audio/wav", "unsupported_file_mimetype", "Invalid file 'image': unsupported mimetype ('audio/wav')."),
        (b"no", "image/png", "invalid_image_file", "Invalid image file or mode for image 0"),
        (RGB, "image/png", None, "Invalid input image - format must be in ['RGBA', 'LA', 'L'], got RGB."),
    ],
)  # fmt: skip
def test_files_that_cannot_be_edited_are_refused_as_recorded(
    http: httpx.Client, content: bytes, kind: str, code: str | None, message: str
) -> None:
    error = refusal(upload(http, "edits", content, kind, prompt="x", model="dall-e-2"))
    assert error["message"].startswith(message)
    assert error["code"] == code


def test_an_image_that_is_a_text_or_is_missing_is_refused(http: httpx.Client) -> None:
    error = refusal(http.post("/v1/images/edits", json={"prompt": "x", "model": "dall-e-2", "image": "otter.png"}))
    assert error["message"] == "Invalid type for 'image': expected a file, but got a string instead."
    error = refusal(http.post("/v1/images/edits", json={"prompt": "x", "model": "dall-e-2"}))
    assert error["code"] == "missing_required_parameter"


def test_variations_are_refused_for_other_models(http: httpx.Client) -> None:
    error = refusal(upload(http, "variations", PNG, model="gpt-image-1"))
    assert error["message"] == "Invalid model gpt-image-1. The model argument should be left blank."


def test_azure_adds_the_verdicts_of_its_filter(azure: openai.AzureOpenAI, http: httpx.Client) -> None:
    response = azure.images.generate(model="dall-e-3", prompt="an otter")
    assert response.data
    (item,) = http.post(AZURE, json={"prompt": "an otter"}).json()["data"]
    assert item["content_filter_results"]["violence"] == {"filtered": False, "severity": "safe"}
    assert item["prompt_filter_results"]["profanity"] == {"detected": False, "filtered": False}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"model": "gpt-image-2.5-flare", "prompt": None, "size": 5, "n": "x", "quality": [], "output_format": "svg"},
        {"stream": True, "prompt": "x", "partial_images": "many"},
    ],
)
def test_a_lenient_server_draws_anything(serve: Serve, body: Any) -> None:
    server = serve(lenient=True)
    headers = {"authorization": f"Bearer {KEY}"}
    assert httpx.post(f"{server.openai_url}/images/generations", json=body, headers=headers).status_code == 200
    files = {"image": ("upload", b"Example data", "application/octet-stream")}
    assert httpx.post(f"{server.openai_url}/images/edits", files=files, headers=headers).status_code == 200


@pytest.mark.parametrize(
    ("model", "kind", "message"),
    [
        ("bad model", "image_generation_user_error", "The model 'bad model' does not exist."),
        (
            "o4-mini",
            "invalid_request_error",
            (
                "Invalid value: 'o4-mini'. Supported values are: 'gpt-image-1', 'gpt-image-0721-mini-alpha',"
                " 'dall-e-2', and 'dall-e-3'."
            ),
        ),
    ],
)
def test_what_paints_nothing_is_refused_as_recorded(http: httpx.Client, model: str, kind: str, message: str) -> None:
    response = http.post(GENERATIONS, json={"model": model, "prompt": "an otter"})
    assert response.status_code == 400
    assert response.json()["error"] == {"message": message, "type": kind, "param": "model", "code": "invalid_value"}
