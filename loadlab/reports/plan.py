"""A plan as text, Markdown and JSON: the answer first, then what it rests on, then the what-ifs."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence

from loadlab.core.units import number, usd
from loadlab.planner import Part, Plan, aids
from loadlab.planner.answer import Lever, burst_words, what_to_measure
from loadlab.planner.autoscale import Course
from loadlab.planner.breakeven import BreakEven
from loadlab.planner.holdout import holdout, summary
from loadlab.planner.sizing import HOURS_PER_MONTH, Sized
from loadlab.reports.text import WIDTH

Rows = list[tuple[str, str]]
_LABEL = 16


def answer(plan: Plan) -> str:
    """The answer in one or two sentences."""
    names = " and ".join(dict.fromkeys(part.measured.name for part in plan.parts))
    hold = "hold" if plan.replicas > 1 else "holds"
    text = f"{replicas_words(plan)} of {names} {hold} {plan.promise} up to {peak_words(plan)}"
    return f"{text}: {_hardware(plan)}, {_money(plan)}."


def replicas_words(plan: Plan) -> str:
    """ "8 replicas (7 … 8)": what is to be rented, and what the interval of the capacity would make of it."""
    count = f"{plan.replicas:,} {'replica' if plan.replicas == 1 else 'replicas'}"
    return count if plan.fewest == plan.replicas else f"{count} ({plan.fewest:,} … {plan.replicas:,})"


def peak_words(plan: Plan) -> str:
    """The peak with its growth: "40 req/s"."""
    return f"{load(plan.demand.peak)} {plan.demand.unit}"


def load(value: float) -> str:
    """A load as people say it: 40, 3.27."""
    return f"{value:,.0f}" if value == int(value) else number(value)


def percent(share: float) -> str:
    """A share as "20 %"."""
    return f"{100 * share:.0f} %"


def _hardware(plan: Plan) -> str:
    gpus = f"{plan.gpus:,} {'GPU' if plan.gpus == 1 else 'GPUs'}"
    return (
        gpus if plan.nodes is None else f"{gpus} in {plan.nodes:,} {'node' if plan.nodes == 1 else 'nodes'}"
    )


def _money(plan: Plan) -> str:
    if plan.usd_per_month is None:
        return "unpriced"
    at_peak = plan.usd_per_mtok()
    mtok = f", {usd(at_peak)}/Mtok output at the peak" if at_peak is not None else ""
    return f"{dollars(plan.usd_per_month)} a month{mtok}"


def dollars(value: float | None) -> str:
    """Money without cents from a hundred dollars on."""
    return f"${value:,.0f}" if value is not None and value >= 100 else usd(value)


def rows(plan: Plan) -> Rows:
    """The plan, one fact a row."""
    ask = plan.ask
    growth = f", {percent(ask.growth)} growth in it" if ask.growth else ""
    found: Rows = [
        ("peak", f"{peak_words(plan)} ({plan.demand.words}{growth})"),
        ("margins", f"{percent(ask.headroom)} headroom, {ask.spare} spare"),
    ]
    for part in plan.parts:
        head = f"{percent(part.share)} " if len(plan.parts) > 1 else ""
        found += [(f"{head}{name}".strip(), words) for name, words in part_rows(part)]
    return [*found, *_money_rows(plan)]


def part_rows(part: Part) -> Rows:
    """What one sweep says."""
    found, sized = part.found, part.sized
    return [
        ("measured", _measured(part)),
        ("a replica holds", capacity_words(part)),
        ("limited by", limit_words(part)),
        ("planned", _planned(sized)),
        ("expected there", latency_words(part)),
        *((("checked", checked),) if (checked := checked_words(part)) else ()),
        *((("warning", f"cliff: {found.cliff}"),) if found.cliff else ()),
        *((("doubt", words)) for words in (*sized.doubts, *found.doubts)),
        *((("measure next", command),) if (command := what_to_measure(part)) else ()),
    ]


def _measured(part: Part) -> str:
    measured = part.measured
    steps = measured.stable
    span = f"{steps[0].load:g} … {steps[-1].load:g} {measured.unit}" if len(steps) > 1 else steps[0].label
    loads = f"{len(steps)} {'load' if len(steps) == 1 else 'loads'}"
    return f"{measured.name}: {loads}, {span}, in {_few(measured.runs)}"


def _few(runs: Sequence[str]) -> str:
    return runs[0] if len(runs) == 1 else f"{len(runs)} runs from {min(runs)}"


def capacity_words(part: Part) -> str:
    """The capacity of a replica with its interval, in the plan's unit."""
    sized = part.sized
    least = "at least " if part.found.at_least else ""
    if sized.per_replica == sized.high:
        return f"{least}{number(sized.point)} {sized.unit}"
    interval = f"{number(sized.per_replica)} … {number(sized.high)}, 90 % interval"
    return f"{least}{number(sized.point)} {sized.unit} ({interval}; planned with the low end)"


