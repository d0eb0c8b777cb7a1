"""`loadlab batch`: the requests of a scenario handed in together at a vendor's batch API, as a run."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from loadlab.cli import options
from loadlab.cli.beside import Load
from loadlab.cli.measured import conclude, judge
from loadlab.cli.output import say
from loadlab.cli.run import endpoint, override
from loadlab.core import config
from loadlab.core.errors import ExitCode, InterruptedRunError, LoadlabError, NoDataError, UsageError
from loadlab.core.nouns import Level
from loadlab.core.units import number, parse_duration, parse_share

if TYPE_CHECKING:
    from loadlab.core.nouns import Endpoint, Price, Run
    from loadlab.dialects.batches import State
    from loadlab.drive.batches import Vendor
    from loadlab.store import Store

_SLICE_S = 2.0
_SAY_EVERY_S = 10.0


def batch(
    scenario: Annotated[
        str | None, typer.Argument(help="A scenario, whose first user's requests are handed in.")
    ] = None,
    url: options.Url = None,
    target: options.Target = None,
    model: options.Model = None,
    requests: Annotated[int, typer.Option(help="How many requests the batch has.")] = 100,
    max_tokens: options.MaxTokens = None,
    exact_length: options.ExactLength = False,
    prompt_tokens: options.PromptTokens = None,
    seed: options.Seed = None,
    dialect: options.Dialect = None,
    api_key_env: options.KeyEnv = None,
    ca_file: options.CaFile = None,
    client_cert: options.ClientCert = None,
    client_key: options.ClientKey = None,
    insecure: options.Insecure = False,
    price: options.PriceName = None,
    discount: Annotated[
        str | None,
        typer.Option(help="Off the usual price, such as 50%. Default: the batch price that is known."),
    ] = None,
    poll: Annotated[str, typer.Option(help="How often it is looked at.")] = "10s",
    give_up: Annotated[str, typer.Option(help="Stop waiting after so long; it can be resumed.")] = "24h",
    detach: Annotated[bool, typer.Option("--detach", help="Hand it in and end.")] = False,
    resume: Annotated[
        str | None, typer.Option(help="Go on waiting for the batch of that run.", metavar="RUN")
    ] = None,
    cancel: Annotated[
        str | None, typer.Option(help="Ask for the end of the batch of that run.", metavar="RUN")
    ] = None,
    beside: Annotated[
        str | None,
        typer.Option(
            help="An interactive load, measured alone and beside the batch: 'chat --users 4 --duration 30s'.",
            metavar="LOAD",
        ),
    ] = None,
    label: options.Label = "",
    max_cost: Annotated[
        float | None, typer.Option(help="Hand nothing in that could cost more, in USD.")
    ] = None,
    yes: options.Yes = False,
    db: options.Db = None,
    json: options.Json = False,
) -> None:
    """Hand requests in as one batch, wait until they are answered.

    The requests of SCENARIO go to the vendor's batch API (OpenAI's or Anthropic's shape). Each becomes a row;
    the summary adds turnaround, counts and what the batch price saves. Survives its own end: --resume.
    """
    place, poll_s = config.store_url(db), parse_duration(poll)
    if sum(map(bool, (scenario, resume, cancel))) != 1:
        raise UsageError("give a SCENARIO to hand in, or --resume RUN, or --cancel RUN.")
    if resume or cancel:
        _go_on(place, str(resume or cancel), bool(cancel), poll_s, parse_duration(give_up), json)
        return
    if requests < 1:
        raise UsageError(f"--requests {requests} is no batch; it must be 1 or more.")
    where = override(
        endpoint(url, target), model=model, dialect=dialect, auth_env=api_key_env, price=price,
        ca_file=ca_file, client_cert=client_cert, client_key=client_key, insecure=insecure,
    )  # fmt: skip
    off = None if discount is None else parse_share(discount)
    about = {
        "--url": url, "--target": target, "--dialect": dialect, "--api-key-env": api_key_env,
        "--price": price, "--ca-file": ca_file, "--client-cert": client_cert, "--client-key": client_key,
    }  # fmt: skip
    flags = [word for flag, value in about.items() if value for word in (flag, value)]
    flags += [flag for flag, given in (("--insecure", insecure), ("--yes", yes)) if given]
    given = {
        "seed": seed, "max_tokens": max_tokens, "exact_length": exact_length,
        "prompt_tokens": prompt_tokens, "label": label,
    }  # fmt: skip
    if detach and beside:
        raise UsageError("--detach ends before there is anything to measure; drop it, or --beside.")
    run, usual = _asked(str(scenario), where, requests, off, max_cost, yes, given)
    load = Load(beside, run, flags, place) if beside else None
    alone = load.measure("alone") if load else ""
    _hand_in(place, run, usual, poll_s)
    if detach:
        say(f"handed in; `loadlab batch --resume {run.id}` waits for it")
        return
    if load is None:
        _await(place, run.id, poll_s, parse_duration(give_up), json)
        return
    _say_both(load, alone, place, run, poll_s, parse_duration(give_up), json)


def _asked(
    scenario: str, where: Endpoint, count: int, discount: float | None, max_cost: float | None, yes: bool,
    given: dict[str, Any],
) -> tuple[Run, Price | None]:  # fmt: skip
    """The run of a batch, and what the same would cost interactively."""
    from loadlab import dialects, pricing
    from loadlab.cli import spend
    from loadlab.dialects import batches as languages
    from loadlab.drive import preflight, spec
    from loadlab.wire.auth import signer_of

    dialects.get(where.dialect)
    languages.of(where.dialect)
    path = spec.find_scenario(scenario)
    where = replace(preflight.check(where, signer_of(where)), stream=False)
    cost, unpriced, usual = pricing.for_batch(None, where, discount)
    level = Level(0, arrivals="batch", requests=count)
    run = spec.build(
        path,
        where,
        (level,),
        timeout_s=86_400.0,
        price=cost,
        unpriced=unpriced,
        terms=pricing.terms(),
        **given,
    )
    run = replace(spend.guarded(run, max_cost, None, yes), max_rate=None)
    _check_cost(run, count, max_cost)
    return run, usual


def _hand_in(place: str, run: Run, usual: Price | None, poll_s: float) -> None:
    """Draws the requests, writes them down, hands them in."""
    from loadlab import dialects, store
    from loadlab.core.clock import anchor
    from loadlab.dialects import batches as languages
    from loadlab.drive import draw
    from loadlab.recorder import batches as books

    where, count = run.endpoint, run.levels[0].requests or 0
    speaks, language = dialects.get(where.dialect), languages.of(where.dialect)
    asked = draw.drawn(run, count)
    calls = {books.custom_id(run.id, seq): speaks.encode(where, one) for seq, one in enumerate(asked)}
    clock_ns, started_at_ns = anchor()
    run = replace(run, clock_ns=clock_ns, started_at_ns=started_at_ns)
    with store.open(place) as database:
        books.begin(run, database, language.name, [one.max_tokens for one in asked], usual, poll_s)
        say(f"run {run.id}: a batch of {count:,} requests to {where.model} at {where.url}")
        try:
            books.handed_in(run, database, _vendor(run).hand_in(calls, run.id))
        except LoadlabError:
            database.finish_run(run.id, "interrupted", ["the batch could not be handed in"])
            raise


def _say_both(
    load: Load, alone: str, place: str, run: Run, poll_s: float, patience_s: float, as_json: bool
) -> None:
    """Measures the load beside the batch, waits for both, and prints what the one did to the other."""
    from loadlab import reports, store
    from loadlab.cli import beside as report
    from loadlab.cli.output import emit_json
    from loadlab.reports import as_json as documents
    from loadlab.reports import comparison

    with load.running("beside the batch") as second:
        _wait(place, run.id, poll_s, patience_s)
        with_batch = load.end(second)
    summary = judge(place, run.id)
    with store.open(place) as database:
        share = report.shared(database, run.id, with_batch)
        found = report.compared(database, alone, with_batch)
    if as_json:
        beside = report.document(found, alone, with_batch, share)
        emit_json({**documents.document(summary), "beside": beside})
    else:
        typer.echo(reports.render("text", summary))
        typer.echo(f"the load beside it, alone (A) and with the batch (B): {report.told(share)}\n")
        typer.echo(comparison.render([found]), nl=False)
    if found.refused or summary.run["verdict"] == "INVALID":
        raise typer.Exit(ExitCode.UNTRUSTED)


def _check_cost(run: Run, count: int, max_cost: float | None) -> None:
    """A batch is paid for as a whole: nothing stops it half-way."""
    from loadlab.core.units import usd

    if max_cost is not None and run.worst_request_usd and run.worst_request_usd * count > max_cost:
        raise UsageError(
            f"{count} requests may cost {usd(run.worst_request_usd * count)}, more than --max-cost "
            f"{usd(max_cost)}, and a batch cannot be stopped at a cost; hand in fewer, or raise it."
        )


def _go_on(place: str, ref: str, cancel: bool, poll_s: float, patience_s: float, as_json: bool) -> None:
    from loadlab import store
    from loadlab.recorder import batches as books

    with store.open(place, create=False) as database:
        stored = database.run(ref)
        row = database.batches.of(stored.id)
        if row is None:
            raise NoDataError(f"run {stored.id} is no batch; `loadlab runs list` shows what is stored.")
        batch_id = row["batch_id"]
        if row["over_ns"] is None or not len(database.requests(stored.id)):
            vendor = _vendor(stored.spec)
            batch_id = batch_id or vendor.begun(stored.id)
            if batch_id is None:
                raise NoDataError(
                    f"run {stored.id} ended before the vendor said that it has the batch; look there, and "
                    "hand it in again if it has none."
                )
            state = vendor.cancel(batch_id) if cancel else vendor.look(batch_id)
            if row["batch_id"] is None:
                books.handed_in(stored.spec, database, state)
    _await(place, stored.id, poll_s, patience_s, as_json)


def _await(place: str, run_id: str, poll_s: float, patience_s: float, as_json: bool) -> None:
    """Looks until it is over, writes the answers down, judges and prints."""
    _wait(place, run_id, poll_s, patience_s)
    if conclude(place, run_id, as_json) == "INVALID":
        raise typer.Exit(ExitCode.UNTRUSTED)


def _wait(place: str, run_id: str, poll_s: float, patience_s: float) -> None:
    from loadlab import store

    with store.open(place) as database:
        run = database.run(run_id).spec
        try:
            _watch(run, database, poll_s, patience_s)
        except KeyboardInterrupt:
            raise InterruptedRunError(
                f"stopped waiting; the batch goes on: loadlab batch --resume {run_id}, or --cancel {run_id}"
            ) from None


def _watch(run: Run, database: Store, poll_s: float, patience_s: float) -> None:
    from loadlab.recorder import batches as books

    row = database.batches.of(run.id)
    assert row
    if len(database.requests(run.id)):
        return
    vendor, end = _vendor(run), time.monotonic() + patience_s
    say_far = _Far(run)
    while not (state := _asked_until(lambda: vendor.look(row["batch_id"]), run, database, poll_s, end)).over:
        books.seen(run, database, state)
        say_far(state)
        _sleep(run, database, poll_s, end)
    books.seen(run, database, state)
    strange = books.answered(
        run, database, _asked_until(lambda: list(vendor.lines(state)), run, database, poll_s, end)
    )
    notes = [f"the results hold {len(strange)} lines that nobody asked for"] if strange else []
    if state.error:
        notes.append(f"the vendor says: {state.error}")
    database.finish_run(run.id, "finished", notes)


def _asked_until(ask: Callable[[], Any], run: Run, database: Store, poll_s: float, end: float) -> Any:
    """What is answered, asked again for as long as the vendor cannot answer just now."""
    from loadlab.drive.batches import BusyError

    while True:
        try:
            return ask()
        except BusyError as error:
            say(f"{error} (asked again in {poll_s:g} s)")
        _sleep(run, database, poll_s, end)


def _sleep(run: Run, database: Store, seconds: float, end: float) -> None:
    """Waits, alive in the eyes of whoever reads the store."""
    until = time.monotonic() + seconds
    if until > end:
        raise InterruptedRunError(
            f"the batch was not over in time; loadlab batch --resume {run.id} goes on waiting."
        )
    while (left := until - time.monotonic()) > 0:
        time.sleep(min(left, _SLICE_S))
        database.heartbeat(run.id)


class _Far:
    """Says how far a batch is, every ten seconds at most."""

    def __init__(self, run: Run) -> None:
        self._begun, self._said, self._count = time.monotonic(), -_SAY_EVERY_S, run.levels[0].requests

    def __call__(self, state: State) -> None:
        now = time.monotonic()
        if now - self._said < _SAY_EVERY_S:
            return
        self._said = now
        done = state.counts.get("succeeded", 0) + state.counts.get("failed", 0)
        say(f"{state.word}: {done:,} of {self._count:,} after {number(now - self._begun)} s")


def _vendor(run: Run) -> Vendor:
    from loadlab.dialects import batches as languages
    from loadlab.drive.batches import Vendor

    return Vendor(run.endpoint, languages.of(run.endpoint.dialect))
