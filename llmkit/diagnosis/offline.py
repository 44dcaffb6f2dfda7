"""What the settings, the models they name and the packages say, without a question to any server."""

import importlib.metadata
import os
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime

from llmkit import config
from llmkit.config import AzureSettings, OpenAISettings, without_secrets
from llmkit.diagnosis.findings import Clients, Finding, names
from llmkit.models import ModelSpec, fitting

_PARTS = {
    "openai": ("openai", "every call"),
    "tiktoken": ("tiktoken", "counting tokens"),
    "jinja2": ("jinja2", "prompt templates"),
    "jsonschema-rs": ("jsonschema_rs", "checking answers against a schema"),
    "redis": ("redis", "state_url"),
    "azure-identity": ("azure.identity", "auth = 'entra'"),
    "opentelemetry-api": ("opentelemetry", "traces"),
}
_PROXIES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR")
_SOON_DAYS = 90


def findings(settings: Clients) -> Iterator[Finding]:
    """Everything about settings that are complete."""
    yield _loaded(settings)
    yield from misspelt()
    yield from _models(settings)
    yield from _parts(settings)
    yield from _surroundings()


def _loaded(settings: Clients) -> Finding:
    name = "Azure OpenAI" if isinstance(settings, AzureSettings) else "OpenAI"
    return Finding(about="settings", status="ok", text=f"they are complete and valid, for {name} at {settings.address}")


def misspelt() -> Iterator[Finding]:
    """Variables that look like settings and are none."""
    for found in config.misspelt([OpenAISettings, AzureSettings]):
        yield Finding(
            about="settings",
            status="warning",
            text=f"{found.name}, in {found.source}, is no setting of llmkit",
            advice=f"did you mean {found.near}?" if found.near else "it has no effect",
        )


def _models(settings: Clients) -> Iterator[Finding]:
    for name in names(settings):
        yield _model(name, settings.spec(name), today=datetime.now(UTC).date())
    if settings.model is None:
        yield Finding(
            about="model",
            status="note",
            text="none is set, so each call has to name one",
            advice="set LLMKIT_MODEL, or model in llmkit.toml",
        )
    elif settings.defaults:
        yield from _defaults(settings, settings.model)


def _model(name: str, spec: ModelSpec, *, today: date) -> Finding:
    shown = name if spec.name == name else f"{name}, which is {spec.name},"
    if not spec.known:
        return Finding(about="model", status="warning", text=spec.advice or "")
    if spec.retires is None or (spec.retires - today).days > _SOON_DAYS:
        return Finding(about="model", status="ok", text=f"{shown} is known: {_limits(spec)}")
    tense = "was to be shut down" if spec.retires <= today else "is to be shut down"
    advice = f"OpenAI advises {spec.replacement}" if spec.replacement else "choose another"
    text = f"{shown} {tense} on {spec.retires} by OpenAI (Azure has days of its own)"
    return Finding(about="model", status="warning", text=text, advice=advice)


def _limits(spec: ModelSpec) -> str:
    window = f"{spec.context_window:,} tokens of context" if spec.context_window else "no limits"
    return f"{window}, {spec.max_output:,} of output" if spec.max_output else window


def _defaults(settings: Clients, model: str) -> Iterator[Finding]:
    kept = fitting(settings.spec(model), settings.defaults)
    dropped = [
        name for name in settings.defaults if name not in kept and not (name.startswith("max_") and _limit(kept))
    ]
    if dropped:
        yield Finding(
            about="defaults",
            status="note",
            text=f"{model} does not take {', '.join(dropped)} as set in defaults, so calls to it leave that out",
        )


def _limit(parameters: Mapping[str, object]) -> bool:
    return any(name.startswith("max_") for name in parameters)


def _parts(settings: Clients) -> Iterator[Finding]:
    needed = {"redis"} if settings.state_url is not None else set()
    if isinstance(settings, AzureSettings) and settings.auth == "entra":
        needed.add("azure-identity")
    versions = {name: _version(name) for name in _PARTS}
    installed = ", ".join(f"{name} {version}" for name, version in versions.items() if version)
    yield Finding(about="packages", status="ok", text=installed)
    for name in sorted(needed):
        if versions[name] is None:
            extra = "redis" if name == "redis" else "entra"
            yield Finding(
                about="packages",
                status="failure",
                text=f"{name} is missing, which {_PARTS[name][1]} needs",
                advice=f"pip install 'llmkit[{extra}]'",
            )
    absent = [name for name, version in versions.items() if version is None and name not in needed]
    if absent:
        uses = ", ".join(f"{name} ({_PARTS[name][1]})" for name in absent)
        yield Finding(about="packages", status="note", text=f"not installed: {uses}")


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _surroundings() -> Iterator[Finding]:
    found = {name: os.environ.get(name) or os.environ.get(name.lower()) for name in _PROXIES}
    shown = ", ".join(f"{name}={without_secrets(value)}" for name, value in found.items() if value)
    if shown:
        yield Finding(about="network", status="note", text=f"connections go by what the environment says: {shown}")
