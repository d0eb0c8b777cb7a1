"""`loadlab cost`: what runs cost together, one run under other prices or terms, and mixes of two."""

from __future__ import annotations

import csv
import io
import re
import sys
import time
from collections.abc import Mapping
from contextlib import closing
from typing import TYPE_CHECKING, Annotated, Any

import typer

from loadlab.cli import options
from loadlab.cli.output import emit_json, say
from loadlab.core.config import store_url
from loadlab.core.errors import NoDataError, UnknownNameError, UsageError
from loadlab.core.units import NS_PER_S, number, parse_duration, usd

if TYPE_CHECKING:
    import pandas as pd

    from loadlab.analysis.mix import Side
    from loadlab.core.money import Terms
    from loadlab.store import Store
    from loadlab.store.stored import Pricing

app = typer.Typer(help="What runs cost, by whatever you ask; prices changed later; what a mix would cost.")

FORMATS = ("text", "csv", "json")
Ref = Annotated[str, typer.Argument(metavar="RUN", help="A run's id, the beginning of one, or 'latest'.")]
Tariff = Annotated[float | None, typer.Option(help="USD per kWh.", metavar="USD")]
Pue = Annotated[float | None, typer.Option(help="Power of the whole site over that of its devices.")]
Grid = Annotated[float | None, typer.Option(help="Grid intensity, g CO2e per kWh.", metavar="GRAMS")]
Duty = Annotated[
    float | None, typer.Option(help="Share of paid hours in which the hardware works as in the test.")
]
Weight = Annotated[float | None, typer.Option(help="What a prompt token counts beside an output token.")]


@app.callback(invoke_without_command=True)
def cost(
    context: typer.Context,
    by: Annotated[str, typer.Option(help="Columns to group by.")] = "target,model,scenario",
    since: Annotated[
        str | None, typer.Option(help="Only runs begun since: 30d, 12h or 2026-11-01.", metavar="WHEN")
    ] = None,
    form: Annotated[str, typer.Option("--format", "-f", help="text, csv or json.")] = "text",
    db: options.Db = None,
    json: options.Json = False,
) -> None:
    """Add up what runs cost, every request of them."""
    if context.invoked_subcommand:
        return
    from loadlab.analysis import ledger

    form = "json" if json else form
    if form not in FORMATS:
        raise UnknownNameError("format", form, FORMATS)
    with closing(_open(db)) as store:
        found = ledger.costs(store, by.split(","), _since_ns(since))
    if found.empty:
        raise NoDataError("no run was recorded in that time; `loadlab runs list` shows what there is.")
    if form == "json":
        emit_json({"costs": found.to_dict("records")})
    else:
        sys.stdout.write(_csv(found) if form == "csv" else _table(found, by.split(",")))


@app.command("show")
def show(ref: Ref = "latest", db: options.Db = None, json: options.Json = False) -> None:
    """Show what one run cost level by level, and every price it was given."""
    from loadlab.analysis import summary_of

    with closing(_open(db)) as store:
        summary, pricings = summary_of(store, ref), store.pricings(store.run(ref).id)
    levels = [{"offered": level.label, **level.cost} for level in summary.levels]
    if json:
        emit_json({"run": summary.run["id"], "levels": levels, "pricings": [*map(_pricing, pricings)]})
        return
    from loadlab.reports import cost as in_words

    typer.echo(summary.run["id"])
    for level in summary.levels:
        typer.echo(f"{level.label}\n  " + "\n  ".join([*in_words.words([level]), _denominators(level.cost)]))
    _say_pricings(pricings)


