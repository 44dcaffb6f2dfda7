"""The program `llmkit` and its groups of commands."""

from __future__ import annotations

from importlib import import_module

import click

_COMMANDS = {"cassettes": "llmkit.cli.cassettes", "doctor": "llmkit.cli.doctor"}


class _Commands(click.Group):
    """Commands whose modules are imported when they are asked for: each needs packages that others do not."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = getattr(import_module(_COMMANDS[cmd_name]), cmd_name)
        return command


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="llmkit")
def program() -> None:
    """Call large language models, and record, replay and inspect the traffic."""
