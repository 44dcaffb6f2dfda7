from __future__ import annotations

import base64
import gzip
import json
import time
from collections.abc import Callable
from urllib.parse import quote

import brotli
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from llmkit.recording.interaction import Request, Response
from llmkit.recording.scrubbing.scrub import REDACTED, Scrubber, credentials, realigned

CANARY = "canary-7f3a9b1c2d"
SECRETS = st.sampled_from([CANARY, "sk-proj-AbC123def456GHI789", "org-9aB8cD7eF6gH5iJ4kL3m", "plain words"])


def request(
    *, uri: str = "https://a.test/v1/x", headers: dict[str, list[str]] | None = None, body: bytes = b""
) -> Request:
    return Request(method="POST", uri=uri, headers=headers or {}, body=body)


@given(st.lists(st.text() | SECRETS).map("".join))
def test_scrubbing_twice_is_scrubbing_once(text: str) -> None:
    scrubber = Scrubber().knowing([CANARY])
    once = scrubber.request(request(uri=f"https://a.test/?key={CANARY}", body=text.encode("utf-8", "replace")))
    assert scrubber.request(once) == once


@given(st.text(), st.text())
def test_a_known_secret_never_survives_in_a_text(before: str, after: str) -> None:
    assert CANARY not in Scrubber().knowing([CANARY]).text(f"{before}{CANARY}{after}")


@pytest.mark.parametrize(
    "name",
    [
        "authorization", "Api-Key", "x-api-key", "cookie", "proxy-authorization", "openai-organization",
        "openai-project", "ocp-apim-subscription-key", "x-goog-api-key", "apikey", "x-access-token", "Helicone-Auth",
        "x-portkey-api-key",
        "x-functions-key", "cf-aig-authorization", "x-ms-access-token", "x-openai-api-key", "X-Amz-Security-Token",
    ],
)  # fmt: skip
def test_the_value_of_a_credential_header_goes_whatever_its_spelling(name: str) -> None:
    assert Scrubber().request(request(headers={name: ["short"]})).headers == {name: [REDACTED]}


@pytest.mark.parametrize("name", ["x-ratelimit-remaining-tokens", "content-type", "x-request-id", "openai-version"])
def test_other_headers_keep_their_values(name: str) -> None:
    assert Scrubber().request(request(headers={name: ["7"]})).headers == {name: ["7"]}


@pytest.mark.parametrize("name", ["Location", "Content-Location", "operation-location", "Referer"])
def test_a_url_in_a_header_loses_its_credentials(name: str) -> None:
    reply = Response(status=302, headers={name: ["/v1/next?sig=abc&api_key=def&page=2"]})
    assert Scrubber().response(reply).headers == {name: ["/v1/next?sig=REDACTED&api_key=REDACTED&page=2"]}


def test_cookies_that_a_server_sets_go() -> None:
    assert Scrubber().response(Response(status=200, headers={"Set-Cookie": ["a=b"]})).headers == {}


def test_headers_that_differ_from_machine_to_machine_go() -> None:
    headers = {"Host": ["h"], "User-Agent": ["x"], "X-Stainless-OS": ["Linux"], "Accept": ["*/*"]}
    assert Scrubber().request(request(headers=headers)).headers == {"Accept": ["*/*"]}


@pytest.mark.parametrize(
    "name", ["api_key", "subscription-key", "API-Key", "access_token", "clientSecret", "x-api-key", "X-Amz-Signature"]
)
def test_the_value_of_a_credential_query_key_goes(name: str) -> None:
    assert Scrubber().uri(f"https://a.test/x?{name}=s3cret&b=1") == f"https://a.test/x?{name}={REDACTED}&b=1"


@pytest.mark.parametrize("name", ["code", "key", "token", "page_token_hint", "q"])
def test_ordinary_query_keys_keep_their_values(name: str) -> None:
    assert Scrubber().uri(f"https://a.test/air?{name}=JFK") == f"https://a.test/air?{name}=JFK"


