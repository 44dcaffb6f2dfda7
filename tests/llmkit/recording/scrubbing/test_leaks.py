from __future__ import annotations

import base64
import gzip
import hashlib
import json
import pickle
import time
import uuid
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit.recording import cassette
from llmkit.recording.errors import SecretLeak
from llmkit.recording.interaction import Interaction, Request, Response
from llmkit.recording.scrubbing import leaks
from llmkit.recording.scrubbing.leaks import Allowed, Leak
from llmkit.recording.scrubbing.scrub import Scrubber

CORPUS = Path(__file__).parents[4] / "shared" / "data" / "cassettes"
TAIL = "AbC123def456GHI789jkl0mnop"
PEM = "-----BEGIN RSA " + f"PRIVATE KEY-----\nMIIEpAIBAAKCAQEA{TAIL}\n{TAIL}==\n-----END RSA PRIVATE KEY-----"
KEYS = [
    f"sk-{TAIL}",
    f"sk-proj-{TAIL}",
    f"sk-svcacct-{TAIL}",
    f"sk-ant-api03-{TAIL}",
    f"ek_{TAIL}",
    f"ghp_{TAIL}",
    f"gho_{TAIL}",
    f"github_pat_{TAIL}",
    f"glpat-{TAIL}",
    "AKIA" + "IOSFODNN7EXAMPLE",
    f"xoxb-123456789012-{TAIL}",
    f"xoxp-{TAIL}",
    f"AIza{TAIL}{TAIL}"[:39],
    f"sk_live_{TAIL}",
    f"hf_{TAIL}{TAIL}",
    f"eyJ{TAIL}.eyJ{TAIL}.{TAIL}",
    PEM,
]
HEX = "9f86d081884c7d659a2feaa0c55ad015"
AWS = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYzz9KEYKEY0"


def replied(body: bytes, *, headers: dict[str, list[str]] | None = None) -> Interaction:
    return Interaction(
        request=Request(method="POST", uri="https://a.test/v1/x"),
        response=Response(status=200, headers=headers or {}, body=body),
    )


def asked(
    *, uri: str = "https://a.test/", headers: dict[str, list[str]] | None = None, body: bytes = b""
) -> Interaction:
    return Interaction(
        request=Request(method="POST", uri=uri, headers=headers or {}, body=body), response=Response(status=200)
    )


def chat(text: str) -> bytes:
    return json.dumps({"id": "chatcmpl-9", "choices": [{"message": {"content": text}}]}).encode()


def stream(*pieces: str) -> bytes:
    events = ({"id": "chatcmpl-9", "choices": [{"index": 0, "delta": {"content": piece}}]} for piece in pieces)
    return b"".join(f"data: {json.dumps(event)}\n\n".encode() for event in events)


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key[:11])
@pytest.mark.parametrize("around", ["{}", "key:\n{}\n", "({}).", "`{}`", "密钥{}です", 'say "{}"'])
def test_a_key_in_a_reply_is_a_leak(key: str, around: str) -> None:
    (leak,) = leaks.find(replied(chat(around.format(key))))
    assert leak.where == "response.body choices[0].message.content"
    assert leak.digest == hashlib.sha256("".join(key.split()).encode()).hexdigest()[:12]


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key[:11])
@given(data=st.data())
def test_a_key_that_is_split_over_deltas_is_one_leak(key: str, data: st.DataObject) -> None:
    text = f"here: {key} bye"
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    pieces = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    (leak,) = leaks.find(replied(stream(*pieces)))
    assert leak.where == "response.body choices[0].delta.content"
    assert leak == leaks.find(replied(stream(text)))[0]


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key[:11])
def test_a_key_in_a_prompt_is_a_leak(key: str) -> None:
    (leak,) = leaks.find(asked(body=json.dumps({"messages": [{"content": key}]}).encode()))
    assert leak.where == "request.body messages[0].content"


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key[:11])
def test_the_scrubber_leaves_an_unknown_key_for_the_scan(key: str) -> None:
    reply = Scrubber().response(replied(chat(key)).response)
    assert len(leaks.find(Interaction(request=Request(method="GET", uri="/"), response=reply))) == 1


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key[:11])
def test_nothing_that_a_leak_shows_has_the_secret(key: str) -> None:
    found = leaks.find(replied(json.dumps({key: {"key": key}}).encode()))
    shown = f"{found!r} {[str(leak) for leak in found]} {SecretLeak(found)} {pickle.dumps(found)!r}"
    assert not any(part in shown for part in (TAIL[:6], key))
    assert hashlib.sha256("".join(key.split()).encode()).hexdigest()[:12] in shown


def test_a_name_that_is_the_secret_is_not_shown() -> None:
    (leak,) = leaks.find(replied(json.dumps({HEX: {"api_key": HEX}}).encode()))
    assert leak.where == "response.body ….api_key"


def test_whose_account_it_is_is_no_secret() -> None:
    headers = {"openai-organization": ["user-AbC123def456GHI789"], "openai-project": ["proj_AbC123def456GHI789jkl0m"]}
    assert leaks.find(replied(b"", headers=headers)) == []