@app.command("reprice")
def reprice(
    ref: Ref = "latest",
    price: options.PriceName = None,
    slo: options.Slo = None,
    usd_per_kwh: Tariff = None,
    pue: Pue = None,
    grid: Grid = None,
    duty_cycle: Duty = None,
    input_weight: Weight = None,
    db: options.Db = None,
    json: options.Json = False,
) -> None:
    """Price a run again: by a name, or by what applies today. What it cost before is kept and shown."""
    from loadlab import pricing
    from loadlab.analysis import summary_of
    from loadlab.pricing.terms import changed

    flags = {
        "usd_per_kwh": usd_per_kwh, "pue": pue, "g_co2e_per_kwh": grid, "duty_cycle": duty_cycle,
        "input_weight": input_weight,
    }  # fmt: skip
    with closing(_open(db)) as store:
        stored, before = store.run(ref), summary_of(store, ref)
        found, unpriced = pricing.resolve(price, stored.spec.endpoint)
        terms = changed(store.pricings(stored.id)[-1].terms, slo, **flags)
        store.reprice(stored.id, found, unpriced, terms)
        after, pricings = summary_of(store, stored.id), store.pricings(stored.id)
    sums = [_sum(before), _sum(after)]
    if json:
        costs = {"before_usd": sums[0], "after_usd": sums[1]}
        emit_json({"run": stored.id, **costs, "pricings": [*map(_pricing, pricings)]})
        return
    typer.echo(f"{stored.id}: {usd(sums[0])} before, {usd(sums[1])} now")
    _say_pricings(pricings)


@app.command("mix")
def mix(
    first: Annotated[str, typer.Argument(metavar="RUN_A", help="A run; RUN:1 for its second level.")],
    second: Annotated[
        str | None, typer.Argument(metavar="RUN_B", help="Another; left out: a response cache.")
    ] = None,
    share: Annotated[float, typer.Option(help="Part of the requests that goes to RUN_B, 0 to 1.")] = 0.5,
    db: options.Db = None,
    json: options.Json = False,
) -> None:
    """Say what a router between two measured runs, or a response cache, would cost and how fast it is."""
    from loadlab.analysis.mix import mix as mixed

    with closing(_open(db)) as store:
        found = mixed(_side(store, first), _side(store, second) if second else None, share)
    emit_json({"mix": found}) if json else typer.echo(_mix_words(found))


def _side(store: Store, ref: str) -> Side:
    """A level of a run: RUN where it has one, else RUN:LEVEL. Raises UsageError."""
    from loadlab.analysis import summary_of
    from loadlab.analysis.mix import Side

    name, colon, index = ref.rpartition(":")
    summary = summary_of(store, name if colon else ref)
    levels = {str(level.index): level for level in summary.levels}
    if not colon and len(levels) != 1:
        raise UsageError(f"run '{ref}' has {len(levels)} levels; say which, such as {ref}:0.")
    if colon and index not in levels:
        raise UnknownNameError(f"level of run {name}", index, levels)
    level = levels[index] if colon else next(iter(levels.values()))
    return Side.of(ref, level, store.requests(summary.run["id"], level.index))


def _open(db: str | None) -> Store:
    from loadlab import store

    return store.open(store_url(db), create=False)


def _since_ns(text: str | None) -> int:
    """UTC ns of 30d, 12h, a date or a time; 0 for None. Raises UsageError."""
    at_ns = 0 if text is None else max(0, _instant_ns(text))
    if at_ns > time.time_ns():
        raise UsageError(f"--since '{text}' is still to come.")
    return at_ns


def _instant_ns(text: str) -> int:
    if days := re.fullmatch(r"(\d+)d", text):
        return time.time_ns() - int(days[1]) * 86_400 * NS_PER_S
    if re.match(r"\d{4}-\d\d-\d\d", text):
        from loadlab.pricing.meter import instant

        try:
            return instant(text)
        except ValueError as error:
            raise UsageError(f"--since '{text}' is not a date: {error}.") from error
    return time.time_ns() - round(parse_duration(text) * NS_PER_S)


def _csv(costs: pd.DataFrame) -> str:
    page = io.StringIO()
    writer = csv.writer(page, lineterminator="\n")
    writer.writerow(costs.columns)
    writer.writerows([["" if cell is None else cell for cell in row] for row in costs.to_numpy()])
    return page.getvalue()


