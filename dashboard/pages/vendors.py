"""Vendors: which of them can be told apart, what they cost, and whether they answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dash import Dash, html

from loadlab.analysis.vendor_measures import MEASURES, PRIMARY, TIERED
from loadlab.analysis.vendors import Compared
from loadlab.core.errors import NoDataError
from loadlab.figures import Theme
from loadlab.figures.axes import axis_of
from loadlab.figures.parts import Facts, Items, Paragraph
from loadlab.reports import vendor_charts as charts
from loadlab.reports import vendor_disclosure, vendor_tables
from loadlab.reports.vendor_numbers import Numbers, numbers, studies
from loadlab.reports.vendor_report import TIER_NOTE, answer

from ..choosing import chips
from ..components import empty, page, section
from ..parts import shown
from ..source import Source

PATH = "/vendors"
TITLE = "Vendors"


def layout(source: Source, theme: Theme, query: Mapping[str, str]) -> Any:
    """The comparison `study`, under its `workload`, by `measure`; the newest, its first, the primary one."""
    known = [study.name for study in studies(source.store)]
    if not known:
        return page(TITLE, None, _none(source))
    found = _asked(source, query.get("study", known[0]), known)
    if found.rows.empty:
        begun = f"No slot of '{found.study.name}' is done yet. The next one is measured by:"
        return page(TITLE, None, empty(begun, ("loadlab vendors run vendors.toml --slots now",)))
    names = [each.workload for each in found.compared]
    place = names.index(query["workload"]) if query.get("workload") in names else 0
    measure = query.get("measure", PRIMARY)
    measure = measure if measure in TIERED else PRIMARY
    return page(
        TITLE,
        answer(found.compared[place], measure),
        _choices(found, known, names[place], measure),
        shown(Items(vendor_disclosure.doubts(found)), theme),
        *_sections(found, found.compared[place], measure, theme),
        about=vendor_disclosure.footnote(found),
    )


def register(app: Dash, source: Source) -> None:
    """Every choice is a link."""


def _none(source: Source) -> html.Div:
    why = f"No vendor comparison is recorded in {source.where}. A file names vendors and workloads; then:"
    return empty(
        why,
        (
            "loadlab vendors plan vendors.toml     # what it costs, and what it can tell apart",
            f"loadlab vendors run vendors.toml --db {source.where}",
        ),
    )


def _asked(source: Source, name: str, known: Sequence[str]) -> Numbers:
    for study in studies(source.store):
        if study.name == name:
            return numbers(source.store, study)
    raise NoDataError(f"no vendor comparison '{name}' is in this store; there: {', '.join(known)}.")


def _choices(found: Numbers, known: Sequence[str], workload: str, measure: str) -> html.Div:
    names = [each.workload for each in found.compared]
    kept = {
        "study": _unless(found.study.name, known[0]),
        "workload": _unless(workload, names[0]),
        "measure": _unless(measure, PRIMARY),
    }
    rows = [
        chips("Comparison", PATH, {**kept, "workload": None}, "study", _options(known)),
        chips("Workload", PATH, kept, "workload", _options(names)),
        chips(
            "Measure", PATH, kept, "measure",
            [(_unless(name, PRIMARY), axis_of(MEASURES[name]).label) for name in TIERED],
        ),
    ]  # fmt: skip
    return html.Div([row for row, count in zip(rows, (len(known), len(names), 3), strict=True) if count > 1])


def _unless(value: str, default: str) -> str:
    return "" if value == default else value


def _options(values: Sequence[str]) -> list[tuple[str, str]]:
    """The first is the default, which the URL leaves out."""
    return [("" if at == 0 else value, value) for at, value in enumerate(values)]


def _sections(found: Numbers, compared: Compared, measure: str, theme: Theme) -> list[Any]:
    study = found.study.workload(compared.workload)
    priced = charts.prices_chart(compared)
    return [
        section(
            "Tiers",
            shown(vendor_tables.tiers_table(compared), theme),
            shown(charts.forest_chart(compared, measure), theme),
            note=f"{study.words}. {TIER_NOTE}",
        ),
        section("Distribution", shown(charts.spread_chart(compared, measure), theme)),
        section("Pairs", shown(vendor_tables.pairs_table(compared, measure), theme)),
        section("Time of day", shown(charts.hours_chart(compared, measure), theme)),
        section(
            "Tokens",
            shown(vendor_tables.tokens_table(compared), theme),
            note=vendor_disclosure.tokens_note(found),
        ),
        section(
            "Prices",
            shown(priced, theme) if priced else html.P("No vendor has a price by tokens."),
            shown(vendor_tables.price_table(found, compared), theme) if priced else None,
        ),
        section("Availability", shown(charts.availability_chart(found), theme)),
        section("Cold connections", shown(vendor_tables.connections_table(found), theme)),
        section(
            "Disclosure",
            shown(Facts(vendor_disclosure.facts(found)), theme),
            shown(vendor_disclosure.vendors(found), theme),
            shown(Paragraph.of(_EXPORT.format(found.study.name), kind="note"), theme),
        ),
    ]


_EXPORT = "All of this as one file: `loadlab report vendor {} --html vendors.html`."