@pytest.mark.parametrize(
    ("interaction", "where"),
    [
        (asked(uri=f"https://a.test/?token={KEYS[0]}"), "uri ?token"),
        (asked(uri=f"https://a.test/?my_api_key={HEX}"), "uri ?my_api_key"),
        (asked(uri=f"https://a.test/bot/{KEYS[0]}/send"), "uri"),
        (asked(headers={"X-Foo": [KEYS[0]]}), "request.headers x-foo"),
        (replied(b"", headers={"X-Upstream-Api-Key": [HEX]}), "response.headers x-upstream-api-key"),
        (replied(gzip.compress(KEYS[0].encode())), "response.body"),
        (replied(KEYS[0].encode("utf-16")), "response.body"),
        (replied(f'{{"a": "{KEYS[0]}"}}'.replace("-", "\\u002d").encode()), "response.body a"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_leak_names_its_place(interaction: Interaction, where: str) -> None:
    assert [leak.where for leak in leaks.find(interaction)] == [where]


@pytest.mark.parametrize(
    "text",
    [
        f'{{"openai_api_key": "{HEX}"}}',
        json.dumps({"arguments": json.dumps({"azure_api_key": HEX})}),
        f"AZURE_OPENAI_API_KEY={HEX}",
        f"AZURE_OPENAI_API_KEY={TAIL * 3}{TAIL[:6]}",
        f'client = AzureOpenAI(api_key="{HEX}")',
        f"curl -H 'api-key: {HEX}'",
        f"Authorization: Bearer {HEX}",
        f"aws_secret_access_key = {AWS}",
        f"a=1&client_secret={HEX}",
        f"AccountName=x;AccountKey={AWS};",
    ],
)
def test_what_has_entropy_where_a_credential_stands_is_a_leak(text: str) -> None:
    assert [leak.kind for leak in leaks.find(replied(text.encode()))] == [leaks.CREDENTIAL]
    assert [leak.kind for leak in leaks.find(replied(chat(text)))] == [leaks.CREDENTIAL]


@pytest.mark.parametrize(
    "text",
    [
        "sk-learn-is-a-good-library and task-1234567890abcdef1234",
        "sk-REDACTED sk-proj-REDACTED ghp_REDACTED0123456789",
        "sk-pro**************************iUMA",
        "sk-proj-xxxxxxxxxxxxxxxxxxxxxxxx ghp_your_token_goes_here glpat-YOUR-TOKEN-GOES-HERE sk-...",
        "chatcmpl-AbC123def456GHI789jkl0mnop call_AbC123def456GHI789jkl0mnop fp_9f86d08188",
        f"{uuid.UUID(int=7 << 90)} {HEX}",
        "A PEM file begins with -----BEGIN PRIVATE KEY----- and ends with -----END PRIVATE KEY-----",
        'api_key = os.environ["OPENAI_API_KEY"]; password: str = Field(min_length=8)',
        'api_key="your-api-key-0123456789abcdef", api_key=<0123456789abcdef>, api_key=settings.openai_api_key_2',
        '{"api_key": "REDACTED", "password": "dummy-key-for-replay-0123456789abc", "max_tokens": 1234567890123456}',
        '{"next_page_token": "AbC123def456GHI789jkl0mnop", "signature": "AbC123def456GHI789jkl0mnop"}',
        '{"api_key": "a1b2a1b2a1b2a1b2a1b2a1b2"}',
        '{"prompt_cache_key": "AbC123def456GHI789jkl0mnop"}',
        "secret_key = config.SecretKey256BitsProvider.load()",
        "sk-proj-your-key-here-123 xoxb-your-token-here1",
    ],
)
def test_what_only_looks_like_a_secret_is_none(text: str) -> None:
    assert leaks.find(replied(text.encode())) == []
    assert leaks.find(replied(chat(text))) == []


PEM_LINES = PEM.splitlines()


@pytest.mark.parametrize(
    "text",
    [
        "".join(f"> {line}\n" for line in PEM_LINES),
        "".join(f'    "{line}\\n"\n' for line in PEM_LINES),
        " +\n".join(f"'{line}\\n'" for line in PEM_LINES),
        "".join(f"{number:3} | {line}\n" for number, line in enumerate(PEM_LINES)),
        "".join(f"{number}: {line}\n" for number, line in enumerate(PEM_LINES)),
    ],
    ids=["quotation", "Python", "JavaScript", "numbered", "counted"],
)
def test_a_private_key_is_found_as_a_chat_shows_it(text: str) -> None:
    assert [leak.kind for leak in leaks.find(replied(chat(text)))] == ["private key"]
    assert [leak.kind for leak in leaks.find(replied(stream(*text)))] == ["private key"]


def test_what_stands_beside_a_redaction_is_judged_by_itself() -> None:
    assert len(leaks.find(replied(chat(f"sk-proj-REDACTED{TAIL}")))) == 1
    assert len(leaks.find(replied(chat(f'api_key = "REDACTED{HEX}"')))) == 1


@pytest.mark.parametrize("name", ["token", "key"])
def test_a_random_value_of_a_field_that_is_called_a_key_is_a_leak(name: str) -> None:
    for value in (TAIL, HEX):
        assert [leak.kind for leak in leaks.find(replied(json.dumps({name: value}).encode()))] == [leaks.CREDENTIAL]
    for value in ("uploads/report.pdf", str(uuid.UUID(hex=HEX)), " unbelievable", "created_at_desc_nulls"):
        assert leaks.find(replied(json.dumps({name: value}).encode())) == []


def test_a_key_in_the_name_of_a_test_is_a_leak() -> None:
    found = leaks.find(replace(replied(b""), test=f"test_x.py::test_a[{KEYS[1]}]"))
    assert [leak.where for leak in found] == ["test"]


@pytest.mark.parametrize("key", [f"sk-{TAIL}", f"ek_{TAIL}", f"hf_{TAIL}{TAIL}"])
def test_what_has_the_format_of_a_key_amid_long_data_is_none(key: str) -> None:
    data = hashlib.sha256(b"").hexdigest() * 4
    assert leaks.find(replied(json.dumps({"encrypted_content": f"{data}-{key}"}).encode())) == []
    assert leaks.find(replied(json.dumps({"encrypted_content": f"a-{key}{data}"}).encode())) == []
    assert len(leaks.find(replied(chat(f"a-{key}")))) == 1


@given(st.binary(max_size=3000))
def test_images_and_vectors_are_no_leaks(body: bytes) -> None:
    image = base64.b64encode(hashlib.shake_256(body).digest(3000)).decode()
    assert leaks.find(replied(json.dumps({"b64_json": image, "embedding": [0.123456789] * 50}).encode())) == []


@given(st.text())
def test_any_text_can_be_scanned(text: str) -> None:
    leaks.find_in_text(text)
    leaks.find(asked(uri=text, headers={"authorization": [text]}, body=text.encode("utf-8", "replace")))


def test_a_text_is_scanned_by_line() -> None:
    assert [leak.where for leak in leaks.find_in_text(f"a\nb {KEYS[0]}\n{PEM}")] == ["line 3", "line 2"]


def test_a_secret_is_told_once_a_place() -> None:
    assert len(leaks.find(replied(chat(f"{KEYS[1]} {KEYS[1]} {KEYS[2]}")))) == 2


@pytest.mark.parametrize("entry", [hashlib.sha256(KEYS[1].encode()).hexdigest()[:12], KEYS[1], r"sk-proj-\w+"])
def test_what_is_allowed_is_no_leak(entry: str) -> None:
    allowed = Allowed.parse(["# fixtures", "", f"{entry}: the documentation's example: revoked"])
    assert leaks.find(replied(chat(KEYS[1])), allowed=allowed) == []
    assert leaks.find_in_text(KEYS[1], allowed=allowed) == []
    assert len(leaks.find(replied(chat(KEYS[3])), allowed=allowed)) == 1
    assert dict(allowed.reasons) == {entry: "the documentation's example: revoked"}


@pytest.mark.parametrize("line", [KEYS[1], f"{KEYS[1]}:", f"{KEYS[1]}: ", ": a reason"])
def test_an_exception_without_a_reason_is_refused_and_not_shown(line: str) -> None:
    with pytest.raises(ValueError, match=r"allowed secret 1 .* has no reason") as caught:
        Allowed.parse([line])
    assert TAIL not in str(caught.value)


def test_an_exception_for_everything_is_refused() -> None:
    with pytest.raises(ValueError, match=r"allowed secret 2 .* matches anything"):
        Allowed.parse(["0123456789ab: known", ".*: whatever"])


def test_the_error_says_what_leaks_where_and_what_to_do() -> None:
    leak = Leak("AWS key id", "response.body a", "0123456789ab")
    error = SecretLeak([leak], Path("cassettes/x.yaml"))
    assert str(error).splitlines()[:2] == [
        "1 secret found, nothing was written to cassettes/x.yaml:",
        "  AWS key id in response.body a (digest 0123456789ab)",
    ]
    assert "llmkit_allowed_secrets = <digest>: <reason>" in str(error)
    assert pickle.loads(pickle.dumps(error)).leaks == (leak,)


def test_a_long_stream_is_scanned_in_linear_time() -> None:
    body = stream(*(f"word {number} " for number in range(10_000)), KEYS[1][:12], KEYS[1][12:])
    began = time.perf_counter()
    assert len(leaks.find(replied(body))) == 1
    assert time.perf_counter() - began < 10


@pytest.mark.skipif(not CORPUS.is_dir(), reason="the recorded public cassettes are not there")
def test_recorded_public_traffic_has_no_leaks_once_it_is_scrubbed() -> None:
    found = []
    for path in CORPUS.rglob("*.yaml"):
        for one in cassette.load(path):
            scrubbed = Interaction(request=Scrubber().request(one.request), response=Scrubber().response(one.response))
            found += [(path.name, str(leak)) for leak in leaks.find(scrubbed)]
    assert found == []
