"""What a vendor comparison rests on, to the last item: in every export, and no flag leaves it out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from loadlab.core.units import NS_PER_S, usd
from loadlab.figures.parts import Cell, Column, Table
from loadlab.pricing.words import provenance
from loadlab.reports.level_parts import utc
from loadlab.reports.vendor_numbers import Numbers
from loadlab.vendors.study import REFERENCES

NOT_SAID = "not stated"


def footnote(found: Numbers) -> str:
    """What the numbers are of, in a line."""
    first, last = _dates(found)
    versions = ", ".join(sorted({str(run.environment.get("loadlab", "")) for run in found.runs}))
    listed = sorted({price.as_of for price in found.prices.values() if price})
    return " · ".join(
        part
        for part in (
            f"{found.study.name}: {first} to {last} UTC",
            f"{len(found.rows):,} requests in {found.rows['slot'].nunique()} slots",
            f"from {found.study.region or 'a place that is not stated'}",
            f"tokens: {_reference(found)}",
            f"prices as of {', '.join(listed)}" if listed else "no prices",
            f"loadlab {versions}",
            "" if found.study.publish_terms_checked else "not for publication: terms not checked",
        )
        if part
    )


def _dates(found: Numbers) -> tuple[str, str]:
    return utc(int(found.slots["began_at_ns"].min())), utc(int(found.slots["ended_at_ns"].max()))


def _reference(found: Numbers) -> str:
    name = found.study.reference
    return REFERENCES.get(name, name or NOT_SAID)


def tokens_note(found: Numbers) -> str:
    """Which yardstick the tokens are counted by."""
    return (
        f"Reference: {_reference(found)}, applied to every vendor's answer, reasoning not in it. A ratio "
        "above 1 means that the vendor counts, and bills, more tokens for the same text."
    )


def facts(found: Numbers) -> list[tuple[str, Cell]]:
    """The disclosure of the whole comparison."""
    study, (first, last) = found.study, _dates(found)
    counts = found.slots["state"].value_counts()
    return [
        ("Dates (UTC)", f"{first} to {last}"),
        ("Slots", f"{found.rows['slot'].nunique()} of {study.slots} planned, {study.slots_per_day} a day"),
        ("Order", "within a slot vendor after vendor, by a Latin square from the seed; workloads shuffled"),
        (
            "Longest gap in a block",
            f"{longest_gap_s(found):.1f} s between vendors, limit {study.max_gap_s:g} s",
        ),
        ("Blocks left out", f"{int(counts.get('stale', 0))} vendor runs were measured again as whole blocks"),
        ("Skipped", f"{int(counts.get('skipped', 0))} vendor runs, as a spending cap was reached"),
        ("Client", _client(found)),
        ("Region of the client", study.region or NOT_SAID),
        ("Requests", f"one at a time, temperature 0; per slot one on a new connection, then {study.prompts}"),
        ("Seed sent to vendors", "none" if study.request_seed is None else str(study.request_seed)),
        ("Caching", "; ".join(f"{each.name}: {_caching(each.cached)}" for each in study.workloads)),
        ("Retries", "off; a resend on a kept connection that the vendor had closed is no retry"),
        ("Reference tokenizer", _reference(found)),
        ("Intervals", "95 %; medians by block bootstrap over slots, 2,000 draws; shares by Wilson"),
        ("Tiers", "ratios within slots, Student's t, Holm over all pairs at 5 %"),
        ("Spent", f"{usd(sum(found.spent.values()))} on what has a price by tokens"),
        ("Sponsor", study.sponsor or NOT_SAID),
        ("Terms of the vendors", "checked for publication" if study.publish_terms_checked else "not checked"),
        ("Notes", study.notes),
    ]


def _caching(cached: bool) -> str:
    return "a shared beginning, caches are meant to help" if cached else "a mark in front of every prompt"


def _client(found: Numbers) -> str:
    environment = found.runs[-1].environment
    versions = sorted({str(run.environment.get("loadlab")) for run in found.runs})
    return f"loadlab {', '.join(versions)}, Python {environment.get('python')}, {environment.get('platform')}"


def longest_gap_s(found: Numbers) -> float:
    """Seconds from the last answer of a vendor to the first request to the next in its block, at most."""
    rows = found.rows
    times = rows.assign(
        first=rows["started_at_ns"] + rows["planned_ns"], last=rows["started_at_ns"] + rows["done_ns"]
    )
    runs = times.groupby(["slot", "workload", "run_id"]).agg(first=("first", "min"), last=("last", "max"))
    gaps = [
        (later - before) / NS_PER_S
        for _, block in runs.sort_values("first").groupby(["slot", "workload"])
        for before, later in zip(block["last"].iloc[:-1], block["first"].iloc[1:], strict=True)
    ]
    return max(gaps, default=0.0)


def vendors(found: Numbers) -> Table:
    """The disclosure of each vendor."""
    columns = [
        Column("Vendor", False), Column("Endpoint", False), Column("Model asked for", False),
        Column("Account and limits", False), Column("Quantisation", False), Column("Price", False),
        Column("Verdicts of its runs", False), Column("Notes", False),
    ]  # fmt: skip
    return Table("Vendors", columns, [list(_vendor(found, vendor.name)) for vendor in found.study.vendors])


def _vendor(found: Numbers, name: str) -> Iterator[str]:
    vendor, runs = found.study.vendor(name), _runs(found, name)
    models = dict.fromkeys(run.spec.endpoint.model for run in runs)
    places = dict.fromkeys(f"{run.spec.endpoint.url} ({run.spec.endpoint.dialect})" for run in runs)
    price = found.prices.get(name)
    yield name
    yield ", ".join(places) or "–"
    yield ", ".join(models) or "–"
    yield vendor.account or NOT_SAID
    yield vendor.quantisation or NOT_SAID
    yield f"{price.name}: {provenance(price)}" if price else "unpriced"
    yield _verdicts(runs)
    yield vendor.notes or "–"


def _runs(found: Numbers, name: str) -> list[Any]:
    return [run for run in found.runs if run.spec.endpoint.name == name]


def _verdicts(runs: list[Any]) -> str:
    counts: dict[str, int] = {}
    for run in runs:
        word = run.verdict or "no verdict"
        counts[word] = counts.get(word, 0) + 1
    return ", ".join(f"{n} {word}" for word, n in sorted(counts.items())) or "–"


def doubts(found: Numbers) -> list[Cell]:
    """What a reader must know before the numbers."""
    return list(_doubts(found))


def _doubts(found: Numbers) -> Iterator[str]:
    study, done = found.study, int(found.rows["slot"].nunique())
    if done < study.slots:
        yield f"{done} of {study.slots} slots are done: the comparison is not over."
    if (gap := longest_gap_s(found)) > study.max_gap_s:
        yield f"A gap of {gap:.0f} s between vendors of a block is more than {study.max_gap_s:g} s."
    if study.reference == "pieces":
        yield f"Tokens are estimated: {REFERENCES['pieces']}. With the extra server they are SmolLM2's."
    for vendor in study.vendors:
        invalid = sum(run.verdict == "INVALID" for run in _runs(found, vendor.name))
        if invalid:
            yield f"{vendor.name}: INVALID runs, in its availability and in nothing else: {invalid}."
        mine = found.slots[found.slots["vendor"] == vendor.name]
        skipped = int((mine["state"] == "skipped").sum())
        if skipped:
            yield f"{vendor.name}: runs skipped, as a spending cap was reached: {skipped}."


def values(found: Numbers) -> dict[str, Any]:
    """The disclosure for programs."""
    heads = [column.head for column in vendors(found).columns]
    return {
        "facts": {name: str(value) for name, value in facts(found)},
        "vendors": [
            dict(zip(heads, _vendor(found, vendor.name), strict=True)) for vendor in found.study.vendors
        ],
        "doubts": [str(doubt) for doubt in doubts(found)],
    }
