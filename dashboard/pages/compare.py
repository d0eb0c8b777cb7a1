"""Compare: which run is better, and is the difference real? The first run is the base."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import dash_mantine_components as dmc
from dash import Dash, Input, Output, State, dcc, html, no_update

from loadlab.analysis.compare import MEASURES, Comparison, Difference
from loadlab.core.metrics import METRICS
from loadlab.figures import MAX_SERIES, Theme, ecdf, forest
from loadlab.figures.axes import axis, quantity

from .. import url
from ..choosing import chips, only
from ..comparing import OFFERED_RUNS, Sides, comparisons, sides, usual_pair
from ..comparisons import apart_table
from ..components import Column, chart, empty, page, section, table, verdict
from ..empty import no_runs
from ..links import compare_path, run_link
from ..source import Source, run_name
from ..words import counted, judged

PATH = "/compare"
TITLE = "Compare"
DISTRIBUTED = ("ttft_ms", "itl_ms", "tpot_ms", "e2e_ms")
_SHORT = {"ttft_ms": "TTFT", "itl_ms": "ITL", "tpot_ms": "TPOT", "e2e_ms": "End to end"}
_RUNS = (
    Column("", "role", number=False),
    Column("Run", "run", number=False),
    Column("n", "n", help="Successful requests measured"),
    Column("Errors", "errors"),
    Column("Verdict", "verdict", number=False),
)
_METRICS = (
    Column("Metric", "metric", number=False),
    Column("Run", "run", number=False),
    Column("Base", "a"),
    Column("Run's value", "b"),
    Column("Ratio", "ratio"),
    Column("95 % interval", "interval"),
    Column("Verdict", "verdict", number=False),
)
_NOTE = (
    "Ratio of each run to the base. The band around 1 holds differences below 3 %, which are none in "
    "practice; a bar that leaves out 1 and a point beyond the band is a difference. Hollow: no interval "
    "is known."
)


def layout(source: Source, theme: Theme, query: Mapping[str, str]) -> Any:
    """The runs of `runs` at the `load`, with the distribution of `metric`; `vary` names what may differ."""
    offered = source.runs(limit=OFFERED_RUNS)
    if not offered:
        return page(TITLE, None, no_runs(source, "run", "--users 8 --requests 96"))
    refs = url.names(query.get("runs")) if "runs" in query else usual_pair(offered)
    chosen = [source.run(ref).id for ref in refs[:MAX_SERIES]]
    picker = _picker(offered, chosen)
    if len(chosen) < 2:
        return page(TITLE, None, picker, _too_few(offered))
    found = sides(source, chosen, query.get("load"))
    kept: dict[str, str | None] = {**only(query, "load", "metric", "vary"), "runs": ",".join(chosen)}
    return page(
        TITLE,
        *_body(source, theme, found, kept, picker, len(refs)),
    )


def register(app: Dash, source: Source) -> None:
    """Choosing other runs writes the URL; the page then draws itself anew."""

    @app.callback(  # type: ignore[untyped-decorator]
        Output("url", "search", allow_duplicate=True),
        Input("compare-runs", "value"),
        State("url", "search"),
        prevent_initial_call=True,
    )
    def choose(runs: list[str], search: str) -> Any:
        query = url.read(search)
        if not runs or runs == [source.run(ref).id for ref in url.names(query.get("runs"))]:
            return no_update
        if "runs" not in query and runs == usual_pair(source.runs(limit=OFFERED_RUNS)):
            return no_update
        return url.write({**query, "runs": ",".join(runs)})


def _body(
    source: Source, theme: Theme, found: Sides, kept: Mapping[str, str | None], picker: Any, asked: int
) -> list[Any]:
    choices = html.Div([picker, _loads(found, kept)], className="choices-wide")
    extra = asked - MAX_SERIES
    more = html.P(
        f"{counted(extra, 'more run')} asked for; a figure tells {MAX_SERIES} apart.", className="note"
    )
    head = [choices, more if extra > 0 else None]
    if len(found.observed) < 2:
        return [None, *head, _no_shared_load(found)]
    against = comparisons(source, found, url.names(kept.get("vary")))
    return [
        _answer(found, against),
        *head,
        section("Comparable?", *_comparable(found, against, kept)),
        section("Ratios", _forest(found, against, theme), note=_NOTE),
        section("How it is spread", *_spread(found, kept, theme)),
        section("Metric by metric", *_table(found, against)),
    ]


def _picker(offered: Sequence[dict[str, Any]], chosen: Sequence[str]) -> Any:
    names = {run["id"]: run_name(run) for run in offered}
    options = [{"value": ref, "label": names.get(ref, ref)} for ref in dict.fromkeys((*names, *chosen))]
    return dmc.MultiSelect(
        id="compare-runs", label=f"Runs, the base first; at most {MAX_SERIES}", data=options,
        value=list(chosen), maxValues=MAX_SERIES, searchable=True, hidePickedOptions=True,
    )  # fmt: skip


def _loads(found: Sides, kept: Mapping[str, str | None]) -> Any:
    if len(found.loads) < 2:
        return None
    shown = {**kept, "load": found.load}
    return chips("At load", PATH, shown, "load", [(load, load) for load in found.loads])


def _too_few(offered: Sequence[Mapping[str, Any]]) -> html.Div:
    pair = usual_pair(offered)
    link = (
        dcc.Link("Compare the newest run with the one before it", href=compare_path(pair)) if pair else None
    )
    why = (
        "A comparison takes two runs: pick them above, the base first."
        if len(offered) > 1
        else "One run is stored, and a comparison takes two. Run the same again, or another target:"
    )
    command = "loadlab run chat --target OTHER --users 8 --requests 96"
    return empty(why, () if len(offered) > 1 else (command,), link)


def _no_shared_load(found: Sides) -> html.Div:
    return empty(
        f"Only {', '.join(found.observed) or 'no run'} was measured at {found.load or 'any load'}. "
        f"Without it: {', '.join(found.lacking)}. Choose another load, or measure the others at this one:",
        ("loadlab run chat --target NAME --users N --requests 96",),
    )


def _answer(found: Sides, against: Mapping[str, Comparison]) -> str:
    base = next(iter(found.observed))
    return " ".join(_finding(name, base, each) for name, each in against.items())


def _finding(name: str, base: str, found: Comparison) -> str:
    if found.refused:
        why = found.refused.removeprefix("the runs are not comparable: ")
        return f"{name} and {base} must not be compared: {why}."
    tally = {
        word: [each for each in found.differences if each.verdict == word]
        for word in ("better", "worse", "same", "unclear")
    }
    if not tally["better"] and not tally["worse"]:
        return (
            f"No difference between {name} and {base} is shown: "
            f"{counted(len(tally['same']), 'metric')} the same, {len(tally['unclear'])} unclear."
        )
    parts = [f"{word} in {_named(tally[word])}" for word in ("better", "worse") if tally[word]]
    return f"{name} is {' and '.join(parts)} than {base}."


def _named(found: Sequence[Difference]) -> str:
    first = found[0]
    text = f"{axis(first.measure.name.replace('.', '_')).brief} (× {first.ratio:.2f})"
    return text if len(found) == 1 else f"{text} and {counted(len(found) - 1, 'other metric')}"


def _comparable(found: Sides, against: Mapping[str, Comparison], kept: Mapping[str, str | None]) -> list[Any]:
    base = next(iter(found.observed))
    rows = [_side(name, run, name == base) for name, run in found.observed.items()]
    parts: list[Any] = [table(_RUNS, rows, "The runs compared")]
    if found.lacking:
        parts.append(html.P(f"Not measured at {found.load}: {', '.join(found.lacking)}.", className="note"))
    for name, each in against.items():
        parts += [html.H3(f"{name} against {base}"), _allowed(each, kept)]
        parts.append(apart_table(each.environment, base, name))
        parts += [html.P(f"Doubt: {text}", className="note") for text in each.doubts]
    return parts


def _side(name: str, run: Any, is_base: bool) -> dict[str, Any]:
    counts = run.level.requests
    rate = 100 * counts["failed"] / counts["sent"] if counts["sent"] else None
    return {
        "role": "base" if is_base else "",
        "run": run_link(run.id, name),
        "n": f"{counts['ok']:,}",
        "errors": quantity(rate, "%"),
        "verdict": verdict(run.level.verdict),
    }


def _allowed(found: Comparison, kept: Mapping[str, str | None]) -> Any:
    if not found.refused:
        return html.P(
            "✓ Comparable: nothing that changes the question differs.", className="verdict verdict-valid"
        )
    grave = [each.name for each in found.environment if each.grave]
    again = dcc.Link(
        f"{', '.join(grave)} was meant to differ: compare all the same",
        href=PATH + url.write({**kept, "vary": ",".join([*url.names(kept.get("vary")), *grave])}),
    )
    words = html.P(f"✕ Not comparable: {found.refused}.", className="verdict-refused")
    return html.Div([words, html.P(again) if grave else None])


def _forest(sides: Sides, against: Mapping[str, Comparison], theme: Theme) -> Any:
    known = {name: each.differences for name, each in against.items() if not each.refused}
    if not any(found.ratio is not None for each in known.values() for found in each):
        return empty(
            "There is no ratio to draw: the runs are not comparable, or nothing was measured in both."
        )
    finding = "; ".join(
        f"{name}: " + ", ".join(f"{each.measure.title} {each.verdict}" for each in found if each.ratio)
        for name, found in known.items()
    )
    return chart("forest", forest(known, theme=theme), finding, _rows_table(sides, against))


def _spread(found: Sides, kept: Mapping[str, str | None], theme: Theme) -> list[Any]:
    asked = kept.get("metric")
    metric = asked if asked in DISTRIBUTED else DISTRIBUTED[0]
    picker = chips(
        "Metric", PATH, {**kept, "metric": metric}, "metric", [(name, _SHORT[name]) for name in DISTRIBUTED]
    )
    samples = {name: run.sample(metric) for name, run in found.observed.items()}
    known = {
        name: values for name, values in samples.items() if (values == values).any()
    }  # NaN is not itself
    if not known:
        return [picker, empty(f"{METRICS[metric].label} was not measured in any of these runs.")]
    figure = ecdf(known, metric, None, theme, baseline=next(iter(samples)))
    return [picker, chart("ecdf", figure, _spread_words(found, metric), _percentiles(found, metric))]


def _spread_words(found: Sides, metric: str) -> str:
    medians = [
        f"{name}: median {axis(metric).text(run.level.metrics[metric]['p50'])}"
        for name, run in found.observed.items()
    ]
    return f"Distribution of {METRICS[metric].label.lower()}. {'; '.join(medians)}."


def _percentiles(found: Sides, metric: str) -> html.Div:
    names = ("mean", "p50", "p90", "p95", "p99", "max")
    columns = (Column("Run", "run", number=False), Column("n", "n"), *(Column(name, name) for name in names))
    rows = [
        {
            "run": name,
            "n": f"{run.level.metrics[metric]['n']:,}",
            **{stat: axis(metric).text(run.level.metrics[metric][stat]) for stat in names},
        }
        for name, run in found.observed.items()
    ]
    return table(columns, rows, f"{METRICS[metric].label} by run")


def _table(sides: Sides, against: Mapping[str, Comparison]) -> list[Any]:
    whys = dict.fromkeys(each.why for found in against.values() for each in found.differences if each.why)
    notes = [html.P(f"* {why}", className="note") for why in whys]
    return [_rows_table(sides, against), *notes]


def _rows_table(sides: Sides, against: Mapping[str, Comparison]) -> html.Div:
    rows = [
        _difference(name, each)
        for name, found in against.items()
        for each in (found.differences or _values_alone(sides, name))
    ]
    columns = [column for column in _METRICS if column.key != "run" or len(against) > 1]
    return table(columns, rows, "Every metric with its ratio and verdict")


def _values_alone(sides: Sides, name: str) -> list[Difference]:
    """Both values and no ratio, for runs that must not be compared."""
    base, other = next(iter(sides.observed.values())), sides.observed[name]
    pairs = ((measure, base.value(measure), other.value(measure)) for measure in MEASURES)
    return [
        Difference(measure, a, b, None, None, None, "not comparable")
        for measure, a, b in pairs
        if a is not None or b is not None
    ]


def _difference(name: str, found: Difference) -> dict[str, Any]:
    unit = found.measure.of.unit
    known = found.low is not None and found.high is not None
    return {
        "metric": html.Span(found.measure.title, title=found.measure.of.help),
        "run": name,
        "a": quantity(found.a, unit),
        "b": quantity(found.b, unit),
        "ratio": "–" if found.ratio is None else f"× {found.ratio:.3f}",
        "interval": f"{found.low:.3f} … {found.high:.3f}" if known else "–",
        "verdict": judged(found.verdict, bool(found.why)),
    }
