"""Stored runs as one sweep: loads in order, each with every repeat of it, and what cannot be planned with.

The load is requests per second of an open loop, or users of a closed one. Knows how to ask the store; refuses
to mix runs that were not asked the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from loadlab.analysis import Summary, priced_at, summary_of
from loadlab.analysis.comparable import apart
from loadlab.analysis.measures import Observed
from loadlab.analysis.samples import column, flag, ok
from loadlab.core.errors import NoDataError, UsageError
from loadlab.core.money import Price
from loadlab.core.nouns import Run
from loadlab.core.units import NS_PER_S

Axis = Literal["rate", "users"]
LABEL = "label:"
_MEANT = ("load", "loadlab", "client cpu")
_UNITS = {"rate": "req/s", "users": "users"}


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One load and everything that was measured at it: `seen` has an entry per repeat."""

    load: float
    label: str
    seen: tuple[Observed, ...]

    @property
    def unstable(self) -> bool:
        """Whether more was offered than came back, in any repeat."""
        return any(each.level.unstable for each in self.seen)

    @property
    def answers(self) -> int:
        """Successful requests of all repeats."""
        return sum(each.level.requests["ok"] for each in self.seen)

    @property
    def rate(self) -> float:
        """Answers per second: of an open loop what was sent, of a closed one what came back."""
        rates = [each.level.rates["requests_per_s"] or 0.0 for each in self.seen]
        return float(np.mean(rates))

    @property
    def e2e_s(self) -> float:
        """The mean end-to-end latency of the answers, from plan."""
        return self.mean(lambda seen: seen.sample("e2e_planned_ms")) / 1000

    @property
    def in_flight(self) -> float:
        """Requests under way on average, by Little's law."""
        return self.rate * self.e2e_s

    def mean(self, values: Any) -> float:
        """The mean over all answers of all repeats of what `values` gives for one; NaN where unknown."""
        every = np.concatenate([np.asarray(values(each), np.float64) for each in self.seen])
        known = every[np.isfinite(every)]
        return float(known.mean()) if known.size else float("nan")

    def tokens(self, name: str) -> float:
        """The mean number of tokens in this column of the answers; NaN where nobody counted them."""
        return self.mean(lambda seen: column(seen.requests[ok(seen.requests)], name))

    def hardware(self, name: str) -> float | None:
        """The mean over the repeats of a key of `LevelSummary.hardware`; None where one lacks it."""
        found = [each.level.hardware.get(name) for each in self.seen]
        known = [float(value) for value in found if value is not None]
        return float(np.mean(known)) if len(known) == len(found) else None


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """A sweep to plan with: `steps` lightest first, all of one axis. `left_out`: levels of no use, and why.

    `spec` is that of the newest run, `price` and `unpriced` those in force for it.
    """

    axis: Axis
    steps: tuple[Step, ...]
    left_out: tuple[str, ...]
    runs: tuple[str, ...]
    spec: Run
    price: Price | None
    unpriced: str

    @property
    def unit(self) -> str:
        """Of the load: "req/s" or "users"."""
        return _UNITS[self.axis]

    @property
    def stable(self) -> tuple[Step, ...]:
        """The loads below the first that was unstable: those that have percentiles."""
        cut = next((place for place, step in enumerate(self.steps) if step.unstable), len(self.steps))
        return self.steps[:cut]

    @property
    def bracket(self) -> Step | None:
        """The lightest load that was unstable."""
        return next((step for step in self.steps if step.unstable), None)

    @property
    def name(self) -> str:
        """Model and target, for sentences."""
        return f"{self.spec.endpoint.model} on {self.spec.endpoint.name or self.spec.endpoint.url}"

    @property
    def gpus(self) -> int | None:
        """How many GPUs were seen at work."""
        found = [step.hardware("gpus") for step in self.steps]
        known = [int(count) for count in found if count]
        return max(known) if known else None

    @property
    def repeats(self) -> int:
        """How many times the least repeated load was measured."""
        return min((len(step.seen) for step in self.steps), default=0)


def measured(store: Any, refs: Sequence[str], gaps: bool = False) -> Measured:
    """The sweep of the runs that `refs` name: ids, prefixes, "latest" or label:WORDS; several are repeats.

    `gaps`: also those between tokens, for limits on itl_ms. `store` is what `loadlab.store.open` returns.
    Raises NoDataError, and UsageError for runs that were not asked the same.
    """
    stored = [store.run(ref) for name in refs for ref in _ids(store, name)]
    if not stored:
        raise NoDataError("no run is given to plan with; name one, such as latest.")
    runs = list({run.id: run for run in stored}.values())
    seen = [each for run in runs for each in _observed(store, run, gaps)]
    if not seen:
        raise NoDataError(f"run {runs[0].id} has no level with a measured request: nothing to plan with.")
    _check_alike(seen)
    newest = max(runs, key=lambda run: run.started_at_ns)
    now = priced_at(newest, store.pricings(newest.id)[-1])
    return of(seen, newest.spec, now.price, now.unpriced)


