"""Cost: where the money goes, what it buys, and how much of it is wasted."""

from __future__ import annotations

import calendar
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pandas as pd
from dash import Dash, dcc, html

from loadlab.analysis.spending import CLASSES, added, total
from loadlab.core.units import usd
from loadlab.figures import MAX_SERIES, Theme, spend_per_day

from .. import url
from ..choosing import chips
from ..components import Column, chart, empty, page, section, table, tiles
from ..empty import no_runs
from ..moments import days_ago_ns
from ..source import Source
from ..spent import SPENT, allowed, month_usd
from ..words import counted, share
from . import cost_parts as parts

PATH = "/cost"
TITLE = "Cost"
KEYS = ("by", "w", "ttft")
GROUPS = {"target": "Target", "model": "Model", "scenario": "Scenario", "class": "Token class"}
WINDOWS = {"7d": 7.0, "30d": 30.0, "90d": 90.0, "all": None}
TTFT_MS = 500.0
_GROUPED = (
    Column("Runs", "runs"),
    Column("Requests", "requests"),
    Column("Failed", "failed"),
    Column("Output tokens", "output_tokens"),
    Column("Cost", "usd"),
    Column("Wasted", "wasted_usd", help="On requests that failed, were cut off or truncated"),
    Column("Warm-up", "warmup_usd", help="Requests or hours before measuring began; part of the cost"),
    Column("$/Mtok output", "per_mtok", help="All cost, idle hours too, over the output tokens"),
    Column("Per request", "per_request", help="All cost over the requests that succeeded"),
    Column("Per 1k at the SLO", "per_kept", help="All cost over a thousand requests that kept the limit"),
)


def layout(source: Source, theme: Theme, query: Mapping[str, str]) -> Any:
    """The runs of window `w`, grouped `by`; `ttft` is the limit (ms) that a good request keeps."""
    kept = {key: query.get(key) for key in KEYS}
    by, window = _one_of(kept["by"], GROUPS, "target"), _one_of(kept["w"], WINDOWS, "30d")
    days = WINDOWS[window]
    since_ns = 0 if days is None else days_ago_ns(days)
    rows, limit_ms = SPENT.runs(source, since_ns, window), _limit(kept["ttft"])
    choices = _choices({**kept, "by": by, "w": window, "ttft": f"{limit_ms:g}"})
    if rows.empty:
        return page(TITLE, None, *_nothing(source, window, choices))
    good = SPENT.kept(source, since_ns, window, limit_ms)
    rows = rows.assign(kept=rows["run"].map(good).fillna(0).astype(int))
    if rows["usd_at_least"].isna().all():
        return page(TITLE, None, choices, _unpriced(len(rows)))
    about = f"{counted(len(rows), 'run')}, window {window}"
    return page(
        TITLE,
        _answer(rows, by, window),
        choices,
        _tiles(source, rows, limit_ms),
        section("Day by day", *_days(rows, by, theme), note=_days_note(rows)),
        section(f"By {GROUPS[by].lower()}", _grouped(rows, by, limit_ms)),
        section("List price and what was paid", *parts.dumbbell(rows, theme), note=parts.LIST_NOTE),
        section("Idle hours", *parts.idle(source, rows, theme), note=parts.IDLE_NOTE),
        section("Prices in force", *parts.prices(rows)),
        about=about,
    )


def register(app: Dash, source: Source) -> None:
    """Choices are links."""


def _one_of(value: str | None, known: Mapping[str, Any], default: str) -> str:
    return value if value in known else default  # type: ignore[return-value]


def _limit(text: str | None) -> float:
    try:
        value = float(text or TTFT_MS)
    except ValueError:
        return TTFT_MS
    return value if 0 < value < 1e9 else TTFT_MS


