"""The tables of a vendor report: tiers, pairs, tokens, prices, connections."""

from __future__ import annotations

from loadlab.analysis.tiers import FEWEST_SLOTS, Pair
from loadlab.analysis.vendor_measures import MEASURES, PRIMARY, TIERED
from loadlab.analysis.vendors import Compared, Standing
from loadlab.core.units import number, usd
from loadlab.figures.axes import axis_of, quantity
from loadlab.figures.parts import Cell, Column, Table
from loadlab.reports.vendor_numbers import Numbers


def tiers_table(compared: Compared) -> Table:
    """The vendors by tier of the primary measure, each measure with its interval and its own tier."""
    ranking = compared.rankings[PRIMARY]
    rows: list[list[Cell]] = []
    for standing in _by_tier(compared):
        tier = ranking.tier_of(standing.vendor)
        rows.append(
            [
                standing.vendor,
                str(tier or "–"),
                *(_measured(compared, standing, measure) for measure in TIERED),
                _percentile(standing, PRIMARY, "p95"),
                _percentile(standing, PRIMARY, "p99"),
                f"{standing.measures[PRIMARY]['p50'].n:,}",
            ]
        )
    columns = [
        Column("Vendor", False),
        Column("Tier", help="By the first measure; vendors of one tier are not distinguishable as a row"),
        *(Column(MEASURES[name].label, help=MEASURES[name].help) for name in TIERED),
        Column("p95"),
        Column("p99", help="Not given below 368 answers"),
        Column("n"),
    ]
    return Table(f"Tiers under {compared.workload}, medians with 95 % intervals", columns, rows)


def _by_tier(compared: Compared) -> list[Standing]:
    """Tier by tier, in the order of the file inside each: no order is said that was not found."""
    ranking = compared.rankings[PRIMARY]
    return sorted(compared.standings, key=lambda each: ranking.tier_of(each.vendor) or 99)


def _measured(compared: Compared, standing: Standing, measure: str) -> str:
    words, found = axis_of(MEASURES[measure]), standing.measures[measure]["p50"]
    if found.value is None:
        return "not measured"
    span = f" ({words.text(found.low)} … {words.text(found.high)})" if found.low is not None else ""
    tier = compared.rankings[measure].tier_of(standing.vendor)
    own = f", tier {tier}" if measure != PRIMARY and len(compared.rankings[measure].tiers) > 1 else ""
    return f"{words.text(found.value)}{span}{own}"


def _percentile(standing: Standing, measure: str, stat: str) -> str:
    found = standing.measures[measure][stat]
    if found.value is None or found.why.endswith("needed"):
        return "n too small" if found.n else "–"
    return axis_of(MEASURES[measure]).text(found.value)


def pairs_table(compared: Compared, measure: str) -> Table:
    """Every two vendors: the ratio, its interval, and whether they are told apart."""
    rows: list[list[Cell]] = [
        [pair.b, pair.a, str(pair.slots), *_ratio(pair), _told(pair)]
        for pair in compared.rankings[measure].pairs
    ]
    columns = [
        Column("Vendor", False), Column("Over", False), Column("Slots"), Column("Ratio"),
        Column("95 % interval"), Column("Told apart", False, "By Holm's procedure over all pairs, at 5 %"),
    ]  # fmt: skip
    return Table(f"Pairs by {axis_of(MEASURES[measure]).brief}, within slots", columns, rows)


def _ratio(pair: Pair) -> tuple[str, str]:
    if pair.ratio is None or pair.low is None or pair.high is None:
        return "–", f"at least {FEWEST_SLOTS} slots"
    return f"× {pair.ratio:.3f}", f"{pair.low:.3f} … {pair.high:.3f}"


def _told(pair: Pair) -> str:
    if pair.ratio is None:
        return "too few slots"
    return "yes" if pair.apart else "not distinguishable"


def tokens_table(compared: Compared) -> Table:
    """What vendors count beside the reference tokenizer, per answer."""
    keys = ("prompt", "cached", "reasoning", "vendor", "reference")
    rows: list[list[Cell]] = []
    for each in compared.standings:
        tokens, chars = each.tokens, each.measures["chars_per_s"]["p50"]
        rows.append(
            [
                each.vendor,
                *(number(tokens[key]) for key in keys),
                "–" if tokens["inflation"] is None else f"× {tokens['inflation']:.2f}",
                number(tokens["chars_per_token"]),
                number(tokens["per_event"]),
                number(chars.value),
            ]
        )
    columns = [
        Column("Vendor", False), Column("Prompt"), Column("of it cached"), Column("Reasoning"),
        Column("Answer, vendor", help="Output tokens as the vendor reports them, less reasoning"),
        Column("Answer, reference"), Column("Ratio", help="The vendor's tokens over the reference's"),
        Column("Chars/token"), Column("Tokens/event", help="Reference tokens in one piece of the stream"),
        Column("char/s", help="Median pace of the answer in characters"),
    ]  # fmt: skip
    return Table(f"Tokens per answer under {compared.workload}, means", columns, rows)


def price_table(found: Numbers, compared: Compared) -> Table:
    """Listed and effective prices, blended 3:1 and by the reader's own mix, and what an answer cost."""
    mix = ":".join(f"{part:g}" for part in found.study.own_mix)
    heads = {
        "input": "Input", "output": "Output", "list_3_1": "3:1", "list_own": f"Own {mix}",
        "effective_input": "Input, eff.", "effective_output": "Output, eff.", "effective_3_1": "3:1, eff.",
        "effective_own": f"Own {mix}, eff.", "answer": "An answer",
    }  # fmt: skip
    rows: list[list[Cell]] = [
        [each.vendor, *(_usd(each.cost[key]) for key in heads)] for each in compared.standings
    ]
    columns = [Column("Vendor", False), *(Column(head) for head in heads.values())]
    return Table(f"USD per million tokens, and of one answer, under {compared.workload}", columns, rows)


def _usd(value: float | None) -> str:
    return "–" if value is None else usd(value)


def connections_table(found: Numbers) -> Table:
    """What the first request of a run pays for its connection."""
    rows = [
        [each.vendor, compared.workload, *_cold(each)]
        for compared in found.compared
        for each in compared.standings
    ]
    columns = [
        Column("Vendor", False), Column("Workload", False), Column("Connecting"), Column("of it TLS"),
        Column("First token, cold", help="From the start of connecting"), Column("First token, warm"),
        Column("n cold"), Column("Reused", help="Share of the measured answers on a kept connection"),
    ]  # fmt: skip
    return Table("Cold connections, medians", columns, rows)


def _cold(standing: Standing) -> list[Cell]:
    cold = standing.cold
    reused = cold["reused_share"]
    return [
        quantity(cold["connect_ms"], "ms"),
        quantity(cold["tls_ms"], "ms") if cold["tls_ms"] else "no TLS",
        quantity(cold["ttft_ms"], "ms"),
        quantity(cold["warm_ttft_ms"], "ms"),
        f"{cold['n'] or 0:,.0f}",
        "–" if reused is None else f"{100 * reused:.0f} %",
    ]