def test_a_query_without_credentials_keeps_its_spelling() -> None:
    assert Scrubber().uri("https://a.test/x?a=%7E&b") == "https://a.test/x?a=%7E&b"


def test_user_info_goes() -> None:
    assert Scrubber().uri("https://user:pass@a.test/x") == "https://a.test/x"


@pytest.mark.parametrize(
    "sent",
    [
        request(headers={"Authorization": [f"Bearer {CANARY}"]}),
        request(headers={"api-key": [CANARY]}),
        request(uri=f"https://a.test/?api_key={CANARY}"),
        request(uri=f"https://me:{CANARY}@a.test/"),
        request(headers={"Cookie": [f"first={CANARY}; second=x"]}),
        request(body=f"grant_type=x&client_secret={CANARY}".encode()),
        request(body=f'{{"api_key": "{CANARY}"}}'.encode()),
    ],
)
def test_what_a_request_sends_as_a_credential_goes_from_the_echo_in_its_reply(sent: Request) -> None:
    echo = Response(status=401, headers={"x-echo": [CANARY]}, body=f'{{"error": "bad key {CANARY}"}}'.encode())
    assert CANARY not in repr(Scrubber().request(sent))
    assert CANARY not in repr(Scrubber().knowing(credentials(sent)).response(echo))


@pytest.mark.parametrize("spelling", ["canary%2F7f3a%2B9b1c%3D", "canary/7f3a%2B9b1c%3D", "canary%2f7f3a%2b9b1c%3d"])
def test_a_secret_goes_also_where_it_is_percent_encoded(spelling: str) -> None:
    assert "canary" not in Scrubber().knowing(["canary/7f3a+9b1c="]).text(f"https://a.test/?x={spelling}")


def test_a_cookie_that_the_server_sets_goes_from_its_body_too() -> None:
    reply = Response(status=200, headers={"Set-Cookie": [f"sid={CANARY}; Path=/"]}, body=CANARY.encode())
    assert Scrubber().response(reply) == Response(status=200, body=REDACTED.encode())


@pytest.mark.parametrize("around", [b"\xff\xfb\x90", "clé ".encode("latin-1"), b"\x89PNG\r\n"])
def test_a_secret_goes_from_bytes_that_are_no_text(around: bytes) -> None:
    scrubbed = Scrubber().knowing([CANARY]).body(around + CANARY.encode() + around)
    assert scrubbed == around + REDACTED.encode() + around


def test_a_credential_field_of_a_multipart_body_goes() -> None:
    body = b'--b\r\nContent-Disposition: form-data; name="api_key"\r\n\r\nhunter2\r\n--b--\r\n'
    assert Scrubber().body(body) == body.replace(b"hunter2", b"REDACTED")


def test_a_credential_inside_a_json_text_inside_json_goes() -> None:
    body = json.dumps({"arguments": json.dumps({"api_key": "hunter2", "city": "Bern"})})
    assert json.loads(json.loads(Scrubber().body(body.encode()))["arguments"]) == {"api_key": REDACTED, "city": "Bern"}


def test_values_of_the_environment_go() -> None:
    scrubber = Scrubber.from_environment({"AZURE_OPENAI_API_KEY": CANARY, "OPENAI_ORG_ID": "org-12345678"})
    assert scrubber.text(f"{CANARY} of org-12345678") == f"{REDACTED} of {REDACTED}"


@pytest.mark.parametrize("word", ["any", "anything", "test", ""])
def test_a_word_used_as_a_key_does_not_mangle_texts(word: str) -> None:
    text = "does anything in any test match"
    assert Scrubber.from_environment({"OPENAI_API_KEY": word}).text(text) == text


@pytest.mark.parametrize(
    "value", ["hunter2", "Tr0ub4", "correct horse battery", "letmeinletmein", "LetMeIn", "12345678", " canary-7f "]
)
def test_every_value_of_a_credential_variable_goes(value: str) -> None:
    assert Scrubber.from_environment({"DB_PASSWORD": value}).text(f"<{value}>").strip("< >") == REDACTED