def _choices(kept: Mapping[str, str | None]) -> html.Div:
    limits = sorted({100.0, 200.0, 500.0, 1000.0, float(kept["ttft"] or TTFT_MS)})
    return html.Div(
        [
            chips("By", PATH, kept, "by", GROUPS.items()),
            chips("Window", PATH, kept, "w", [(name, name) for name in WINDOWS]),
            chips("SLO: TTFT ≤", PATH, kept, "ttft", [(f"{each:g}", f"{each:g} ms") for each in limits]),
        ],
        className="choices",
    )


def _nothing(source: Source, window: str, choices: html.Div) -> list[Any]:
    if window == "all" or not source.check():
        return [no_runs(source, "run", "--price cpu-hour --users 8 --requests 96")]
    everything = dcc.Link("Show all runs", href=PATH + url.write({"w": "all"}))
    return [choices, empty(f"No run began in the last {window.removesuffix('d')} days.", (), everything)]


def _unpriced(runs: int) -> html.Div:
    return empty(
        f"None of the {counted(runs, 'run')} has a price, and what is unpriced is not free. Give one "
        "afterwards, or name one with the next run:",
        ("loadlab cost reprice latest --price cpu-hour", "loadlab run chat --target NAME --price 2.50/h"),
    )


def money(row: Mapping[str, Any], name: str = "usd") -> str:
    """A sum, or what is known of it as "at least"."""
    value, least = row[name], row.get("usd_at_least")
    if pd.isna(value) and name == "usd" and not pd.isna(least):
        return f"≥ {usd(least)}"
    return "–" if pd.isna(value) else usd(value)


def _answer(rows: pd.DataFrame, by: str, window: str) -> str:
    sums, when = total(rows), "in all" if window == "all" else f"in the last {window.removesuffix('d')} days"
    known = (
        "" if sums["unpriced"] == 0 else f" {counted(sums['unpriced'], 'run')} of {len(rows)} have no price."
    )
    text = f"{money(sums)} {when} over {counted(len(rows), 'run')}."
    groups = added(rows, by) if by != "class" else pd.DataFrame()
    if len(groups) > 1 and sums["usd_at_least"] > 0:
        first = groups.iloc[0]
        part = 100 * first["usd_at_least"] / sums["usd_at_least"]
        text = f"{text[:-1]}, {part:.0f} % of it for {first[by]}."
    return text + known


def _tiles(source: Source, rows: pd.DataFrame, limit_ms: float) -> html.Div:
    sums, kept = total(rows), int(rows["kept"].sum())
    good = sums["requests"] - sums["failed"]
    spent = sums["usd_at_least"]
    priced = rows[rows["usd"].notna()]
    waste, warm = priced["wasted_usd"], priced["warmup_usd"]
    answers = int(priced["requests"].sum() - priced["failed"].sum())
    within = int(priced["kept"].sum())
    per_mtok = _over(priced["usd_with_idle_hours"].sum(), priced["output_tokens"].sum() / 1e6)
    return tiles(
        ("Spent", money(sums), counted(len(rows), "run")),
        ("Per successful request", _usd(_over(spent, answers)), f"n = {good:,}"),
        (f"Per 1k with TTFT ≤ {limit_ms:g} ms", _usd(_over(spent, within / 1000)), share(kept, good)),
        ("$/Mtok output", _usd(per_mtok), "idle hours included"),
        ("Wasted on failures", _least(waste), _part(waste.sum(), spent)),
        ("Warm-up", _least(warm), _part(warm.sum(), spent)),
        ("This month", *_month(source)),
    )


def _over(value: float, by: float) -> float | None:
    return None if pd.isna(value) or not by else float(value / by)


def _usd(value: float | None) -> str:
    return "–" if value is None or pd.isna(value) else usd(value)


def _least(parts: pd.Series[float]) -> str:
    """A sum of which some parts may not be known."""
    if parts.isna().any() and not parts.sum():
        return "not known"
    return f"{'≥ ' if parts.isna().any() else ''}{usd(float(parts.sum()))}"


def _part(value: float, spent: float) -> str:
    return f"{100 * value / spent:.1f} % of the cost" if spent else "–"