def of(seen: Sequence[Observed], spec: Run, price: Price | None = None, unpriced: str = "") -> Measured:
    """The sweep of levels at hand. Raises NoDataError where none can be planned with."""
    usable, left_out = _usable(seen)
    axis: Axis = "rate" if any("rate" in each.level.offered for each in usable) else "users"
    chosen = [each for each in usable if axis in each.level.offered]
    left_out += [("another kind of load", each.level.label) for each in usable if each not in chosen]
    told = _together(left_out)
    if not chosen:
        raise NoDataError(f"no level can be planned with: {'; '.join(told)}.")
    runs = tuple(dict.fromkeys(each.id for each in seen))
    return Measured(axis, _steps(chosen, axis), told, runs, spec, price, unpriced)


def _ids(store: Any, ref: str) -> list[str]:
    if not ref.startswith(LABEL):
        return [ref]
    stored = store.runs()
    found = stored[(stored["label"] == ref.removeprefix(LABEL)) & (stored["state"] == "finished")]
    if found.empty:
        raise NoDataError(
            f"no finished run has the label '{ref.removeprefix(LABEL)}'; see loadlab runs list."
        )
    return [str(run) for run in found["id"]]


def _observed(store: Any, run: Any, gaps: bool) -> list[Observed]:
    summary: Summary = summary_of(store, run.id)
    requests = store.requests(run.id)
    requests = requests[~flag(requests, "warmup")]
    found = []
    for level in summary.levels:
        own = requests[requests["level"] == level.index]
        if len(own):
            itl_ms = _gaps(store, run.id, level.index) if gaps else np.empty(0)
            found.append(Observed(summary, level, own, itl_ms, run.environment))
    return found


def _gaps(store: Any, run_id: str, level: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    found = store.gaps(run_id, level)
    return column(found[flag(found, "ok") & ~flag(found, "warmup")], "itl_ms")


def _check_alike(seen: Sequence[Observed]) -> None:
    first = seen[0]
    for other in {each.id: each for each in seen[1:]}.values():
        if grave := [each.words for each in apart(first, other, vary=_MEANT) if each.grave]:
            raise UsageError(
                f"runs {first.id} and {other.id} are not one sweep ({'; '.join(grave)}); plan with one of "
                "them, or with several through --mix."
            )


def _together(left_out: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    """One sentence per reason: "INVALID (generator late): 1 req/s, 2 req/s"."""
    labels: dict[str, list[str]] = {}
    for why, label in left_out:
        labels.setdefault(why, []).append(label)
    return tuple(f"{why}: {', '.join(dict.fromkeys(found))}" for why, found in labels.items())


def _usable(seen: Iterable[Observed]) -> tuple[list[Observed], list[tuple[str, str]]]:
    """What has a point on a curve, and (why the rest has none, its load)."""
    kept, left_out = [], []
    for each in seen:
        why = _why_not(each)
        if why:
            left_out.append((why, each.level.label))
        else:
            kept.append(each)
    return kept, left_out


def _why_not(seen: Observed) -> str:
    level = seen.level
    if (
        level.offered.get("profile")
        or level.offered.get("trace")
        or not {"rate", "users"} & set(level.offered)
    ):
        return "its load changes"
    if level.verdict == "INVALID" and level.requests["ok"]:
        return f"INVALID ({level.reasons[0].partition(':')[0]})"
    return ""


def _steps(seen: Sequence[Observed], axis: Axis) -> tuple[Step, ...]:
    """One step per load as it was offered."""
    together: dict[float, list[Observed]] = {}
    for each in seen:
        together.setdefault(float(each.level.offered[axis]), []).append(each)
    return tuple(Step(load, group[0].level.label, tuple(group)) for load, group in sorted(together.items()))


def mean_gap_variation(seen: Observed) -> float:
    """The squared coefficient of variation of the gaps between arrivals as they were planned."""
    planned = np.sort(column(seen.requests, "planned_ns")) / NS_PER_S
    gaps = np.diff(planned)
    return float((gaps.std() / gaps.mean()) ** 2) if gaps.size and gaps.mean() > 0 else float("nan")


def work_variation(step: Step) -> float:
    """The squared coefficient of variation of the work in a request, by its output tokens; NaN if unknown."""
    every = np.concatenate([column(each.requests, "output_tokens") for each in step.seen])
    known = every[np.isfinite(every)]
    return float((known.std() / known.mean()) ** 2) if known.size > 1 and known.mean() else float("nan")
