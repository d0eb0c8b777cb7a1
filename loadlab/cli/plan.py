"""`loadlab plan`: how many replicas, GPUs and dollars a measured sweep means for your traffic."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from loadlab.cli import options
from loadlab.cli.output import emit_json
from loadlab.core import config
from loadlab.core.errors import UnknownNameError, UsageError
from loadlab.core.units import parse_duration, parse_share

if TYPE_CHECKING:
    from loadlab.planner import Demand, Measured, Plan
    from loadlab.store import Store

FORMATS = ("text", "markdown")
USUAL = "ttft_ms.p95=500"
_TRAFFIC = ("peak_rate", "peak_users", "mean_rate", "day", "peak_ratio", "dispersion")
_AS_GIVEN = ("spare", "gpus_per_replica", "gpus_per_node", "price", "api_price", "as_measured")


def plan(
    runs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="RUN ...", help="A sweep: an id, 'latest' or label:WORDS; several are repeats."
        ),
    ] = None,
    peak_rate: Annotated[float | None, typer.Option(help="Traffic at its peak, requests per second.")] = None,
    peak_users: Annotated[float | None, typer.Option(help="Traffic at its peak, users at once.")] = None,
    mean_rate: Annotated[
        float | None, typer.Option(help="Mean requests per second; see --peak-ratio.")
    ] = None,
    day: Annotated[
        str | None,
        typer.Option(
            help="A day of 24 mean rates (req/s), such as 2,1,1,…, or a file of them; or a trace (.jsonl).",
            metavar="RATES",
        ),
    ] = None,
    peak_ratio: Annotated[float, typer.Option(help="With --mean-rate: busiest time over the mean.")] = 2.0,
    dispersion: Annotated[
        float, typer.Option(help="Variance of a minute's arrivals over their mean; 1 is Poisson.")
    ] = 1.0,
    think: Annotated[str, typer.Option(help="With --peak-users: what a user waits between requests.")] = "0s",
    slo: Annotated[
        str | None,
        typer.Option(
            help="A preset such as chat, or limits: ttft_ms.p95=500,e2e_ms.p99=8000, or per request "
            f"ttft_ms=300,tpot_ms=50. Default: the run's own SLO, else {USUAL}.",
        ),
    ] = None,
    share: Annotated[str, typer.Option(help="Of the requests that must keep limits per request.")] = "95%",
    errors: Annotated[str, typer.Option(help="Most requests that may fail.")] = "1%",
    headroom: Annotated[str, typer.Option(help="Of a replica's capacity, kept free.")] = "20%",
    spare: Annotated[int, typer.Option(help="Replicas beyond those needed (N + spare).")] = 1,
    growth: Annotated[str, typer.Option(help="On top of the traffic; per month with --months.")] = "0%",
    months: Annotated[int, typer.Option(help="So many months of --growth.")] = 1,
    mix: Annotated[
        list[str] | None,
        typer.Option(help="Share of the traffic for one sweep of several; repeated.", metavar="RUN=SHARE"),
    ] = None,
    price: options.PriceName = None,
    api_price: Annotated[
        str | None, typer.Option(help="Break even with this API: a token price such as openai/gpt-5-mini.")
    ] = None,
    gpus_per_replica: Annotated[
        int | None, typer.Option(help="Default: as many as were seen at work, or 1.")
    ] = None,
    gpus_per_node: Annotated[int | None, typer.Option(help="GPUs come in nodes of so many.")] = None,
    cold_start: Annotated[str, typer.Option(help="From ordering a replica to its first answer.")] = "5m",
    as_measured: Annotated[
        bool,
        typer.Option("--as-measured", help="Plan a trace as if its requests were as long as measured."),
    ] = False,
    form: Annotated[str, typer.Option("--format", "-f", help="text or markdown.")] = "text",
    db: options.Db = None,
    json: options.Json = False,
) -> None:
    """Say how many replicas, GPUs and dollars it takes to serve your traffic under an SLO.

    From measured sweeps, and never beyond what they measured: exit code 1 when the SLO is not held even at
    the lightest load, 4 when the answer would be a guess; both say what to measure.
    """
    from loadlab.reports import plan as report
    from loadlab.reports.plan_document import document

    if form not in FORMATS:
        raise UnknownNameError("format", form, FORMATS)
    flags: dict[str, Any] = {
        "runs": runs, "peak_rate": peak_rate, "peak_users": peak_users, "mean_rate": mean_rate, "day": day,
        "peak_ratio": peak_ratio, "dispersion": dispersion, "think": think, "slo": slo, "share": share,
        "errors": errors, "headroom": headroom, "spare": spare, "growth": growth, "months": months,
        "mix": mix, "price": price, "api_price": api_price, "gpus_per_replica": gpus_per_replica,
        "gpus_per_node": gpus_per_node, "cold_start": cold_start, "as_measured": as_measured, "db": db,
    }  # fmt: skip
    found = planned(**flags)
    if json:
        emit_json({"plan": document(found)})
    else:
        typer.echo(report.markdown(found) if form == "markdown" else report.render(found), nl=False)


def planned(
    runs: Sequence[str] | None, mix: Sequence[str] | None, slo: str | None, db: str | None, **flags: Any
) -> Plan:
    """The plan that the flags of `loadlab plan` ask for. Raises UsageError and what planning raises."""
    from loadlab import planner
    from loadlab.planner.ask import monthly_growth

    if mix and runs:
        raise UsageError("RUN and --mix exclude each other; name every sweep of a mix as --mix RUN=SHARE.")
    traffic = demand(*(flags[name] for name in _TRAFFIC))
    with closing(_open(db)) as store:
        sweeps = _sweeps(store, mix, runs or ["latest"], "itl_ms" in (slo or ""))
    asked = planner.Ask(
        slo=_asked_slo(slo, [measured for _, measured in sweeps]),
        share=parse_share(flags["share"]),
        errors=parse_share(flags["errors"]),
        headroom=parse_share(flags["headroom"]),
        growth=monthly_growth(parse_growth(flags["growth"]), flags["months"]),
        cold_start_s=parse_duration(flags["cold_start"]),
        think_s=parse_duration(flags["think"]),
        config=config.load(),
        **{name: flags[name] for name in _AS_GIVEN},
    )
    return planner.plan(sweeps, traffic, asked)


def with_flags_of_plan(verb: Callable[..., None]) -> Callable[..., None]:
    """The verb with the flags of `loadlab plan` before its own; it gets them as keywords."""
    own = [each for each in inspect.signature(verb).parameters.values() if each.kind is not each.VAR_KEYWORD]
    first = [
        each
        for name, each in inspect.signature(plan).parameters.items()
        if name not in ("form", "json", "db")
    ]
    last = [inspect.signature(plan).parameters["db"]]
    hints = {**get_type_hints(plan, include_extras=True), **get_type_hints(verb, include_extras=True)}
    parameters = [
        each.replace(annotation=hints[each.name], kind=inspect.Parameter.KEYWORD_ONLY)
        for each in (*first, *own, *last)
    ]

    @functools.wraps(verb)
    def with_flags(**given: Any) -> None:
        verb(**given)

    with_flags.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    with_flags.__annotations__ = {each.name: each.annotation for each in parameters}
    return with_flags


def demand(
    peak_rate: float | None,
    peak_users: float | None,
    mean_rate: float | None,
    day: str | None,
    peak_ratio: float,
    dispersion: float,
) -> Demand:
    """The traffic that one of four flags gives. Raises UsageError."""
    from loadlab.planner import demand as room

    given = [peak_rate, peak_users, mean_rate, day]
    if sum(value is not None for value in given) != 1:
        raise UsageError(
            "how much traffic? give one of --peak-rate 40, --peak-users 200, --mean-rate 10 or --day FILE."
        )
    if peak_rate is not None:
        return room.of_peak(peak_rate, "req/s")
    if peak_users is not None:
        return room.of_peak(peak_users, "users")
    if mean_rate is not None:
        return room.of_mean(mean_rate, peak_ratio, dispersion)
    return room.read_day(day or "", dispersion)


def parse_growth(text: str) -> float:
    """The share in "20%", "0.2", "150%" or "-5%". Raises UsageError."""
    try:
        return float(text.strip().removesuffix("%")) / (100 if text.strip().endswith("%") else 1)
    except ValueError as error:
        raise UsageError(f"--growth '{text}' is not understood; write it like 20%.") from error


def _sweeps(
    store: Store, mix: Sequence[str] | None, runs: Sequence[str], gaps: bool
) -> list[tuple[float, Measured]]:
    from loadlab.planner import measured

    if not mix:
        return [(1.0, measured(store, runs, gaps))]
    found = []
    for text in mix:
        run, equals, share = text.rpartition("=")
        if not equals or not run:
            raise UsageError(f"--mix '{text}' is not understood; write it like RUN=70%.")
        found.append((parse_share(share), measured(store, run.split(","), gaps)))
    return found


def _asked_slo(given: str | None, sweeps: Sequence[Measured]) -> str:
    """What --slo says, else what the runs were asked to keep, else the usual."""
    if given is not None:
        return given
    own = sweeps[0].spec.terms.slo
    return ",".join(f"{metric}={limit:g}" for metric, limit in own.items()) or USUAL


def _open(db: str | None) -> Store:
    from loadlab import store

    return store.open(config.store_url(db), create=False)
