"""What several series say together: steps for the worse that still stand, grouped, and known or new.

Benjamini-Hochberg over all series keeps one odd series among many from crying; what moved within one run of
each other is one regression. In scope: found series in, incidents out. No store is known here.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from secrets import token_hex
from typing import Any

from loadlab.analysis.multiple import benjamini_hochberg
from loadlab.core.incident import Change, Incident
from loadlab.history.found import Found, toward_worse
from loadlab.history.segments import PRACTICAL, Cut
from loadlab.history.series import Kind, Point
from loadlab.history.thresholds import SHARE

APART, SAME = 1, 3  # runs: of one regression across measures; of one seen again with more runs
LOADLAB = "loadlab"


@dataclass(frozen=True)
class Regression:
    """Measures of one kind that became worse together, the most certain first."""

    kind: Kind
    members: tuple[tuple[Found, Cut], ...]

    @property
    def last_good(self) -> Point:
        """The last run before the step."""
        found, cut = self.members[0]
        return found.series.points[cut.at - 1]

    @property
    def first_bad(self) -> Point:
        """The first run after it."""
        found, cut = self.members[0]
        return found.series.points[cut.at]

    @property
    def last_good_commit(self) -> str | None:
        """The newest commit before that of the first bad run: a step is sometimes found a run late."""
        found, cut = self.members[0]
        earlier = [point.commit for point in found.series.points[cut.at - 1 :: -1]]
        bad = self.first_bad.commit
        return next((commit for commit in earlier if commit and commit != bad), earlier[0])

    @property
    def delay_runs(self) -> int:
        """How many runs there are since, the first bad one included."""
        found, cut = self.members[0]
        return len(found.series.points) - cut.at

    @property
    def causes(self) -> list[str]:
        """What else changed within a run of the step, in words."""
        found, cut = self.members[0]
        near = range(cut.at - APART, cut.at + APART + 1)
        return list(dict.fromkeys(word for at in near for word in found.series.marked.get(at, ())))


def regressions(all_found: Sequence[Found]) -> list[Regression]:
    """The regressions that stand, in the order of kinds and time."""
    sure = benjamini_hochberg([_chance(each) for each in all_found]) if all_found else []
    by_kind: dict[Kind, list[tuple[Found, Cut]]] = defaultdict(list)
    for each, certain in zip(all_found, sure, strict=True):
        if certain:
            by_kind[each.series.kind] += [(each, cut) for cut in standing(each)]
    return [Regression(kind, tuple(group)) for kind, steps in by_kind.items() for group in _grouped(steps)]


def standing(found: Found) -> list[Cut]:
    """The strong cuts for the worse that were not made good since."""
    logs, (start, end) = found.series.logs, found.stretches[-1]
    now = float(logs[start:end].mean())
    return [cut for cut in found.strong if found.worse(cut) and _still(found, cut, now)]


def _still(found: Found, cut: Cut, now: float) -> bool:
    away = now - cut.step.left
    return toward_worse(found.series.measure, away) and abs(away) >= math.log1p(PRACTICAL)


def _chance(found: Found) -> float:
    """How likely such a series is without any step: the limit is where 2.5 % of them have one."""
    ps = [cut.step.p for cut in found.strong]
    return min(1.0, SHARE * min(ps) / found.limit) if ps else 1.0


def _grouped(steps: Iterable[tuple[Found, Cut]]) -> list[list[tuple[Found, Cut]]]:
    """Steps whose runs lie next to each other, the most certain first in each group."""
    steps = sorted(steps, key=_at_ns)
    runs = sorted({point.at_ns for found, _ in steps for point in found.series.points})
    groups: list[list[tuple[Found, Cut]]] = []
    for step in steps:
        if groups and runs.index(_at_ns(step)) - runs.index(_at_ns(groups[-1][-1])) <= APART:
            groups[-1].append(step)
        else:
            groups.append([step])
    return [sorted(group, key=lambda step: step[1].step.p) for group in groups]


def _at_ns(step: tuple[Found, Cut]) -> int:
    found, cut = step
    return found.series.points[cut.at].at_ns


def known(regression: Regression, incidents: Sequence[Incident]) -> Incident | None:
    """The incident that this regression was stored as, in any state; its place may have moved a little."""
    runs = [point.run_id for point in regression.members[0][0].series.points]
    at = runs.index(regression.first_bad.run_id)
    near = set(runs[max(0, at - SAME) : at + SAME + 1])
    for incident in incidents:
        evidence = incident.evidence
        if evidence.get("kind") == regression.kind.key and evidence.get("first_bad_run") in near:
            return incident
    return None


def incident(regression: Regression, now_ns: int) -> Incident:
    """A new incident of a regression."""
    kind, stamp = regression.kind, datetime.fromtimestamp(now_ns // 10**9, UTC)
    return Incident(
        id=f"inc-{stamp:%Y%m%d}-{token_hex(2)}",
        opened_at_ns=now_ns,
        state="open",
        scenario=kind.scenario,
        target=kind.target,
        model=kind.model,
        hardware=kind.hardware,
        metrics=_metrics(regression),
        evidence=evidence(regression),
        changes=(Change(now_ns, "open", LOADLAB, f"found with run {_newest(regression).run_id}"),),
    )


def revised(incident: Incident, regression: Regression) -> Incident:
    """The same incident with what more runs say; how long it took to be found stays."""
    fresh = {**evidence(regression), "delay_runs": incident.evidence.get("delay_runs")}
    return replace(incident, metrics=_metrics(regression), evidence=fresh)


def evidence(regression: Regression) -> dict[str, Any]:
    """What was seen, ready for JSON."""
    good, bad = regression.last_good, regression.first_bad
    return {
        "kind": regression.kind.key,
        "title": regression.kind.title,
        "load": regression.kind.load,
        "branch": regression.kind.branch,
        "level": bad.level,
        "series": [_seen(*member) for member in regression.members],
        "last_good_run": good.run_id,
        "first_bad_run": bad.run_id,
        "last_good_commit": regression.last_good_commit,
        "first_bad_commit": bad.commit,
        "first_bad_at_ns": bad.at_ns,
        "causes": regression.causes,
        "delay_runs": regression.delay_runs,
    }


def _seen(found: Found, cut: Cut) -> dict[str, Any]:
    ratio, low, high = cut.step.ratio
    return {
        "metric": found.series.measure.name,
        "before": math.exp(cut.step.left),
        "after": math.exp(cut.step.right),
        "runs_before": cut.step.n,
        "runs_after": cut.step.m,
        "ratio": ratio,
        "low": low,
        "high": high,
        "p": cut.step.p,
        "limit": found.limit,
    }


def _metrics(regression: Regression) -> tuple[str, ...]:
    return tuple(found.series.measure.name for found, _ in regression.members)


def _newest(regression: Regression) -> Point:
    return regression.members[0][0].series.points[-1]


def made_good(incident: Incident, all_found: Sequence[Found]) -> Point | None:
    """The run since which every metric of an incident is as it was before, None while one is not."""
    before = {each["metric"]: each["before"] for each in incident.evidence["series"]}
    of = [
        each for each in all_found
        if each.series.kind.key == incident.evidence.get("kind") and each.series.measure.name in before
    ]  # fmt: skip
    since = [_restored(each, before[each.series.measure.name], incident) for each in of]
    if not since or any(point is None for point in since):
        return None
    return max((point for point in since if point), key=lambda point: point.at_ns)


def _restored(found: Found, before: float, incident: Incident) -> Point | None:
    """The first run of the newest stretch, where that began after the incident and is as good as before."""
    start, end = found.stretches[-1]
    first = found.series.points[start]
    away = float(found.series.logs[start:end].mean()) - math.log(before)
    bad = toward_worse(found.series.measure, away) and abs(away) >= math.log1p(PRACTICAL)
    return None if bad or first.at_ns <= incident.evidence["first_bad_at_ns"] else first
