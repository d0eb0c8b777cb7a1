"""What the throughput-versus-latency page is asked to show, as its URL says it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from loadlab.figures.axes import axis
from loadlab.figures.slo import DEFAULT, Limit, parse, write

from . import url

LIMITED = ("ttft_ms_p95", "itl_ms_p95")  # the limits that have an input of their own
NO_LIMIT = "none"


@dataclass(frozen=True, slots=True)
class Choice:
    """Runs (ids or prefixes), the columns across and up, and the limits of the SLO."""

    runs: tuple[str, ...] = ()
    x: str = "ttft_ms_p95"
    y: str = "output_tokens_per_s"
    limits: tuple[Limit, ...] = DEFAULT

    @classmethod
    def read(cls, query: Mapping[str, str]) -> Choice:
        """The choice of a query. Raises UsageError for an SLO or an axis that is not understood."""
        slo = query.get("slo")
        return cls(
            runs=tuple(url.names(query.get("runs"))),
            x=axis(query.get("x", cls().x)).column,
            y=axis(query.get("y", cls().y)).column,
            limits=DEFAULT if slo is None else () if slo == NO_LIMIT else parse(slo),
        )

    @property
    def search(self) -> str:
        """The query string that `read` turns back into this choice."""
        slo = write(self.limits) or NO_LIMIT
        return url.write({"runs": ",".join(self.runs), "slo": slo, "x": self.x, "y": self.y})

    def of_runs(self, runs: Iterable[str]) -> Choice:
        """The same for other runs, each once."""
        return replace(self, runs=tuple(dict.fromkeys(runs)))

    def limit(self, column: str) -> float | None:
        """The limit on a column, None when there is none."""
        return next((limit.value for limit in self.limits if limit.column == column), None)

    def changed(self, runs: Sequence[str], x: str, y: str, limits: Sequence[Any]) -> Choice:
        """The choice after the controls say this; `limits` are the values for LIMITED, "" for none.

        Limits on other columns, which only a URL can set, stay.
        """
        values = zip(LIMITED, limits, strict=True)
        inputs = [Limit(column, float(value)) for column, value in values if value and float(value) > 0]
        others = [limit for limit in self.limits if limit.column not in LIMITED]
        return Choice(tuple(runs), x, y, (*inputs, *others))
