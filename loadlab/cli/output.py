"""What every verb prints: data to stdout, everything else to stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

SCHEMA = 1


def emit_json(document: Mapping[str, Any]) -> None:
    """One versioned JSON document on stdout. NaN has no place in it: pass None."""
    json.dump({"schema": SCHEMA, **document}, sys.stdout, indent=2, allow_nan=False)
    sys.stdout.write("\n")
    # Whoever waits for "ready" reads a pipe, which Python fills in blocks.
    sys.stdout.flush()


def say(text: str) -> None:
    """One line of progress or explanation on stderr."""
    print(text, file=sys.stderr, flush=True)
