"""The command `llmkit doctor`: are the settings right, and would a call come through."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from llmkit.config import Provider
    from llmkit.diagnosis import Diagnosis, Finding

_MARKS = {
    "ok": ("ok", "green"),
    "note": ("note", "cyan"),
    "warning": ("warning", "yellow"),
    "failure": ("FAILED", "red"),
}


@click.command(short_help="Check the settings, and the connection to the API.")
@click.option(
    "--provider", type=click.Choice(["openai", "azure"]), help="Whose settings to check; else those that are set."
)
@click.option("--model", help="The model, or on Azure the deployment, to look for.")
@click.option("--offline", is_flag=True, help="Send nothing.")
@click.option(
    "--timeout", "timeout_s", type=click.FloatRange(min=0.1), default=10.0, show_default=True, help="Seconds."
)
@click.option("--json", "is_json", is_flag=True, help="Print JSON for programs.")
@click.pass_context
def doctor(
    context: click.Context,
    *,
    provider: Provider | None,
    model: str | None,
    offline: bool,
    timeout_s: float,
    is_json: bool,
) -> None:
    """Check the settings, and the connection to the API, at no cost.

    Shows each setting and where it came from, then what was found. Exit codes: 0 calls can be made, 1 they cannot, and
    the last lines say why.
    """
    from llmkit.diagnosis import diagnose

    found = diagnose(provider, offline=offline, timeout_s=timeout_s, model=model)
    click.echo(json.dumps(_as_json(found), indent=2, ensure_ascii=False) if is_json else _as_text(found))
    context.exit(0 if found.ok else 1)


def _as_json(found: Diagnosis) -> dict[str, object]:
    return {
        "ok": found.ok,
        "settings": [asdict(setting) for setting in found.settings],
        "findings": [asdict(finding) for finding in found.findings],
    }


def _as_text(found: Diagnosis) -> str:
    lines = [_line(finding) for finding in sorted(found.findings, key=lambda finding: finding.status == "failure")]
    return "\n".join([*_settings(found), *lines])


def _settings(found: Diagnosis) -> list[str]:
    """The settings as a table: name, value, source; those that are not set in one line."""
    given = [setting for setting in found.settings if setting.source != "the default" or setting.shown != "none"]
    absent = [setting.name for setting in found.settings if setting not in given]
    widths = [max((len(cell) for cell in column), default=0) for column in zip(*map(_cells, given), strict=True)]
    rows = [
        "  ".join(cell.ljust(width) for cell, width in zip(_cells(setting), widths, strict=True)).rstrip()
        for setting in given
    ]
    return [*rows, *([f"not set: {', '.join(absent)}"] if absent else []), ""] if rows else []


def _cells(setting: object) -> tuple[str, str, str]:
    name, shown, source = (str(getattr(setting, part)) for part in ("name", "shown", "source"))
    return name, shown, source


def _line(finding: Finding) -> str:
    mark, colour = _MARKS[finding.status]
    advice = f" ({finding.advice})" if finding.advice else ""
    return f"{click.style(mark.ljust(8), fg=colour)}{finding.about}: {finding.text}{advice}"
