from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit.recording.interaction import Request
from llmkit.recording.matching.match import PLAIN, Rules, canonical_json, key

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def asked(
    body: bytes = b"",
    *,
    uri: str = "https://a.test/v1/x",
    method: str = "POST",
    content_type: str = "",
    rules: Rules = PLAIN,
) -> str:
    return key(Request(method=method, uri=uri, headers={"Content-Type": [content_type]}, body=body), rules)


@given(JSON_VALUES)
def test_the_spelling_of_a_body_does_not_matter(value: object) -> None:
    compact = json.dumps(value, separators=(",", ":"), ensure_ascii=True).encode()
    spread = json.dumps(_reversed(value), indent=3, ensure_ascii=False).encode("utf-8", "surrogatepass")
    assert canonical_json(compact) == canonical_json(spread)


@given(JSON_VALUES, JSON_VALUES)
def test_different_values_never_meet(one: object, other: object) -> None:
    are_same = canonical_json(json.dumps(one).encode()) == canonical_json(json.dumps(other).encode())
    assert are_same == (_typed(one) == _typed(other))


@pytest.mark.parametrize("spelling", ["1", "1.0", "1e0", "0.1e1", "10E-1", "1.000"])
def test_numbers_compare_by_value(spelling: str) -> None:
    assert asked(f'{{"temperature": {spelling}}}'.encode()) == asked(b'{"temperature":1}')


@pytest.mark.parametrize("other", ['"1"', "true", "1.0000000000000000000000000000000001", "-1", "[1]", "null"])
def test_what_is_no_equal_number_differs(other: str) -> None:
    assert asked(f'{{"temperature": {other}}}'.encode()) != asked(b'{"temperature":1}')


def test_zero_is_zero_with_any_sign() -> None:
    assert asked(b"[0, -0.0, 0e9]") == asked(b"[0, 0, 0]")


def test_a_huge_exponent_costs_nothing() -> None:
    assert asked(b"[1e999999999]") == asked(b"[10e999999998]")


def test_an_exponent_beyond_all_arithmetic_compares_by_its_bytes() -> None:
    assert asked(b"[1e99999999999999999999]") != asked(b"[2e99999999999999999999]")


def test_another_range_of_a_file_is_another_request() -> None:
    first, second = (
        key(Request(method="GET", uri="https://a.test/file", headers={"Range": [f"bytes={part}"]}))
        for part in ("0-9", "10-19")
    )
    assert first != second


def test_the_order_of_a_list_matters() -> None:
    assert asked(b"[1, 2]") != asked(b"[2, 1]")


def test_the_order_of_the_query_does_not_matter() -> None:
    assert asked(uri="https://a.test/x?a=1&b=2") == asked(uri="https://a.test/x?b=2&a=1")


@pytest.mark.parametrize("uri", ["https://a.test/y", "https://b.test/v1/x", "https://a.test/v1/x?a="])
def test_another_address_is_another_request(uri: str) -> None:
    assert asked(uri=uri) != asked()


def test_another_method_is_another_request() -> None:
    assert asked(method="GET") != asked(method="post")


def test_the_boundary_of_a_multipart_body_does_not_matter() -> None:
    def upload(boundary: str) -> str:
        body = f'--{boundary}\r\nContent-Disposition: form-data; name="f"\r\n\r\nhi\r\n--{boundary}--\r\n'
        return asked(body.encode(), content_type=f"multipart/form-data; boundary={boundary}")

    assert upload("aaaa1111") == upload("zzzz9999")


def test_bodies_that_are_no_json_compare_by_their_bytes() -> None:
    assert asked(b"a=1") != asked(b"a=2")
    assert asked(b"\xff\x00") == asked(b"\xff\x00")


def test_json_too_deep_to_parse_compares_by_its_bytes() -> None:
    deep = b"[" * 200_000
    assert asked(deep) != asked(deep + b"[")


def conversation(one: str, other: str, *, answers: tuple[str, str] = ("", "")) -> bytes:
    calls = [{"id": one, "type": "function"}, {"id": other, "type": "function"}]
    results = [
        {"role": "tool", "tool_call_id": identity, "content": text}
        for identity, text in zip(answers if answers[0] else (one, other), ("3", "4"), strict=True)
    ]
    return json.dumps({"messages": [{"role": "assistant", "tool_calls": calls}, *results]}).encode()


def test_tool_calls_compare_by_their_order_whatever_their_ids() -> None:
    assert asked(conversation("call_a", "call_b")) == asked(conversation("x", "y"))


def test_the_result_of_another_tool_call_is_another_request() -> None:
    assert asked(conversation("a", "b")) != asked(conversation("a", "b", answers=("b", "a")))


def test_call_ids_of_the_responses_api_compare_by_their_order() -> None:
    def turn(identity: str) -> bytes:
        return json.dumps(
            {"input": [{"type": "function_call", "call_id": identity}, {"call_id": identity, "output": "3"}]}
        ).encode()

    assert asked(turn("call_1")) == asked(turn("call_2"))


@pytest.mark.parametrize(
    ("path", "one", "other"),
    [
        ("user", {"user": "a", "n": 1}, {"n": 1}),
        ("$.user", {"user": "a"}, {"user": "b"}),
        ("metadata.run_id", {"metadata": {"run_id": 1, "x": 2}}, {"metadata": {"run_id": 9, "x": 2}}),
        ("messages[*].name", {"messages": [{"name": "a"}, {"name": "b"}]}, {"messages": [{}, {"name": "c"}]}),
        ("messages[0]", {"messages": [1, 2]}, {"messages": [3, 2]}),
        ("metadata.*", {"metadata": {"a": 1}}, {"metadata": {"b": 2}}),
        ("**.cache_key", {"a": [{"cache_key": 1}], "cache_key": 2}, {"a": [{}]}),
    ],
)
def test_an_ignored_path_does_not_matter(path: str, one: object, other: object) -> None:
    rules = Rules(ignore=(path,))
    assert asked(json.dumps(one).encode(), rules=rules) == asked(json.dumps(other).encode(), rules=rules)
    assert asked(json.dumps(one).encode()) != asked(json.dumps(other).encode())