def _table(costs: pd.DataFrame, by: list[str]) -> str:
    heads = [*by, "runs", "requests", "failed", "output tokens", "cost", "wasted", "$/Mtok output"]
    rows = [[*(str(row[name]) for name in by), *_cells(row)] for row in costs.to_dict("records")]
    widths = [max(len(cell) for cell in column) for column in zip(heads, *rows, strict=True)]
    lines = [
        "  ".join(
            cell.ljust(width) if place < len(by) else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in (heads, *rows)
    ]
    return "\n".join(lines) + "\n"


def _cells(row: dict[Any, Any]) -> list[str]:
    counts = [f"{row[name]:,}" for name in ("runs", "requests", "failed", "output_tokens")]
    least = row["usd_at_least"]
    cost = usd(row["usd"]) if row["usd"] is not None or least is None else f"at least {usd(least)}"
    wasted = "–" if row["wasted_usd"] is None else usd(row["wasted_usd"])
    per_mtok = "–" if row["usd_per_mtok_output"] is None else usd(row["usd_per_mtok_output"])
    return [*counts, cost, wasted, per_mtok]


def _denominators(cost: Mapping[str, Any]) -> str:
    names = ("output", "blended", "weighted")
    return "per million tokens: " + ", ".join(f"{usd(cost[f'usd_per_mtok_{name}'])} {name}" for name in names)


def _sum(summary: Any) -> float | None:
    """What the levels cost together; None as soon as one is not known."""
    costs = [level.cost["usd"] for level in summary.levels]
    return None if None in costs or not costs else sum(costs)


def _pricing(pricing: Pricing) -> dict[str, Any]:
    from dataclasses import asdict

    from loadlab.cli.prices import document

    return {
        "priced_at_ns": pricing.priced_at_ns,
        "price": document(pricing.price) if pricing.price else None,
        "unpriced": pricing.unpriced,
        "terms": asdict(pricing.terms),
    }


def _say_pricings(pricings: list[Pricing]) -> None:
    from loadlab.cli.prices import described

    for place, one in enumerate(pricings):
        when = time.strftime("%Y-%m-%d %H:%M", time.gmtime(one.priced_at_ns // NS_PER_S))
        force = "  ← in force" if place == len(pricings) - 1 else ""
        what = f"{one.price.name} {described(one.price)}" if one.price else one.unpriced
        say(f"priced {when} UTC: {what}{_terms(one.terms)}{force}")


def _terms(terms: Terms) -> str:
    """The terms that are not the usual ones, so that two pricings at one price can be told apart."""
    from dataclasses import asdict

    from loadlab.core.money import Terms

    usual, limits = Terms(), (f"{name} ≤ {limit:g}" for name, limit in terms.slo.items())
    numbers = [(name, value) for name, value in asdict(terms).items() if name != "slo"]
    told = [f"{name} {value:g}" for name, value in numbers if value != getattr(usual, name)]
    words = ", ".join([*told, *limits])
    return f"; {words}" if words else ""


def _mix_words(found: dict[str, Any]) -> str:
    lines = [
        f"{part['share']:>4.0%} {part['run']}: {_each(part['usd_per_request'])} a request, "
        f"{_each(part['usd_per_mtok_output'])}/Mtok output"
        for part in found["parts"]
    ]
    saved = _saved(found["saved_share"])
    each, per_mtok = _each(found["usd_per_request"]), _each(found["usd_per_mtok_output"])
    lines.append(f"mix: {each} a request, {per_mtok}/Mtok output{saved}")
    for name, stats in found["metrics"].items():
        if stats["p50"] is not None:
            lines.append(f"{name}: " + ", ".join(f"{at} {number(value)}" for at, value in stats.items()))
    return "\n".join([*lines, f"assumed: {found['assumption']}"])


def _saved(share: float | None) -> str:
    if share is None:
        return ""
    return f", {abs(share):.0%} {'less' if share >= 0 else 'more'} than the first alone"


def _each(value: float | None) -> str:
    return "unpriced" if value is None else "$0" if value == 0 else f"${number(value)}"
