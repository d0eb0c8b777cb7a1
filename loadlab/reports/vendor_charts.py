"""The figures of a vendor comparison with what they say, for the report and the dashboard."""

from __future__ import annotations

from functools import partial

from loadlab.analysis.intervals import wilson
from loadlab.analysis.vendor_measures import MEASURES
from loadlab.analysis.vendors import Compared, Ranking, Standing
from loadlab.figures import MAX_SERIES, ecdf
from loadlab.figures.axes import Axis, axis_of
from loadlab.figures.parts import Chart, Column, Table
from loadlab.figures.vendors import Estimate, Priced, day_map, forest, prices
from loadlab.reports.vendor_numbers import Numbers

AVAILABLE = Axis("available", "Requests answered", "%", "higher", "availability")


def estimates(compared: Compared, measure: str) -> list[Estimate]:
    """Medians of a measure with intervals and tiers, tier by tier, for the forest."""
    ranking = compared.rankings[measure]
    several = len(ranking.tiers) > 1
    ordered = sorted(compared.standings, key=lambda each: ranking.tier_of(each.vendor) or 99)
    return [
        Estimate(
            each.vendor, found.value, found.low, found.high, found.n, _tier(ranking, each) if several else ""
        )
        for each in ordered
        for found in [each.measures[measure]["p50"]]
    ]


def _tier(ranking: Ranking, standing: Standing) -> str:
    tier = ranking.tier_of(standing.vendor)
    return f"tier {tier}" if tier else ""


def forest_chart(compared: Compared, measure: str) -> Chart:
    """Medians of one measure with intervals."""
    words, rows = axis_of(MEASURES[measure]), estimates(compared, measure)
    table = Table(
        f"{words.label}, median",
        [Column("Vendor", False), Column("Median"), Column("95 % interval"), Column("n")],
        [[each.label, words.text(each.value), _span(each, words), f"{each.n:,}"] for each in rows],
    )  # fmt: skip
    ranked = compared.rankings[measure].tiers
    said = "no two tiers are told apart" if len(ranked) < 2 else f"{len(ranked)} tiers"
    return Chart(
        f"{compared.workload}-{measure}".replace("_", "-"),
        f"{words.label}, medians with 95 % intervals: {said}, {words.better} is better.",
        partial(forest, rows, words),
        table,
    )


def _span(each: Estimate, words: Axis) -> str:
    if each.low is None or each.high is None:
        return "–"
    return f"{words.text(each.low)} … {words.text(each.high)}"


def spread_chart(compared: Compared, measure: str) -> Chart:
    """How a measure is spread, one curve per vendor; of more than six the first six."""
    words = axis_of(MEASURES[measure])
    samples = {
        each.vendor: each.samples[measure] for each in compared.standings if each.samples[measure].size
    }
    shown = dict(list(samples.items())[:MAX_SERIES])
    more = (
        f" The first {MAX_SERIES} of {len(samples)} vendors are drawn." if len(samples) > MAX_SERIES else ""
    )
    return Chart(
        f"{compared.workload}-spread",
        f"Distribution of {words.brief} by vendor, every answer counted.{more}",
        partial(ecdf, shown, words, None),
    )  # fmt: skip


def hours_chart(compared: Compared, measure: str) -> Chart:
    """The map of the day."""
    words = axis_of(MEASURES[measure])
    names = [each.vendor for each in compared.standings]
    rows = [
        [
            row["vendor"], f"{row['from_hour']:02d}–{row['from_hour'] + row['hours']:02d} h",
            words.text(row[measure]), f"{row['n']:,}",
        ]
        for row in compared.hours.to_dict("records")
    ]  # fmt: skip
    columns = [Column("Vendor", False), Column("UTC", False), Column("Median"), Column("n")]
    return Chart(
        f"{compared.workload}-hours", f"Median {words.brief} by part of the day (UTC), with n in every cell.",
        partial(day_map, compared.hours, names, words), Table("By part of the day", columns, rows),
    )  # fmt: skip


def availability(found: Numbers) -> list[Estimate]:
    """The share of all requests that were answered, in percent, with Wilson's interval."""
    result = []
    for vendor in found.study.vendors:
        standings = [each for one in found.compared for each in one.standings if each.vendor == vendor.name]
        sent, answered = sum(each.sent for each in standings), sum(each.answered for each in standings)
        if sent:
            low, high = wilson(answered / sent, sent)
            result.append(Estimate(vendor.name, 100 * answered / sent, 100 * low, 100 * high, sent))
    return result


def failures(found: Numbers, vendor: str) -> str:
    """What went wrong with a vendor, by kind; "none"."""
    kinds: dict[str, int] = {}
    for compared in found.compared:
        for each in compared.standings:
            if each.vendor == vendor:
                for kind, n in each.kinds.items():
                    kinds[kind] = kinds.get(kind, 0) + n
    return ", ".join(f"{n:,} {kind}" for kind, n in sorted(kinds.items())) or "none"


def availability_chart(found: Numbers) -> Chart:
    """The share of requests answered, by vendor."""
    rows = availability(found)
    columns = [
        Column("Vendor", False), Column("Answered"), Column("95 % interval"), Column("Sent"),
        Column("Failures by kind", False),
    ]  # fmt: skip
    cells = [
        [
            each.name,
            AVAILABLE.text(each.value),
            _span(each, AVAILABLE),
            f"{each.n:,}",
            failures(found, each.name),
        ]
        for each in rows
    ]
    return Chart(
        "availability", "Requests answered, with Wilson's 95 % interval; refusals (429) count as failures.",
        partial(forest, rows, AVAILABLE), Table("Requests answered, of all sent", columns, cells),
    )  # fmt: skip


def prices_chart(compared: Compared) -> Chart | None:
    """Listed and effective price blended 3:1; None where nobody has one."""
    rows = [
        Priced(each.vendor, each.cost["list_3_1"], each.cost["effective_3_1"]) for each in compared.standings
    ]
    if not any(each.listed is not None for each in rows):
        return None
    return Chart(
        f"{compared.workload}-prices",
        "Price blended 3:1 (input to output), as listed and as it comes out; USD per million tokens.",
        partial(prices, rows),
    )
