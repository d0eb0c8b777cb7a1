"""Series and incidents as pages need them. Looks at a store again only when more was judged there."""

from __future__ import annotations

from itertools import groupby
from typing import Any
from weakref import WeakKeyDictionary

from loadlab import history
from loadlab.analysis.measures import parse
from loadlab.core.incident import Incident
from loadlab.history import Found, Kind, Seen

from .source import Source

_SEEN: WeakKeyDictionary[Any, tuple[Any, Seen]] = WeakKeyDictionary()


def seen(source: Source) -> Seen:
    """What the series of the store show; runs that nobody judged yet are not in it."""
    store = source.store
    stamp = store.statistics.stamp()
    known = _SEEN.get(store)
    if known is None or known[0] != stamp:
        known = _SEEN[store] = stamp, history.look(store, complete=False)
    return known[1]


def kinds(found: Seen) -> dict[Kind, list[Found]]:
    """The series of each kind of run, the kind with the newest run first."""
    groups = {kind: list(of) for kind, of in groupby(found.found, key=lambda each: each.series.kind)}
    newest = {kind: max(each.series.points[-1].at_ns for each in of) for kind, of in groups.items()}
    return dict(sorted(groups.items(), key=lambda pair: -newest[pair[0]]))


def incidents(source: Source, every: bool) -> list[Incident]:
    """The incidents, newest first: all, or those that somebody still has to do with."""
    found: list[Incident] = source.store.incidents.all(None if every else ["open", "acknowledged"])
    return found


def headline(incident: Incident) -> str:
    """ "Time to first token p50 +20.3 % and 2 more"."""
    worst, others = incident.evidence["series"][0], len(incident.metrics) - 1
    return f"{parse(worst['metric']).title} {100 * (worst['ratio'] - 1):+.1f} %" + (
        f" and {others} more" if others else ""
    )