@pytest.mark.parametrize(
    "value",
    [
        "production",
        "user_id",
        "1000000",
        "changeme",
        "your-api-key-here",
        "not-needed",
        "dummy-key-for-replay",
        "a1b2c",
    ],
)
def test_a_plain_word_or_a_placeholder_in_a_credential_variable_stays(value: str) -> None:
    assert Scrubber.from_environment({"MY_TOKEN": value}).text(f"<{value}>") == f"<{value}>"


@pytest.mark.parametrize(
    ("text", "scrubbed"),
    [
        ("provided: sk-pro**************************iUMA.", "provided: sk-REDACTED."),
        ("in organization org-AbCdEf0123456789AbCdEf01 on", "in organization org-REDACTED on"),
        ("proj_AbCdEf0123456789AbCdEf01", "proj_REDACTED"),
        ("use sk-learn-is-a-good-library", "use sk-learn-is-a-good-library"),
    ],
)
def test_masked_keys_organizations_and_projects_go_by_their_shape(text: str, scrubbed: str) -> None:
    assert Scrubber().text(text) == scrubbed


def test_credential_fields_of_a_json_body_go_and_it_stays_json() -> None:
    body = b'{"access_token": "a\\"b", "expires_in": 3599, "API_KEY":"x", "note": "the password is a word"}'
    assert json.loads(Scrubber().body(body)) == {
        "access_token": REDACTED, "expires_in": 3599, "API_KEY": REDACTED, "note": "the password is a word",
    }  # fmt: skip


def test_credential_fields_of_a_form_go() -> None:
    body = b"grant_type=client_credentials&client_secret=x%2Fy&scope=z"
    assert Scrubber().body(body) == b"grant_type=client_credentials&client_secret=REDACTED&scope=z"


@pytest.mark.parametrize(
    "text",
    [
        "next=https%3A%2F%2Fa%2F%3Fapi_key%3Dhunter2%26b%3D1",
        "a=1;api_key=hunter2",
        "see https://a.test/x?access_token=hunter2 there",
        "grant_type=jwt&assertion=hunter2",
    ],
)
def test_a_credential_in_a_url_inside_a_text_goes(text: str) -> None:
    scrubbed = Scrubber().body(text.encode()).decode()
    assert "hunter2" not in scrubbed
    assert scrubbed.replace(REDACTED, "hunter2") == text


def test_a_credential_in_the_fragment_of_a_redirect_goes() -> None:
    reply = Response(status=302, headers={"Location": ["https://a.test/cb#access_token=hunter2&state=1"]})
    assert Scrubber().response(reply).headers == {"Location": ["https://a.test/cb#access_token=REDACTED&state=1"]}


def test_the_password_of_basic_authentication_goes_from_the_echo() -> None:
    basic = base64.b64encode(f"bob:{CANARY}".encode()).decode()
    sent = request(headers={"Authorization": [f"Basic {basic}"]})
    echo = Response(status=200, body=f"{CANARY} {basic}".encode())
    scrubbed = repr(Scrubber().knowing(credentials(sent)).response(echo))
    assert CANARY not in scrubbed
    assert basic not in scrubbed


@pytest.mark.parametrize("name", ["key", "token", "code"])
def test_an_ambiguous_query_key_loses_what_looks_like_a_secret_and_stays_comparable(name: str) -> None:
    one, other = (Scrubber().uri(f"https://a.test/?{name}={page * 8}") for page in ("a1", "b2"))
    assert one.startswith(f"https://a.test/?{name}=REDACTED-")
    assert one != other


