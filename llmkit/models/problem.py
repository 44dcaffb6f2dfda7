"""What is wrong with a request."""

from dataclasses import dataclass

from llmkit.errors import excerpt


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A parameter that the API would refuse: its name and value, why, and what to do."""

    parameter: str
    value: object
    reason: str
    advice: str

    def __str__(self) -> str:
        return f"{self.parameter} = {excerpt(self.value, limit=80)}: {self.reason}; {self.advice}"
