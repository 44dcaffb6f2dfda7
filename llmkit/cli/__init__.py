"""The command line: `llmkit cassettes …`, `llmkit doctor`. Data goes to stdout, words to stderr."""

from __future__ import annotations

import sys
from collections.abc import Sequence

_NEEDED = frozenset({"click", "rich", "yaml"})


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command that ``arguments`` name, those of the process unless given, and exit.

    The code is 0 if all is well, 1 for what a build should fail on, and 2 for what could not be done.
    """
    try:
        from llmkit.cli.program import program

        program.main(args=None if arguments is None else list(arguments), prog_name="llmkit")
    except ModuleNotFoundError as error:
        if error.name not in _NEEDED:
            raise
        sys.exit(f"llmkit: the command line needs the package {error.name!r}: pip install 'llmkit[testing]'")