@pytest.mark.parametrize("text", ["2026-11-20", "dark-mode", "created_at", "Clause 4 is void"])
def test_ordinary_values_of_cookies_variables_and_fields_stay(text: str) -> None:
    scrubber = Scrubber.from_environment({"S_SORT_KEY": text})
    sent = request(headers={"Cookie": [f"consent={text}"]}, body=json.dumps({"assertion": text}).encode())
    assert json.loads(scrubber.request(sent).body) == {"assertion": text}


@pytest.mark.parametrize(
    "name", ["OPENAI_API_KEY", "AZURE_OPENAI_KEY", "GITHUB_PAT", "PGPASSWORD", "my_api_key", "TOKEN"]
)
def test_variables_that_hold_credentials_are_known_by_their_names(name: str) -> None:
    assert CANARY not in Scrubber.from_environment({name: CANARY}).text(f"<{CANARY}>")


def test_a_wrapped_client_secret_goes() -> None:
    body = b'{"client_secret": {"value": "hunter2", "expires_at": 1}}'
    assert Scrubber().body(body) == body.replace(b"hunter2", b"REDACTED")


def test_an_ephemeral_key_of_the_realtime_api_goes() -> None:
    body = b'{"value": "ek_68af296e8e408191a1120ab6383263c2", "expires_at": 1}'
    assert Scrubber().body(body) == b'{"value": "REDACTED", "expires_at": 1}'


@given(st.binary())
def test_bytes_without_secrets_pass(body: bytes) -> None:
    assert Scrubber().body(body) == body


@pytest.mark.parametrize("key", ["sk-proj-AbC123def456GHI789", "ghp_AbC123def456GHI789jkl", "AKIAIOSFODNN7EXAMPLE"])
def test_a_key_that_nothing_names_stays_for_the_scan_to_find(key: str) -> None:
    assert Scrubber().text(f"use {key} here") == f"use {key} here"


SPECIAL = 'canary/7f3a+9b"1c=='


def _json_escaped(text: str) -> str:
    return json.dumps(text)[1:-1]


def _unicode_escaped(text: str) -> str:
    return "".join(f"\\u{ord(sign):04x}" for sign in text)


def _percent_escaped(text: str) -> str:
    return "".join(f"%{ord(sign):02x}" for sign in text)


@pytest.mark.parametrize(
    "disguise",
    [
        str,
        quote,
        lambda text: quote(text, safe=""),
        lambda text: quote(text, safe="").lower(),
        lambda text: quote(quote(text, safe=""), safe=""),
        _percent_escaped,
        lambda text: quote(_percent_escaped(text)),
        _json_escaped,
        lambda text: _json_escaped(_json_escaped(text)),
        lambda text: _json_escaped(text).replace("/", "\\/"),
        lambda text: _json_escaped(text).replace("+", "\\u002B"),
        _unicode_escaped,
        lambda text: _json_escaped(_unicode_escaped(text)),
    ],
)
def test_a_known_secret_goes_however_it_is_escaped(disguise: Callable[[str], str]) -> None:
    assert Scrubber().knowing([SPECIAL]).text(f"<{disguise(SPECIAL)}>") == f"<{REDACTED}>"


@given(st.binary(max_size=7), st.binary(max_size=7), st.booleans())
def test_a_known_secret_goes_from_base64_at_any_alignment(before: bytes, after: bytes, is_urlsafe: bool) -> None:
    encode = base64.urlsafe_b64encode if is_urlsafe else base64.b64encode
    encoded = encode(before + SPECIAL.encode() + after).decode()
    start, end = len(before) * 4 // 3, -(-(len(before) + len(SPECIAL)) * 4 // 3)
    rest = encoded[end:].lstrip("=")
    assert Scrubber().knowing([SPECIAL]).text(encoded).rstrip("=") == f"{encoded[:start]}{REDACTED}{rest}".rstrip("=")


