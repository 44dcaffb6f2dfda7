"""What Prometheus reads."""

import re
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families

from mockserver import MockServer, fault, reply
from tests.mockserver.asking import CHAT, chat


def scraped(http: httpx.Client) -> dict[str, Any]:
    answer = http.get("/__admin/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    return {family.name: family for family in text_string_to_metric_families(answer.text)}


def value(families: dict[str, Any], sample: str, **labels: str) -> float:
    found = [each for family in families.values() for each in family.samples if each.name == sample]
    return sum(float(each.value) for each in found if labels.items() <= each.labels.items())


def test_requests_tokens_bytes_and_quotas_are_counted(mockserver: MockServer, http: httpx.Client) -> None:
    http.put("/__admin/quotas", json={"rpm": 10})
    mockserver.script(fault.rate_limited(retry_after_s=1))
    http.post(CHAT, json=chat())
    spent = http.post(CHAT, json=chat()).json()["usage"]
    mockserver.script(reply("never").times(3), reply("always").times("forever"))
    families = scraped(http)
    assert value(families, "mockserver_requests_total", surface="chat", model="gpt-4o", dialect="openai") == 2
    assert value(families, "mockserver_requests_total", status="429", fault="rate_limited") == 1
    assert value(families, "mockserver_tokens_total", kind="prompt") == spent["prompt_tokens"]
    assert value(families, "mockserver_tokens_total", kind="completion") == spent["completion_tokens"]
    assert value(families, "mockserver_bytes_total", kind="sent") > 100
    assert value(families, "mockserver_request_duration_seconds_count", surface="chat") == 2
    assert value(families, "mockserver_request_duration_seconds_bucket", le="+Inf") == 2
    assert value(families, "mockserver_quota_limit", limit="requests") == 10
    assert value(families, "mockserver_script_steps_left") == 3
    assert value(families, "mockserver_script_steps_standing") == 1


def test_a_stream_is_counted_while_it_is_open(mockserver: MockServer, http: httpx.Client) -> None:
    mockserver.script(fault.drip(interval_s=30))
    with http.stream("POST", CHAT, json=chat(stream=True)) as answer:
        pieces = answer.iter_raw()  # who forgets it closes the connection
        next(pieces)
        assert value(scraped(http), "mockserver_streams_open") == 1


def test_what_clients_call_their_models_cannot_break_the_format(http: httpx.Client) -> None:
    for model in ('a"b\\c\nd', "\N{SNOWMAN}", "x" * 300):
        http.post(CHAT, json=chat(model=model))
    assert scraped(http)


def test_names_follow_the_conventions(http: httpx.Client) -> None:
    http.post(CHAT, json=chat())
    for name, family in scraped(http).items():
        assert re.fullmatch(r"mockserver_[a-z][a-z_]*[a-z]", name)
        assert family.documentation
        assert family.documentation.endswith(".")
        units = re.findall(r"_(ms|millis|minutes|kb|mb)\b", name)
        assert not units
        if family.type == "counter":
            assert all(each.name.endswith("_total") for each in family.samples)
        else:
            assert not name.endswith(("_total", "_count", "_sum", "_bucket"))
