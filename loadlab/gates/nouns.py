"""What a gate hands out: checks, and the judgement made of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from loadlab.core.errors import ExitCode

Outcome = Literal["PASS", "FAIL", "INCONCLUSIVE", "INVALID", "INFO"]
Kind = Literal["slo", "regress", "inform", "errors"]


@dataclass(frozen=True, slots=True)
class Check:
    """One rule judged. `words` is the sentence for people, with values, limit and how many were looked at.

    `value` is a number of the metric (slo) or the ratio candidate / base (regress, inform), `low` and `high`
    its interval where there is one. `timeless`: it counts failures, which a late generator cannot make.
    """

    rule: str
    kind: Kind
    outcome: Outcome
    words: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    limit: str = ""
    unit: str = ""
    n: int = 0
    timeless: bool = False


@dataclass(frozen=True, slots=True)
class Judgement:
    """A gate judged. `invalid` are the reasons why the measurement itself must not be used."""

    outcome: Outcome
    checks: tuple[Check, ...]
    invalid: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    base: tuple[str, ...] = ()
    candidate: tuple[str, ...] = ()

    @property
    def exit_code(self) -> ExitCode:
        """0 PASS, 1 FAIL, 4 INCONCLUSIVE or INVALID."""
        return {"PASS": ExitCode.OK, "FAIL": ExitCode.GATE_FAILED}.get(self.outcome, ExitCode.UNTRUSTED)


def judged(checks: Iterable[Check], invalid: Sequence[str], **about: tuple[str, ...]) -> Judgement:
    """The judgement of a gate: failures that were counted, then INVALID, then FAIL, INCONCLUSIVE, PASS.

    A late generator or a busy machine makes times wrong and never makes a request fail, so a check of the
    failures stands when the times do not.
    """
    every = tuple(checks)
    blocking = [check for check in every if check.outcome != "INFO"]
    outcome: Outcome = "PASS"
    if any(check.outcome == "FAIL" and check.timeless for check in blocking):
        outcome = "FAIL"
    elif invalid or any(check.outcome == "INVALID" for check in blocking):
        outcome = "INVALID"
    else:
        outcome = next(
            (each for each in ("FAIL", "INCONCLUSIVE") if any(c.outcome == each for c in blocking)), "PASS"
        )
    return Judgement(outcome, every, tuple(invalid), **about)
