"""What was looked at, and how it is."""

from dataclasses import dataclass
from typing import Literal

from llmkit.config import AzureSettings, OpenAISettings, Origin

Status = Literal["ok", "note", "warning", "failure"]
Clients = OpenAISettings | AzureSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at: what was found, and what to do about it, "" if nothing."""

    about: str
    status: Status
    text: str
    advice: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """Everything that was found; `ok` unless something is a failure. A secret shows in none of it."""

    findings: tuple[Finding, ...]
    settings: tuple[Origin, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether a call can be made."""
        return all(finding.status != "failure" for finding in self.findings)


def names(settings: Clients) -> list[str]:
    """The models, or deployments, that calls may go to."""
    found = [settings.model, settings.embedding_model, *settings.fallback, *settings.deployments]
    return list(dict.fromkeys(name for name in found if name))
