"""Sorts support tickets: what each is about, how urgent it is, and what to do next."""

from __future__ import annotations

import os
from typing import Literal

import openai
from pydantic import BaseModel

MODEL = os.environ.get("TRIAGE_MODEL", "gpt-4o-mini")
TIMEOUT_S = float(os.environ.get("EXAMPLES_TIMEOUT_S", "30"))
INSTRUCTIONS = "You sort support tickets for a hosting company. Judge only by what the ticket says."


class Triage(BaseModel):
    category: Literal["billing", "outage", "account", "feature"]
    urgency: Literal["low", "normal", "urgent"]
    next_step: str


class TriageUnavailable(Exception):
    """The ticket could not be sorted now; a person has to."""


def triage(ticket: str) -> Triage:
    with openai.OpenAI(timeout=TIMEOUT_S) as client:
        try:
            completion = client.chat.completions.parse(
                model=MODEL,
                temperature=0,
                messages=[{"role": "system", "content": INSTRUCTIONS}, {"role": "user", "content": ticket}],
                response_format=Triage,
            )
        except (openai.OpenAIError, ValueError) as error:  # the SDK lets a reply that is no JSON through as ValueError
            raise TriageUnavailable(f"the model gave no usable answer: {error}") from error
    answer = completion.choices[0].message.parsed if completion.choices else None
    if answer is None:
        raise TriageUnavailable("the model refused, or its answer was empty")
    return answer
