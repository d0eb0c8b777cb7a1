"""Parts of the cost page: list beside effective price, idle hours, the prices in force."""

from __future__ import annotations

from typing import Any

import pandas as pd
from dash import html

from loadlab.core.units import number, usd
from loadlab.figures import MAX_SERIES, Paid, Theme, idle_hours, list_and_effective
from loadlab.figures.axes import quantity
from loadlab.figures.marks import COST

from ..components import Column, chart, empty, table
from ..kept import curves
from ..links import run_link
from ..prices import rate_words
from ..source import Source, short_id
from ..words import counted

MAX_ROWS, LOOKED_AT = 12, 10
LIST_NOTE = (
    "Of a million tokens, prompt and output together. The list price is the bare rates over the tokens of "
    "successful requests, or the hours without idle ones; what was paid has failures, warm-up, caching and "
    "idle hours in it."
)
IDLE_NOTE = (
    "Hardware is paid for when it waits, too. The curves divide the cost at the busiest level of each "
    "target's newest runs by the share of paid hours at work; the mark is the duty cycle in force. "
    "Arithmetic, not a measurement."
)
_PAID = (
    Column("Target and model", "name", number=False),
    Column("List", "list"),
    Column("Paid", "paid"),
    Column("Ratio", "ratio"),
    Column("Runs", "runs"),
)
_IDLE = (
    Column("Target", "name", number=False),
    Column("Price", "price", number=False),
    Column("Run and level", "run", number=False),
    Column("Output", "output"),
    Column("GPU busy", "busy"),
    Column("GPU power", "power"),
    Column("At work, in force", "duty"),
    *(Column(f"at {share} %", f"at{share}") for share in (100, 50, 25)),
    Column("$/Mtok in force", "now"),
)
_PRICES = (
    Column("Price", "name", number=False),
    Column("Rates", "rates", number=False),
    Column("Source", "source", number=False),
    Column("As of", "as_of", number=False),
    Column("Runs", "runs"),
)


def dumbbell(rows: pd.DataFrame, theme: Theme) -> list[Any]:
    """List price and effective price by target and model."""
    known = rows.dropna(subset=["list_usd", "usd_with_idle_hours"])
    known = known[(known["prompt_tokens"] + known["output_tokens"] > 0) & (known["list_usd"] > 0)]
    if known.empty:
        return [empty("No run has both a list price and token counts.")]
    groups = list(known.groupby(["target", "model"], sort=False))
    paid = [(_paid(f"{target} · {model}", group), len(group)) for (target, model), group in groups]
    paid.sort(key=lambda pair: -pair[0].effective_usd)
    shown = [each for each, _ in paid[:MAX_ROWS]]
    cells = [
        {
            "name": each.name,
            "list": f"{usd(each.list_usd)}/Mtok",
            "paid": f"{usd(each.effective_usd)}/Mtok",
            "ratio": f"× {number(each.effective_usd / each.list_usd)}",
            "runs": f"{runs:,}",
        }
        for each, runs in paid
    ]
    worst = max(paid, key=lambda pair: pair[0].effective_usd / pair[0].list_usd)[0]
    finding = (
        f"Paid over list price, most for {worst.name}: × {number(worst.effective_usd / worst.list_usd)}."
    )
    drawn = chart("paid", list_and_effective(shown, theme), finding, table(_PAID, cells, "List and paid"))
    more = len(paid) - len(shown)
    return [
        drawn,
        html.P(f"{more} cheaper ones are in the data table.", className="note") if more > 0 else None,
    ]


def _paid(name: str, rows: pd.DataFrame) -> Paid:
    mtok = float((rows["prompt_tokens"] + rows["output_tokens"]).sum()) / 1e6
    return Paid(name, float(rows["list_usd"].sum()) / mtok, float(rows["usd_with_idle_hours"].sum()) / mtok)


def idle(source: Source, rows: pd.DataFrame, theme: Theme) -> list[Any]:
    """What idle hours make of the price of hardware, by target."""
    hourly = rows[[price is not None and price.kind == "hour" for price in rows["price"]]]
    found = [each for _, group in hourly.groupby("target", sort=False) if (each := _busiest(source, group))]
    if not found:
        return [empty("No run here is paid by the hour: what is billed by use has no idle hours.")]
    best = {each["name"]: (each["cost"], each["share"]) for each in found}
    dearest = max(best.values(), key=lambda pair: pair[0] / pair[1])
    most = usd(dearest[0] / dearest[1])
    finding = f"{counted(len(best), 'target')} paid by the hour; in force up to {most}/Mtok."
    data = table(_IDLE, found, "Hardware paid by the hour")
    more = len(best) - MAX_SERIES
    note = html.P(f"{more} more targets are in the data table.", className="note") if more > 0 else None
    return [chart("idle", idle_hours(best, theme), finding, data), note]


def _busiest(source: Source, group: pd.DataFrame) -> dict[str, Any] | None:
    """Of the newest runs of a target the level with the most output that cost something, as a row."""
    best: dict[str, Any] | None = None
    most, newest = 0.0, group.head(LOOKED_AT)
    of_run = curves(source, list(newest["run"]))
    for row in newest.to_dict("records"):
        curve = of_run[row["run"]]
        known = curve[curve["verdict"] != "INVALID"].dropna(subset=[COST, "output_tokens_per_s"])
        if len(known) and known["output_tokens_per_s"].max() > most:
            level = known.sort_values("output_tokens_per_s").iloc[-1]
            most, duty = float(level["output_tokens_per_s"]), source.priced(row["run"]).spec.terms.duty_cycle
            best = _idle_row(row, level, float(level[COST]) * duty, duty)
    return best


def _idle_row(row: dict[Any, Any], level: Any, cost: float, duty: float) -> dict[str, Any]:
    return {
        "name": row["target"],
        "cost": cost,
        "share": duty,
        "price": rate_words(row["price"]),
        "run": [run_link(row["run"], short_id(row["run"])), f", {level['offered']}"],
        "output": quantity(level["output_tokens_per_s"], "tok/s"),
        "busy": quantity(level["gpu_utilisation_percent"], "%"),
        "power": quantity(level["gpu_power_w"], "W"),
        "duty": f"{duty:.0%}",
        **{f"at{share}": usd(cost / share * 100) for share in (100, 50, 25)},
        "now": usd(cost / duty),
    }


def prices(rows: pd.DataFrame) -> list[Any]:
    """Each price that runs of the window are at, with its source."""
    named: dict[tuple[str, str], tuple[Any, int]] = {}
    for price in rows["price"]:
        if price is not None:
            key = (rate_words(price), price.source)
            named[key] = (price, named.get(key, (price, 0))[1] + 1)
    cells = [
        {
            "name": html.Code(price.name),
            "rates": rates,
            "source": ", ".join(part for part in (source, price.version, price.assumption) if part),
            "as_of": html.Span(price.as_of, className="once"),
            "runs": f"{runs:,}",
        }
        for (rates, source), (price, runs) in named.items()
    ]
    unpriced = int(sum(price is None for price in rows["price"]))
    note = html.P(
        [
            f"{counted(unpriced, 'run')} without a price: ",
            html.Code("loadlab cost reprice RUN --price NAME"),
            " gives one. Every earlier price of a run is kept; ",
            html.Code("loadlab cost show RUN"),
            " lists them.",
        ],
        className="note",
    )
    return [table(_PRICES, cells, "Prices in force"), note]
