"""What the throughput-versus-latency page is asked to show, as its URL says it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from loadlab.figures.axes import LATENCIES, SCALES, STATISTICS, axis
from loadlab.figures.slo import DEFAULT, Limit, parse, write

from . import url

LIMITED = ("ttft_ms", "itl_ms")  # the metrics whose limit has an input of its own
STATS = tuple(stat for stat in STATISTICS if stat != "max")
SHOWN = ("dominated", "intervals")  # what can be hidden
NO_LIMIT = "none"


@dataclass(frozen=True, slots=True)
class Choice:
    """Runs (ids or prefixes), the columns across and up, the limits of the SLO, and how it is drawn.

    `scale` is auto, linear or log; `hidden` names what of SHOWN is left out.
    """

    runs: tuple[str, ...] = ()
    x: str = "ttft_ms_p95"
    y: str = "output_tokens_per_s"
    limits: tuple[Limit, ...] = DEFAULT
    scale: str = SCALES[0]
    hidden: frozenset[str] = frozenset()

    @classmethod
    def read(cls, query: Mapping[str, str]) -> Choice:
        """The choice of a query. Raises UsageError for an SLO or an axis that is not understood."""
        slo, scale = query.get("slo"), query.get("scale", SCALES[0])
        return cls(
            runs=tuple(url.names(query.get("runs"))),
            x=axis(query.get("x", cls().x)).column,
            y=axis(query.get("y", cls().y)).column,
            limits=DEFAULT if slo is None else () if slo == NO_LIMIT else parse(slo),
            scale=scale if scale in SCALES else SCALES[0],
            hidden=frozenset(url.names(query.get("hide"))) & frozenset(SHOWN),
        )

    @property
    def search(self) -> str:
        """The query string that `read` turns back into this choice."""
        query = {
            "runs": ",".join(self.runs),
            "slo": write(self.limits) or NO_LIMIT,
            "x": self.x,
            "y": self.y,
            "scale": None if self.scale == SCALES[0] else self.scale,
            "hide": ",".join(sorted(self.hidden)),
        }
        return url.write(query)

    @property
    def stat(self) -> str:
        """The statistic of latencies: that of the axis across, else of the first limit, else p95."""
        columns = [self.x, *(limit.column for limit in self.limits)]
        return next((stat for _, stat in map(split, columns) if stat), "p95")

    def of_runs(self, runs: Iterable[str]) -> Choice:
        """The same for other runs, each once."""
        return replace(self, runs=tuple(dict.fromkeys(runs)))

    def limit(self, metric: str) -> float | None:
        """The limit on a metric at the statistic chosen, None when there is none."""
        column = with_stat(metric, self.stat)
        return next((limit.value for limit in self.limits if limit.column == column), None)

    def changed(
        self,
        runs: Sequence[str],
        x: str,
        y: str,
        limits: Sequence[Any],
        stat: str = "",
        scale: str = "",
        shown: Sequence[str] = SHOWN,
    ) -> Choice:
        """The choice after the controls say this; `limits` are the values for LIMITED, "" for none.

        `x` and `y` are axes without a statistic, `shown` what of SHOWN is to be seen. Limits on
        other columns, which only a URL can set, stay.
        """
        stat = stat or self.stat
        values = zip(LIMITED, limits, strict=True)
        given = {metric: float(value) for metric, value in values if value and float(value) > 0}
        inputs = [Limit(with_stat(metric, stat), value) for metric, value in given.items()]
        own = {with_stat(metric, self.stat) for metric in LIMITED}
        others = [limit for limit in self.limits if limit.column not in own]
        hidden = frozenset(SHOWN) - frozenset(shown)
        return Choice(
            tuple(runs),
            with_stat(x, stat),
            with_stat(y, stat),
            (*inputs, *others),
            scale or self.scale,
            hidden,
        )


def split(column: str) -> tuple[str, str]:
    """("ttft_ms", "p95") of "ttft_ms_p95"; ("users", "") of a column without a statistic."""
    name, _, stat = column.rpartition("_")
    return (name, stat) if name in LATENCIES and stat in STATISTICS else (column, "")


def with_stat(column: str, stat: str) -> str:
    """A latency at a statistic; any other column as it is."""
    name, _ = split(column)
    return f"{name}_{stat}" if name in LATENCIES else column
