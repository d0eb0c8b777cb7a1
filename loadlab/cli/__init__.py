"""The command line. Verbs hold no logic and import their room inside the verb, so that --help stays quick."""

from __future__ import annotations

import sys


def main() -> None:
    """Entry point of `loadlab`: runs a verb; an error of the tree becomes one line and its exit code."""
    from loadlab.cli.app import app
    from loadlab.core.errors import LoadlabError

    try:
        app()
    except LoadlabError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
