"""The program `llmkit` and its groups of commands."""

from __future__ import annotations

import click

from llmkit.cli.cassettes import cassettes


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="llmkit")
def program() -> None:
    """Record, replay and inspect traffic with large language models."""


program.add_command(cassettes)
