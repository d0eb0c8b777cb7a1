"""A vendor comparison as a report: tiers, intervals, prices, availability, and everything it rests on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from loadlab.analysis.tiers import FEWEST_SLOTS
from loadlab.analysis.vendor_measures import MEASURES, PRIMARY, TIERED
from loadlab.analysis.vendors import Compared
from loadlab.core.errors import NoDataError
from loadlab.figures.axes import axis_of
from loadlab.figures.parts import Facts, Heading, Items, Paragraph, Part, Word
from loadlab.reports import vendor_disclosure
from loadlab.reports.report import Report
from loadlab.reports.vendor_charts import (
    availability_chart,
    forest_chart,
    hours_chart,
    prices_chart,
    spread_chart,
)  # fmt: skip
from loadlab.reports.vendor_numbers import Numbers, numbers
from loadlab.reports.vendor_tables import (
    connections_table,
    pairs_table,
    price_table,
    tiers_table,
    tokens_table,
)
from loadlab.reports.vendor_values import values
from loadlab.vendors import Study

_NOT_CHECKED = Word("Not for publication: publish_terms_checked is not set in the file", "open")


def vendor_report(store: Any, study: Study) -> Report:
    """The report of what is stored of a comparison. Raises NoDataError where nothing is."""
    found = numbers(store, study)
    if found.rows.empty:
        raise NoDataError(
            f"no slot of '{study.name}' is done yet; `loadlab vendors run FILE --slots now` measures one."
        )
    return Report(
        f"Vendor comparison: {study.name}",
        list(_parts(found)),
        vendor_disclosure.footnote(found),
        values(found),
    )


def _parts(found: Numbers) -> Iterator[Part]:
    for compared in found.compared:
        yield Paragraph.of(answer(compared), kind="lead")
    if not found.study.publish_terms_checked:
        yield Paragraph.of(_NOT_CHECKED)
        yield Paragraph.of(
            "Some vendors' terms restrict publishing benchmarks. This file is for your own use until "
            "somebody has looked and set it.", kind="note",
        )  # fmt: skip
    yield Items(vendor_disclosure.doubts(found))
    for compared in found.compared:
        yield from _workload(found, compared)
    yield Heading("Availability")
    yield availability_chart(found)
    yield Heading("Cold connections")
    yield connections_table(found)
    yield Heading("Disclosure")
    yield Facts(vendor_disclosure.facts(found))
    yield vendor_disclosure.vendors(found)


def _workload(found: Numbers, compared: Compared) -> Iterator[Part]:
    yield Heading(f"Workload {compared.workload}")
    yield Paragraph.of(f"{found.study.workload(compared.workload).words}.", kind="note")
    yield tiers_table(compared)
    yield Paragraph.of(TIER_NOTE, kind="note")
    for measure in TIERED:
        yield forest_chart(compared, measure)
    yield spread_chart(compared, PRIMARY)
    yield pairs_table(compared, PRIMARY)
    yield hours_chart(compared, PRIMARY)
    yield Heading("Tokens and prices", 3)
    yield tokens_table(compared)
    yield Paragraph.of(vendor_disclosure.tokens_note(found), kind="note")
    yield from _prices(found, compared)


TIER_NOTE = (
    "Every vendor of a tier is told apart from every vendor of another, by ratios within slots and Holm's "
    "procedure over all pairs: where all were alike, the chance of any wrong separation is at most 5 %. "
    "Vendors that share a tier are not distinguishable as a row; the order inside it says nothing."
)


def answer(compared: Compared, measure: str = PRIMARY) -> str:
    """What the comparison says by a measure, in a sentence; never an order that was not found."""
    ranking = compared.rankings[measure]
    subject = f"{compared.workload}: by {axis_of(MEASURES[measure]).brief},"
    if not ranking.tiers:
        return f"{compared.workload}: nothing was measured that vendors could be compared by."
    if len(ranking.tiers) == 1:
        names = ", ".join(ranking.tiers[0])
        if compared.slots < FEWEST_SLOTS:
            return (
                f"{subject} nobody can be told apart yet: {compared.slots} of at least {FEWEST_SLOTS} slots "
                f"are done ({names})."
            )
        return f"{subject} {names} are not distinguishable."
    told = "; ".join(f"tier {at}: {', '.join(names)}" for at, names in enumerate(ranking.tiers, 1))
    return f"{subject} {told}."


def _prices(found: Numbers, compared: Compared) -> Iterator[Part]:
    chart = prices_chart(compared)
    if chart is None:
        yield Paragraph.of("No vendor has a price by tokens, so there is nothing to compare.")
        return
    yield chart
    yield price_table(found, compared)
    yield Paragraph.of(
        "Effective (eff.): prompts at what was read from a cache, answers per million reference tokens, so "
        "that a tokenizer that cuts small and reasoning that is billed both show.", kind="note",
    )  # fmt: skip
