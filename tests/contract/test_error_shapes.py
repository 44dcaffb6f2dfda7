"""The refusals of the server against refusals recorded from OpenAI and Azure.

Each recorded request is sent again, with what made the API refuse it: a wrong key, a deployment that is not there, or
the fault that stands for its state of that day. Status, keys of the error, type, code and param must be as recorded.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from mockserver import MockServer, fault
from mockserver.scripting.steps import Step

RECORDINGS = Path(__file__).parents[3] / "shared" / "data" / "error_shapes.jsonl"
KEY = "a-key-like-any-other"

# by row of the file: why the server says something else
KNOWN = {
    14: "images are not downloaded",
    17: "the recording keeps no body",
    40: "of a model that is served no more",
    68: "of 2023: overload has been a 503 since",
    86: "the recording keeps no body",
    116: "of 2023: a model unknown to the API was an unknown URL",
    155: "images are not downloaded",
    161: "an older spelling of DeploymentNotFound, without a type",
    167: "permissions of single keys are not played",
    175: "a stop before the first word of a model that speaks",
    216: "recorded behind a gateway that did not serve the model",
    217: "recorded behind a gateway that did not serve the model",
    218: "written by hand",
    227: "images are not downloaded",
    245: "files are not played",
}


# by row of the file: the API version of an older wording, where the recording has blackened it
OLDER = {147: "2024-06-01"}


@dataclass(frozen=True)
class Recording:
    """One row: what was asked, and how it was refused."""

    row: int
    provider: str
    method: str
    path: str
    status: int
    request: Any
    error: Any

    @property
    def deployments(self) -> dict[str, str]:
        """Those that existed: none, where the refusal says so."""
        error = self.error if isinstance(self.error, dict) else {}
        if error.get("code") in ("DeploymentNotFound", "unknown_model"):
            return {}
        return {name: name for name in ("gpt-4.1", "gpt-4o", "gpt-5-mini")}

    @property
    def steps(self) -> list[Step]:
        """What stands for the state of the API on that day."""
        error = self.error if isinstance(self.error, dict) else {}
        if error.get("code") == "content_filter":
            return [fault.content_filtered()]
        if error.get("code") == "insufficient_quota":
            return [fault.insufficient_quota()]
        if self.status == 429:
            return [fault.rate_limited(limit="requests" if error.get("type") == "requests" else "tokens")]
        return [fault.server_error(status=self.status)] if self.status >= 500 else []


def recordings() -> Iterator[Recording]:
    """The rows of surfaces that the server has, and that keep their request."""
    for row, line in enumerate(RECORDINGS.read_text(encoding="utf-8").splitlines()):
        each = json.loads(line)
        request, body = (_unwrapped(each[name]) for name in ("request", "body"))
        is_served = each["api"] in ("chat", "embeddings", "completions") and isinstance(request, dict)
        path = each["url_path"].partition(">")[2] or each["url_path"]
        if path.startswith("/models/"):
            continue  # Azure's other inference API, of models that are not OpenAI's
        if is_served or (path == "/v1/models" and each["method"] == "GET"):
            error = body.get("error") if isinstance(body, dict) else body
            yield Recording(row, each["provider"], each["method"], path, each["status"], request, error)


def _unwrapped(value: Any) -> Any:
    is_wrapped = isinstance(value, dict) and value.keys() == {"type", "content"}
    return value["content"] if is_wrapped else value


def answer_to(recording: Recording, server: MockServer) -> httpx.Response:
    is_azure = recording.provider == "azure"
    return httpx.request(
        recording.method,
        server.url + recording.path,
        params={"api-version": OLDER.get(recording.row, "2024-10-21")} if "/deployments/" in recording.path else {},
        headers={"api-key": KEY} if is_azure else {"authorization": f"Bearer {KEY}"},
        json=recording.request,
    )


def disagreement(recording: Recording, response: httpx.Response) -> str:
    """How the answer differs from the recording; empty if it does not."""
    recorded = recording.error
    if response.status_code != recording.status:
        return f"status {response.status_code}, recorded {recording.status}"
    if not isinstance(recorded, dict):
        return "the recording has no error object"
    error = response.json()["error"]
    if error.keys() != recorded.keys():
        return f"keys {sorted(error)}, recorded {sorted(recorded)}"
    differing = [name for name in ("type", "code", "param") if error.get(name) != recorded.get(name)]
    return "".join(f"{name} {error.get(name)!r}, recorded {recorded.get(name)!r}; " for name in differing)


@pytest.mark.skipif(not RECORDINGS.exists(), reason=f"recorded traffic is absent: {RECORDINGS.name}")
def test_refusals_are_those_recorded(network_allowance: Any) -> None:
    differing: dict[int, str] = {}
    rows = list(recordings())
    for recording in rows:
        api_keys = ["another-key"] if recording.status == 401 else []
        with MockServer(deployments=recording.deployments, api_keys=api_keys, script=recording.steps) as server:
            network_allowance.allow(server.host, server.port)
            if difference := disagreement(recording, answer_to(recording, server)):
                differing[recording.row] = difference
    print(f"{len(rows) - len(differing)} of {len(rows)} recorded refusals agree")
    assert {row: difference for row, difference in differing.items() if row not in KNOWN} == {}
    assert set(differing) == set(KNOWN)
    assert len(rows) - len(differing) >= 114