def limit_words(part: Part) -> str:
    """What ends the capacity."""
    found = part.found
    if found.missed is None:
        return f"nothing measured: {found.held.label} is the highest load, and it holds. It may hold more"
    return f"{found.missed.label}: {found.why_missed}"


def _planned(sized: Sized) -> str:
    per = f"{number(sized.peak / sized.replicas)} {sized.unit} per replica at the peak"
    lost = f", {percent(sized.degraded)} with {sized.spare} lost" if sized.spare else ""
    return f"{per}: {percent(sized.utilisation)} of its capacity{lost}"


def latency_words(part: Part) -> str:
    """Latencies at the planned load; that it is lighter than all that was measured is said."""
    known = {name: value for name, value in part.sized.latencies.items() if value is not None}
    if known:
        names = {"ttft_ms": "TTFT", "tpot_ms": "TPOT", "e2e_ms": "end-to-end"}
        told = [
            f"{names[name.partition('.')[0]]} {name.partition('.')[2]} {_ms(ms)}"
            for name, ms in known.items()
        ]
        return ", ".join(told)
    lightest = part.measured.stable[0]
    if part.sized.load < lightest.load:
        return f"not slower than at {lightest.label}, the lightest load measured"
    return "not measured"


def checked_words(part: Part) -> str:
    """How far the curve is off at loads it was not shown."""
    found = summary(holdout(part.measured))
    if found is None:
        return ""
    shares = f"{percent(found[0])} (median), {percent(found[1])} (p90)"
    return f"each inner load left out, the curve of the others misses it by {shares}"


def _ms(value: float) -> str:
    return f"{number(value / 1000)} s" if value >= 10_000 else f"{number(value)} ms"


def _money_rows(plan: Plan) -> Rows:
    found: Rows = []
    for part in plan.parts:
        price = part.sized.price
        words = part.sized.unpriced or (f"{price.name}, {price.source}, as of {price.as_of}" if price else "")
        found.append(("price", words))
    found = list(dict.fromkeys(found))
    if plan.usd_per_hour is not None:
        found.append(
            ("cost", f"{usd(plan.usd_per_hour)} an hour, {dollars(plan.usd_per_month)} in 730 hours")
        )
        found.append(("per Mtok output", mtok_words(plan)))
    if plan.kwh_per_month is not None:
        found.append(("energy", f"{number(plan.kwh_per_month)} kWh a month if the peak lasted; GPUs alone"))
    return found


def mtok_words(plan: Plan) -> str:
    """Per million output tokens: at the peak (the best case), and over the mean traffic where it is known."""
    best = f"{usd(plan.usd_per_mtok())} at the peak, the best case"
    if plan.mean_share is None:
        return f"{best}; over a day, with idle hours, it is more"
    return f"{usd(plan.usd_per_mtok(plan.mean_share))} over the mean traffic, {best}"


def even_words(even: BreakEven) -> list[str]:
    """API against own replicas, both directions."""
    cheaper = f"own replicas cost {percent(even.saved_share)} less"
    if even.own_usd >= even.api_usd:
        cheaper = f"{even.api.name} costs {percent(1 - even.api_usd / even.own_usd)} less"
    month = f"own {dollars(even.own_usd)}, API {dollars(even.api_usd)}"
    lines = [
        f"at {number(even.mtok_per_month)} Mtok a month ({even.assumed}): {month}; {cheaper}",
        f"per Mtok, prompts too: own {usd(even.own_usd_per_mtok)}, API {usd(even.api_usd_per_mtok)}",
    ]
    if even.cheaper_from is None:
        top = f"{number(float(even.mtok[-1]))} Mtok a month"
        return [*lines, f"own replicas are not cheaper for good at any volume up to {top}"]
    lines.append(f"own replicas are cheaper from {number(even.cheaper_from)} Mtok a month on")
    if even.first_cheaper and even.first_cheaper < even.cheaper_from * 0.99:
        lines.append(
            f"before a step of one more replica they are so from {number(even.first_cheaper)} Mtok on"
        )
    return lines


def course_rows(plan: Plan) -> list[list[str]]:
    """A row per policy: replicas, GPU-hours a day, money, requests over the SLO, the longest wait."""
    return [_course_row(plan, course) for course in plan.courses]


COURSE_HEADS = (
    "policy",
    "replicas",
    "replica-hours/day",
    "$/month",
    "$/Mtok output",
    "over SLO",
    "longest wait",
)