@given(st.text(alphabet="!#$%&'()*+,-./:;<=>?@[\\]^_`{|}~aZ9é", min_size=1), st.text(alphabet="ab %\\u0", max_size=9))
def test_a_secret_of_any_signs_goes_from_every_plain_encoding(tail: str, around: str) -> None:
    secret = f"canary7f3a9b{tail}"
    scrubber = Scrubber().knowing([secret])
    for spelled in (secret, quote(secret, safe=""), json.dumps(secret)[1:-1]):
        assert "canary7f3a9b" not in scrubber.text(f"{around} {spelled} {around}")


def test_text_beside_an_escaped_secret_stays_as_it_is() -> None:
    text = f"a%20b%2Bc \\u0041 {quote(SPECIAL, safe='')} a%20b \\u002b\\n"
    assert Scrubber().knowing([SPECIAL]).text(text) == text.replace(quote(SPECIAL, safe=""), REDACTED)


@pytest.mark.parametrize(
    ("coding", "compress"),
    [("gzip", gzip.compress), ("br", brotli.compress), ("zstd", zstandard.ZstdCompressor().compress)],
)
def test_a_compressed_request_is_kept_decoded_and_without_its_secrets(
    coding: str, compress: Callable[[bytes], bytes]
) -> None:
    sent = request(headers={"Content-Encoding": [coding]}, body=compress(f'{{"a": "{CANARY}"}}'.encode()))
    kept = Scrubber().knowing([CANARY]).request(sent)
    assert kept == request(body=b'{"a": "REDACTED"}')
    assert Scrubber().request(kept) == kept


def test_a_compressed_credential_field_of_a_request_is_known_in_its_reply() -> None:
    sent = request(headers={"Content-Encoding": ["gzip"]}, body=gzip.compress(f'{{"api_key": "{CANARY}"}}'.encode()))
    assert CANARY in credentials(sent)


@pytest.mark.parametrize("compress", [gzip.compress, zstandard.ZstdCompressor().compress])
def test_a_secret_goes_from_a_body_that_only_looks_compressed(compress: Callable[[bytes], bytes]) -> None:
    assert Scrubber().knowing([CANARY]).body(compress(CANARY.encode())) == REDACTED.encode()


def test_a_compressed_body_without_secrets_stays_compressed() -> None:
    body = gzip.compress(b"a file")
    assert Scrubber().knowing([CANARY]).body(body) == body


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_a_secret_goes_from_utf_16(encoding: str) -> None:
    scrubbed = Scrubber().knowing([CANARY]).body(f'{{"a": "{CANARY}ü"}}'.encode(encoding))
    assert scrubbed.decode(encoding) == '{"a": "REDACTEDü"}'


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_a_secret_goes_from_utf_16_that_begins_with_other_characters(encoding: str) -> None:
    scrubbed = Scrubber().knowing([CANARY]).body(f"密钥密钥 {CANARY}".encode(encoding))
    assert scrubbed.decode(encoding) == "密钥密钥 REDACTED"


@pytest.mark.parametrize("before", range(40, 64))
@pytest.mark.parametrize("end", ["\n", "\r\n", "\\n", "\\r\\n", "\\\\n"])
def test_a_secret_goes_from_base64_that_is_broken_into_lines(before: int, end: str) -> None:
    raw = b"." * before + CANARY.encode() + b"." * 80
    lines = base64.encodebytes(raw).decode().splitlines()
    assert base64.b64encode(CANARY.encode()).decode() not in lines
    scrubbed = Scrubber().knowing([CANARY]).text(f"a {end.join(lines)} b")
    assert scrubbed.count(REDACTED) == 1
    assert scrubbed.startswith(f"a {lines[0][:40]}")
    assert scrubbed.endswith(f"{lines[-1]} b")
    kept = scrubbed.replace(end, "").partition(REDACTED)
    assert len(kept[0]) - 2 <= before * 4 / 3 <= len(kept[0]) + 2


def sse(*events: object) -> bytes:
    return b"".join(f"data: {json.dumps(event)}\n\n".encode() for event in events)


def content(text: str, index: int = 0) -> dict[str, object]:
    return {"id": "c", "choices": [{"index": index, "delta": {"content": text}}]}