def _month(source: Source) -> tuple[str, str]:
    spent, most = month_usd(source), allowed()[0]
    if most is None:
        return _usd(spent), "no budget set"
    return _usd(spent), f"{100 * (spent or 0) / most:.0f} % of {usd(most)}"


def _days(rows: pd.DataFrame, by: str, theme: Theme) -> list[Any]:
    drawn = _long(rows, by)
    if drawn.empty:
        return [empty("No run of this window has a known cost.")]
    most, problem = allowed()
    now = datetime.now(UTC)
    per_day = None if most is None else most / calendar.monthrange(now.year, now.month)[1]
    figure = spend_per_day(drawn, by, per_day, theme)
    whole = drawn.groupby("day")["usd"].sum()
    finding = f"Cost per day by {GROUPS[by].lower()}: highest {usd(float(whole.max()))} on {whole.idxmax()}."
    data = drawn.groupby(["day", by])["usd"].sum().reset_index()
    columns = (
        Column("Day (UTC)", "day", number=False),
        Column(GROUPS[by], by, number=False),
        Column("Cost", "usd"),
    )
    cells = [{"day": at, by: name, "usd": usd(spent)} for at, name, spent in data.itertuples(index=False)]
    drawn_chart = chart("spend", figure, finding, table(columns, cells, "Cost per day"), data)
    return [drawn_chart, html.P(problem, className="note") if problem else None]


def _long(rows: pd.DataFrame, by: str) -> pd.DataFrame:
    """day, group, usd: of the classes one row each."""
    if by != "class":
        return rows[["day", by, "usd_at_least"]].rename(columns={"usd_at_least": "usd"}).dropna()
    each = rows[["day", *CLASSES]].melt(id_vars="day", var_name="class", value_name="usd")
    return each.dropna()


def _days_note(rows: pd.DataFrame) -> str:
    words = f"The five dearest have their own colour, the others share one: {MAX_SERIES} at most."
    unknown = int(rows["usd"].isna().sum())
    return words + (f" {counted(unknown, 'run')} without a known cost are not in it." if unknown else "")


def _grouped(rows: pd.DataFrame, by: str, limit_ms: float) -> Any:
    if by == "class":
        return _classes(rows)
    kept = rows.groupby(by)["kept"].sum()
    columns = (Column(GROUPS[by], by, number=False), *_GROUPED)
    groups = added(rows, by)
    cells = [_group(row, by, int(kept[row[by]])) for row in groups.head(50).to_dict("records")]
    more = len(groups) - 50
    note = html.P(f"{more} cheaper ones are not listed.", className="note") if more > 0 else None
    return html.Div([table(columns, cells, f"Cost by {GROUPS[by].lower()}"), note])


def _group(row: Mapping[Any, Any], by: str, kept: int) -> dict[str, Any]:
    good = row["requests"] - row["failed"]
    unpriced = f" ({row['unpriced']} unpriced)" if row["unpriced"] else ""
    return {
        by: row[by],
        "runs": f"{row['runs']:,}{unpriced}",
        **{name: f"{row[name]:,}" for name in ("requests", "failed", "prompt_tokens", "output_tokens")},
        "usd": money(row),
        "wasted_usd": _usd(row["wasted_usd"]),
        "warmup_usd": _usd(row["warmup_usd"]),
        "per_mtok": _usd(row["usd_per_mtok_output"]),
        "per_request": _usd(_over(row["usd"], good)),
        "per_kept": _usd(_over(row["usd"], kept / 1000)),
    }


def _classes(rows: pd.DataFrame) -> html.Div:
    sums = rows[list(CLASSES)].sum()
    whole = float(sums.sum())
    columns = (Column("Class", "class", number=False), Column("Cost", "usd"), Column("Share", "share"))
    cells = [
        {"class": name, "usd": usd(float(value)), "share": f"{100 * value / whole:.1f} %"}
        for name, value in sums.items()
        if value
    ]
    return table(columns, cells, "Cost by token class")