def _course_row(plan: Plan, course: Course) -> list[str]:
    month = course_usd_per_month(plan, course)
    mtok = course_usd_per_mtok(plan, course)
    low, high = int(course.serving.min()), int(course.serving.max())
    return [
        course.policy,
        f"{low}" if low == high else f"{low} … {high}",
        number(course.replica_hours / course.hours * 24),
        dollars(month),
        usd(mtok),
        f"{number(100 * course.over_slo)} %",
        "0 s" if course.longest_wait_s < 0.05 else f"{number(course.longest_wait_s)} s",
    ]


def course_usd_per_month(plan: Plan, course: Course) -> float | None:
    """USD for 730 hours of a policy, by the replica-hour."""
    each = plan.usd_per_replica_hour()
    return None if each is None else each * course.replica_hours / course.hours * HOURS_PER_MONTH


def course_usd_per_mtok(plan: Plan, course: Course) -> float | None:
    """USD per million output tokens over the whole time."""
    month, peak_tokens, share = course_usd_per_month(plan, course), plan.output_tokens_per_s, plan.mean_share
    if month is None or not peak_tokens or not share:
        return None
    return month / (peak_tokens * share * HOURS_PER_MONTH * 3600 / 1e6)


def lever_words(lever: Lever) -> str:
    """ "Traffic: 6 (20 % less) … 10 (20 % more)"."""
    return f"{lever.name}: {lever.low} ({lever.low_words}) … {lever.high} ({lever.high_words})"


def aid_words(plan: Plan) -> list[str]:
    """Descriptions and what-ifs; none of them is in the answer."""
    found = []
    for part in plan.parts:
        laws = (aids.batch_law(part.measured), aids.usl(part.measured))
        found += [law.words for law in laws if law is not None]
    variation = plan.demand.gap_variation
    if variation is not None and math.isfinite(variation):
        found += [
            f"bursts as in the trace (Ca² {variation:.2g}): {burst_words(part, variation)}"
            for part in plan.parts
        ]
    elif plan.demand.dispersion > 1:
        told = f"bursts of dispersion {plan.demand.dispersion:g} taken as Ca²"
        found += [f"{told}: {burst_words(part, plan.demand.dispersion)}" for part in plan.parts]
    pools = ", ".join(f"{count}: {percent(share)}" for count, share in aids.pooling())
    return [
        *found,
        f"one queue for all (M/M/c, mean wait a quarter of a service), servers and how busy: {pools}",
    ]


def render(plan: Plan) -> str:
    """Plain text of at most 100 columns, but for commands to paste."""
    lines = [*_wrapped(answer(plan)), ""]
    for label, words in rows(plan):
        lines += [f"{label:<{_LABEL}}{words}"] if label == "measure next" else _labelled(label, words)
    if plan.courses:
        lines += ["", *_aligned([COURSE_HEADS, *course_rows(plan)])]
    even = even_words(plan.even) if plan.even else [plan.no_even]
    lines += [
        "",
        *_listed("break-even", even),
        *_listed("what moves it", [lever_words(each) for each in plan.levers]),
    ]
    return "\n".join([*lines, *_listed("beside it", aid_words(plan))]) + "\n"


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, break_on_hyphens=False, break_long_words=False)


def _labelled(label: str, text: str) -> list[str]:
    """Under a label; a price's long name or a command must not be cut."""
    return textwrap.wrap(
        text, WIDTH, initial_indent=f"{label:<{_LABEL}}", subsequent_indent=" " * _LABEL,
        break_on_hyphens=False, break_long_words=False,
    )  # fmt: skip


def _listed(label: str, texts: Sequence[str]) -> list[str]:
    return [line for at, text in enumerate(texts) for line in _labelled("" if at else label, text)]


def _aligned(table: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[at]) for row in table) for at in range(len(table[0]))]
    return [
        "  ".join(
            cell.rjust(width) if at else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in table
    ]


def markdown(plan: Plan) -> str:
    """For a pull request or a purchase order."""
    lines = [f"### {answer(plan)}", "", "| | |", "|:--|:--|"]
    lines += [f"| {_cell(label)} | {_cell(words)} |" for label, words in rows(plan)]
    if plan.courses:
        lines += ["", f"| {' | '.join(COURSE_HEADS)} |", f"|:--|{'--:|' * (len(COURSE_HEADS) - 1)}"]
        lines += [f"| {' | '.join(row)} |" for row in course_rows(plan)]
    even = even_words(plan.even) if plan.even else [plan.no_even]
    lines += ["", *(f"- break-even: {words}" for words in even)]
    lines += [f"- what moves it: {lever_words(each)}" for each in plan.levers]
    return "\n".join([*lines, *(f"- beside it: {words}" for words in aid_words(plan))]) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
