"""No request that the real API answered is held to be wrong: every recorded one passes the check of parameters.

Rows 2.T3, 3.I6.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from llmkit.models import problems, spec_for

FILE = Path(__file__).parents[3] / "shared" / "data" / "usage.jsonl"
SURFACES = ("chat", "responses", "completions", "embeddings")


@pytest.mark.skipif(not FILE.exists(), reason=f"the recorded traffic of {FILE} is not here")
def test_every_recorded_request_passes() -> None:
    checked, wrong = 0, []
    with FILE.open(encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            if row["api"] not in SURFACES or not row["request"]:
                continue
            checked += 1
            found = problems(spec_for(row["model"]), row["request"], surface=row["api"])
            wrong += [f"{row['model']}: {problem} in {row['path']}" for problem in found]
    assert checked > 3000
    assert not wrong, "\n".join(wrong)