def test_a_secret_that_is_split_over_events_goes_from_all_of_them() -> None:
    body = sse(content("your key: canary-"), content("7f3a"), content("9b1c2d, \u00fc"), content("bye"))
    scrubbed = Scrubber().knowing([CANARY]).body(body)
    assert scrubbed == sse(content("your key: REDACTED"), content(""), content(", \u00fc"), content("bye"))


def test_of_choices_that_interleave_each_is_joined_by_itself() -> None:
    body = sse(content("canary-7f"), content("canary-7f", 1), content("3a9b1c2d"), content("other", 1))
    scrubbed = Scrubber().knowing([CANARY]).body(body)
    assert scrubbed == sse(content(REDACTED), content("canary-7f", 1), content(""), content("other", 1))


def test_a_credential_in_arguments_that_are_streamed_goes() -> None:
    def call(text: str) -> dict[str, object]:
        return {"choices": [{"delta": {"tool_calls": [{"index": 0, "function": {"arguments": text}}]}}]}

    scrubbed = Scrubber().body(sse(call('{"api_'), call('key": "hun'), call('ter2", "a": 1}')))
    assert scrubbed == sse(call('{"api_'), call('key": "REDACTED'), call('", "a": 1}'))


@given(st.integers(1, len(CANARY) - 1), st.integers(1, len(CANARY) - 1))
def test_scrubbing_a_stream_twice_is_scrubbing_it_once(one: int, other: int) -> None:
    scrubber = Scrubber().knowing([CANARY])
    first, last = sorted((one, other))
    body = sse(content(f"a{CANARY[:first]}"), content(CANARY[first:last]), content(f"{CANARY[last:]}{CANARY}"))
    once = scrubber.body(body)
    assert scrubber.body(once) == once
    assert once.count(REDACTED.encode()) == 2


def test_a_long_stream_is_scrubbed_in_linear_time() -> None:
    body = sse(*(content(f"word {number} ") for number in range(10_000)), content("canary-"), content("7f3a9b1c2d"))
    began = time.perf_counter()
    assert Scrubber().knowing([CANARY]).body(body).count(REDACTED.encode()) == 1
    assert time.perf_counter() - began < 5


def test_the_chunks_of_a_reply_keep_their_lines_when_a_secret_goes() -> None:
    lines = [f"data: {CANARY}\n\n".encode(), b"data: b\n\n", f"data: x {CANARY}".encode()]
    chunks = tuple((number * 10, len(line)) for number, line in enumerate(lines))
    reply = Scrubber().knowing([CANARY]).response(Response(status=200, body=b"".join(lines), chunks=chunks))
    assert [(at_ms, length) for at_ms, length in reply.chunks] == [(0, 16), (10, 9), (20, 16)]


def test_a_chunk_of_which_nothing_is_left_goes() -> None:
    body = CANARY.encode()
    chunks = tuple((number, 1) for number in range(len(body)))
    reply = Scrubber().knowing([CANARY]).response(Response(status=200, body=body, chunks=chunks))
    assert reply.chunks == tuple((number, 1) for number in range(len(REDACTED)))


@given(st.lists(st.binary(min_size=1), min_size=1), st.binary())
def test_the_lengths_of_chunks_always_sum_up_to_the_body(pieces: list[bytes], after: bytes) -> None:
    chunks = tuple((number, len(piece)) for number, piece in enumerate(pieces))
    moved = realigned(chunks, b"".join(pieces), after)
    assert sum(length for _, length in moved) == len(after)
    assert all(length > 0 for _, length in moved)


def test_a_known_secret_goes_from_the_error_that_ended_a_reply() -> None:
    reply = Response(status=200, ended=f"aborted: {CANARY}", reason=CANARY)
    assert Scrubber().knowing([CANARY]).response(reply) == Response(
        status=200, ended="aborted: REDACTED", reason=REDACTED
    )
