"""Faults to order: refusals, stalls, streams that are cut off, a rate limit and a cold start, all by seed.

Knows when something goes wrong, not how a protocol shows it. Shares are of requests, for stalls of steps.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from loadlab.core.errors import UnknownNameError, UsageError
from loadlab.core.units import NS_PER_S, parse_duration
from loadlab.server.luck import uniform

_FORMS = "error:503:0.02, cut:0.01, stall:0.001:500ms, limit:10 (requests per second) or cold:20s"
_KINDS = ("error", "cut", "stall", "limit", "cold")
_REFUSE, _CUT, _CUT_AT, _STALL = range(4)  # what a number is drawn for


@dataclass(frozen=True, slots=True)
class Faults:
    """What goes wrong. `errors` are (HTTP status, share); `limit_per_s` 0 is no limit."""

    errors: tuple[tuple[int, float], ...] = ()
    cut: float = 0.0
    stall: float = 0.0
    stall_ns: int = 0
    limit_per_s: float = 0.0
    cold_ns: int = 0

    def refused(self, seed: int, request: int) -> int | None:
        """The HTTP status that request gets instead of an answer."""
        luck = uniform(seed, _REFUSE, request)
        for status, share in self.errors:
            if luck < share:
                return status
            luck -= share
        return None

    def cut_after(self, seed: int, request: int, tokens: int) -> int | None:
        """After how many of its `tokens` that request's stream breaks off."""
        if uniform(seed, _CUT, request) >= self.cut:
            return None
        return max(1, int(uniform(seed, _CUT_AT, request) * tokens))

    def stalled_ns(self, seed: int, step: int) -> int:
        """How much longer that step takes."""
        return self.stall_ns if self.stall and uniform(seed, _STALL, step) < self.stall else 0


def parse_faults(texts: Iterable[str]) -> Faults:
    """The faults of "error:503:0.02", "cut:0.01", "stall:0.001:500ms", "limit:10", "cold:20s". UsageError."""
    faults = Faults()
    for text in texts:
        kind, *values = text.split(":")
        if kind not in _KINDS:
            raise UnknownNameError("fault", kind, _KINDS)
        try:
            faults = _with(faults, kind, values)
        except (ValueError, UsageError) as error:
            raise UsageError(f"--fault '{text}' is not understood; write it like {_FORMS}.") from error
    if (total := sum(share for _, share in faults.errors)) > 1:
        raise UsageError(f"--fault error: the shares add up to {total:g}; they cannot be more than 1.")
    return faults


def _with(faults: Faults, kind: str, values: list[str]) -> Faults:
    match kind, values:
        case "error", [status, share] if 400 <= int(status) <= 599:
            return replace(faults, errors=(*faults.errors, (int(status), _share(share))))
        case "cut", [share]:
            return replace(faults, cut=_share(share))
        case "stall", [share, length]:
            return replace(faults, stall=_share(share), stall_ns=_ns(length))
        case "limit", [rate] if float(rate) > 0:
            return replace(faults, limit_per_s=float(rate))
        case "cold", [length]:
            return replace(faults, cold_ns=_ns(length))
    raise ValueError(f"{kind} takes other values")


def _share(text: str) -> float:
    if not 0 <= (share := float(text)) <= 1:
        raise ValueError(f"{share} is not a share")
    return share


def _ns(text: str) -> int:
    return round(parse_duration(text) * NS_PER_S)


class RateLimit:
    """A bucket that fills at a rate and holds one second's worth, at least one; times are the callers'."""

    def __init__(self, per_s: float) -> None:
        self._per_s, self._room = per_s, max(1.0, per_s)
        self._held, self._at_ns = self._room, 0

    def wait_s(self, at_ns: int) -> float:
        """0 when a request at `at_ns` passes; otherwise in how many seconds the next one would."""
        if not self._per_s:
            return 0.0
        grown = max(0, at_ns - self._at_ns) / NS_PER_S * self._per_s
        self._held, self._at_ns = min(self._room, self._held + grown), max(at_ns, self._at_ns)
        if self._held < 1:
            return (1 - self._held) / self._per_s
        self._held -= 1
        return 0.0