def test_what_is_not_ignored_still_matters() -> None:
    rules = Rules(ignore=("metadata.run_id", "messages[*].name"))
    assert asked(b'{"metadata": {"run_id": 1, "x": 1}}', rules=rules) != asked(b'{"metadata": {"x": 2}}', rules=rules)


@given(JSON_VALUES, st.sampled_from(["a", "a.b", "*", "**.a", "a[0]", "[*].a", "[1]"]))
def test_ignoring_a_path_in_any_value_fails_on_none(value: object, path: str) -> None:
    body = json.dumps(value).encode()
    assert canonical_json(body, Rules(ignore=(path,))) is not None


def test_an_ignored_query_key_does_not_matter() -> None:
    rules = Rules(ignore=("?api-version",))
    uris = ("https://a.test/x?api-version=1&b=2", "https://a.test/x?b=2&api-version=3", "https://a.test/x?b=2")
    assert len({asked(uri=uri, rules=rules) for uri in uris}) == 1


def test_aliases_stand_for_another_host_and_another_version() -> None:
    rules = Rules(aliases=(("eu.a.test", "a.test"), ("?api-version=1", "?api-version=2")))
    one, other = "https://eu.a.test/x?api-version=1", "https://a.test/x?api-version=2"
    assert asked(uri=one, rules=rules) == asked(uri=other, rules=rules)
    assert asked(uri=one, rules=rules) != asked(uri="https://a.test/x?api-version=3", rules=rules)


@pytest.mark.parametrize("path", ["", ".", "a..b", "a[", "a[x]", "?"])
def test_a_path_that_is_none_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="is no path into a request"):
        Rules(ignore=(path,))


@pytest.mark.parametrize("alias", [("a.test", "?b=1"), ("", "a.test")])
def test_an_alias_of_two_kinds_is_refused(alias: tuple[str, str]) -> None:
    with pytest.raises(ValueError, match="an alias is two hosts"):
        Rules(aliases=(alias,))


def _reversed(value: object) -> object:
    if isinstance(value, dict):
        return {name: _reversed(item) for name, item in reversed(value.items())}
    return [_reversed(item) for item in value] if isinstance(value, list) else value


def _typed(value: object) -> object:
    """Tell true from 1, which are equal in Python."""
    if isinstance(value, dict):
        return {name: _typed(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_typed(item) for item in value]
    return ("bool", value) if isinstance(value, bool) else value


def upload(text: str, boundary: str) -> str:
    body = f'--{boundary}\r\nContent-Disposition: form-data; name="f"\r\n\r\n{text}\r\n--{boundary}--\r\n'
    return asked(body.encode(), content_type=f"multipart/form-data; boundary={boundary}")


def test_only_boundaries_of_a_multipart_body_do_not_matter() -> None:
    assert upload("the a of b", "a") != upload("the b of b", "b")
    assert upload("--a1 is no boundary", "a1") != upload("--b1 is no boundary", "b1")


@pytest.mark.parametrize("part", ["\r\n--boundary\r\n", "\r\n--boundary of 4 bytes\r\n"])
def test_no_text_of_a_part_is_taken_for_a_boundary(part: str) -> None:
    assert upload(part, "a1") == upload(part, "b1")
    assert upload(part, "a1") != upload(part.replace("--boundary", "--a1"), "a1")


def _anthropic(identity: str) -> dict[str, object]:
    use = {"type": "tool_use", "id": identity, "name": "add"}
    result = {"type": "tool_result", "tool_use_id": identity, "content": "3"}
    return {"messages": [{"role": "assistant", "content": [use]}, {"role": "user", "content": [result]}]}


def _responses(identity: str) -> dict[str, object]:
    return {"input": [{"type": "function_call", "id": f"fc_{identity}", "call_id": identity, "name": "add"}]}


def _outputs(identity: str) -> dict[str, object]:
    return {"tool_outputs": [{"tool_call_id": identity, "output": "3"}]}


@pytest.mark.parametrize("body", [_anthropic, _responses, _outputs])
def test_the_ids_of_tool_calls_do_not_matter_wherever_they_stand(body: Callable[[str], object]) -> None:
    assert asked(json.dumps(body("a")).encode()) == asked(json.dumps(body("b")).encode())


def test_the_id_of_what_is_no_tool_call_matters() -> None:
    one, other = (json.dumps({"input": [{"type": "item_reference", "id": name}]}).encode() for name in "ab")
    assert asked(one) != asked(other)


@pytest.mark.parametrize("uri", ["https://EU.a.test/v1", "https://eu.a.test:443/v1", "https://us.a.test/v1"])
def test_a_host_goes_by_its_alias_in_any_spelling_and_over_several(uri: str) -> None:
    rules = Rules(aliases=(("us.a.test", "Eu.A.test"), ("eu.a.test:443", "a.test")))
    assert asked(uri=uri, rules=rules) == asked(uri="https://a.test/v1", rules=rules)


def test_another_port_is_another_host() -> None:
    rules = Rules(aliases=(("eu.a.test", "a.test"),))
    assert asked(uri="https://eu.a.test:8443/v1", rules=rules) != asked(uri="https://a.test/v1", rules=rules)


def test_aliases_that_go_round_in_a_circle_are_refused() -> None:
    with pytest.raises(ValueError, match="a → b → a"):
        Rules(aliases=(("a", "b"), ("b", "a")))
