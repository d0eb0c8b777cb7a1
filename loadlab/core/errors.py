"""Every error a user can meet.

LoadlabError
├── UsageError           exit 2   a flag, name, file or price that cannot be used as given
│   ├── UnknownNameError          a name that is not in a table; carries the nearest one
│   └── StoreError                a database that cannot be opened, written or understood
├── TargetError          exit 3   the endpoint cannot be reached or refused the pre-flight
├── SloError             exit 1   an SLO is missed, and more hardware does not help
├── MeasurementError     exit 4   the measurement cannot be trusted
├── NoDataError          exit 5   nothing stored answers the question
└── InterruptedRunError  exit 130 stopped early; what was recorded is saved

A message says what happened, shows the offending value and says what to do next.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from enum import IntEnum


class ExitCode(IntEnum):
    """Process exit codes; documented in docs/errors.md."""

    OK = 0
    GATE_FAILED = 1
    USAGE = 2
    TARGET = 3
    UNTRUSTED = 4
    NO_DATA = 5
    INTERRUPTED = 130


class LoadlabError(Exception):
    """An error whose message is written for the user; `exit_code` ends the process."""

    exit_code = ExitCode.USAGE


class UsageError(LoadlabError):
    """A flag, name, file or value that cannot be used as given."""


class UnknownNameError(UsageError):
    """A name that is not among the known ones.

    `kind` is what the name stands for ("scenario"), `known` every accepted name.
    """

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        self.kind, self.name, self.known = kind, name, sorted(known)
        near = difflib.get_close_matches(name, self.known, n=1)
        hint = f"; did you mean '{near[0]}'?" if near else "."
        super().__init__(f"{kind} '{name}' is not known{hint} Known: {', '.join(self.known) or 'none'}.")


class StoreError(UsageError):
    """A database that cannot be opened, written or understood."""


class TargetError(LoadlabError):
    """The endpoint cannot be reached, or refused the pre-flight."""

    exit_code = ExitCode.TARGET


class SloError(LoadlabError):
    """An SLO is missed at every load that was measured; more hardware is not known to help."""

    exit_code = ExitCode.GATE_FAILED


class MeasurementError(LoadlabError):
    """The measurement cannot be trusted."""

    exit_code = ExitCode.UNTRUSTED


class NoDataError(LoadlabError):
    """Nothing stored answers the question."""

    exit_code = ExitCode.NO_DATA


class InterruptedRunError(LoadlabError):
    """The run was stopped early; what was recorded is saved."""

    exit_code = ExitCode.INTERRUPTED
