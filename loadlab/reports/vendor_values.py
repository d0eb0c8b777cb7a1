"""A vendor comparison as plain values: what --json prints. Unknown is None."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from loadlab.analysis.tiers import Pair
from loadlab.analysis.vendors import Compared, Standing
from loadlab.reports import vendor_disclosure
from loadlab.reports.vendor_charts import availability
from loadlab.reports.vendor_numbers import Numbers


def values(found: Numbers) -> dict[str, Any]:
    """All of it as plain values."""
    return {
        "comparison": found.study.name,
        "workloads": [_compared(each) for each in found.compared],
        "availability": [
            {"vendor": each.name, "percent": each.value, "low": each.low, "high": each.high, "sent": each.n}
            for each in availability(found)
        ],
        "disclosure": vendor_disclosure.values(found),
    }


def _compared(compared: Compared) -> dict[str, Any]:
    return {
        "workload": compared.workload,
        "slots": compared.slots,
        "vendors": [_standing(each) for each in compared.standings],
        "rankings": {
            measure: {"tiers": [list(names) for names in ranking.tiers], "pairs": _pairs(ranking.pairs)}
            for measure, ranking in compared.rankings.items()
        },
        "hours": _plain_rows(compared),
        "scatter": {"sigma": compared.sigma, "slot_noise": compared.slot_noise},
    }


def _standing(each: Standing) -> dict[str, Any]:
    return {
        "vendor": each.vendor,
        "sent": each.sent,
        "answered": each.answered,
        "failures": dict(each.kinds),
        "measures": {
            measure: {
                stat: {"value": found.value if not found.why.endswith("needed") else None,
                       "low": found.low, "high": found.high, "n": found.n}
                for stat, found in stats.items()
            }
            for measure, stats in each.measures.items()
        },
        "cold": dict(each.cold),
        "tokens": dict(each.tokens),
        "usd": dict(each.cost),
    }  # fmt: skip


def _pairs(found: Sequence[Pair]) -> list[dict[str, Any]]:
    return [
        {"a": pair.a, "b": pair.b, "slots": pair.slots, "ratio": pair.ratio, "low": pair.low,
         "high": pair.high, "p": pair.p, "told_apart": pair.apart}
        for pair in found
    ]  # fmt: skip


def _plain_rows(compared: Compared) -> list[dict[str, Any]]:
    rows = compared.hours.astype(object).to_dict("records")
    return [{str(key): None if value != value else value for key, value in row.items()} for row in rows]
