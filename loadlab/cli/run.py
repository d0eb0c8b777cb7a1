"""`loadlab run` and `loadlab sweep`: the same verb with other default levels."""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

import typer

from loadlab.cli import options
from loadlab.cli.output import say
from loadlab.core import config
from loadlab.core.errors import ExitCode, UsageError
from loadlab.core.nouns import Endpoint, Run
from loadlab.core.units import parse_duration

if TYPE_CHECKING:
    from loadlab.analysis import Summary
    from loadlab.drive.hosts import Hosts

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_SWEEP = "1,2,4,8"


def run(
    scenario: options.Scenario,
    url: options.Url = None,
    target: options.Target = None,
    model: options.Model = None,
    users: options.Users = None,
    rate: options.Rate = None,
    profile: options.Profile = None,
    trace: options.Trace = None,
    speed: options.Speed = None,
    shape: options.Shape = False,
    arrivals: options.Arrivals = None,
    cv: options.Cv = None,
    max_in_flight: options.MaxInFlight = None,
    spread: options.Spread = None,
    think: options.Think = None,
    requests: options.Requests = None,
    duration: options.Duration = None,
    warmup: options.Warmup = "0s",
    max_tokens: options.MaxTokens = None,
    exact_length: options.ExactLength = False,
    prompt_tokens: options.PromptTokens = None,
    timeout: options.Timeout = "60s",
    connect_timeout: options.ConnectTimeout = "10s",
    first_byte_timeout: options.FirstByteTimeout = None,
    stall_timeout: options.StallTimeout = None,
    seed: options.Seed = None,
    processes: options.Processes = 1,
    dialect: options.Dialect = None,
    api_key_env: options.KeyEnv = None,
    ca_file: options.CaFile = None,
    client_cert: options.ClientCert = None,
    client_key: options.ClientKey = None,
    insecure: options.Insecure = False,
    price: options.PriceName = None,
    route: options.Routes = None,
    slo: options.Slo = None,
    max_cost: options.MaxCost = None,
    max_rate: options.MaxRate = None,
    yes: options.Yes = False,
    label: options.Label = "",
    commit: options.Commit = None,
    metrics_url: options.MetricsUrl = None,
    gpu_url: options.GpuUrl = None,
    gpu_token_env: options.GpuTokenEnv = None,
    gpus: options.Gpus = None,
    hosts: options.Hosts = None,
    bind: options.Bind = "127.0.0.1:5557",
    allow_remote: options.AllowRemote = False,
    collect: options.Collect = False,
    db: options.Db = None,
    json: options.Json = False,
) -> None:
    """Run SCENARIO at one level of load.

    Records every request and prints the summary.
    """
    from loadlab import dialects, pricing
    from loadlab.cli import spend
    from loadlab.cli.routes import routes
    from loadlab.drive import preflight, spec
    from loadlab.wire.auth import signer_of

    where = endpoint(url, target)
    given = {
        "model": model, "dialect": dialect, "auth_env": api_key_env, "price": price, "ca_file": ca_file,
        "client_cert": client_cert, "client_key": client_key, "insecure": insecure,
    }  # fmt: skip
    where = override(where, **given)
    dialects.get(where.dialect)
    path = spec.find_scenario(scenario)
    levels = spec.levels(
        users=numbers("users", users, int),
        rates=numbers("rate", rate, float),
        profile=profile,
        trace=trace,
        speed=speed,
        shape=shape,
        arrivals=arrivals,
        cv=cv,
        max_in_flight=max_in_flight,
        spread_s=seconds(spread),
        think_s=seconds(think),
        requests=requests,
        duration_s=seconds(duration),
        warmup_s=parse_duration(warmup),
    )
    limits = {
        "timeout_s": parse_duration(timeout),
        "connect_timeout_s": parse_duration(connect_timeout),
        "first_byte_timeout_s": seconds(first_byte_timeout),
        "stall_timeout_s": seconds(stall_timeout),
    }
    where = preflight.check(where, signer_of(where))
    cost, unpriced = pricing.resolve(where.price, where)
    asked = spec.build(
        path,
        where,
        levels,
        seed=seed,
        **limits,
        max_tokens=max_tokens,
        exact_length=exact_length,
        prompt_tokens=prompt_tokens,
        processes=processes,
        price=cost,
        unpriced=unpriced,
        terms=pricing.terms(slo=slo),
        routes=routes(route),
        label=label,
        commit=commit,
        metrics_url=metrics_page(metrics_url, where.url),
        **gpu_source(gpu_url, gpu_token_env, gpus),
    )
    asked = spend.guarded(asked, max_cost, max_rate, yes)
    place = config.store_url(db)
    if hosts is None and (collect or allow_remote):
        raise UsageError("--collect and --allow-remote are about other hosts; give --hosts N too.")
    if hosts is not None and processes != 1:
        raise UsageError("with --hosts this one sends nothing: give --processes to each `loadlab worker`.")
    others = load_hosts(hosts, bind, allow_remote, collect, place) if hosts is not None else None
    execute(asked, place, json, others)


@functools.wraps(run)
def sweep(users: str | None = None, rate: str | None = None, **given: Any) -> None:
    other = rate or any(given[kind] for kind in ("profile", "trace", "shape"))
    run(users=users or (None if other else _SWEEP), rate=rate, **given)


sweep.__doc__ = f"""Run SCENARIO at several levels of load.

One level follows the other; together they are one run. Without --users or --rate: users {_SWEEP}.
"""


def numbers(name: str, text: str | None, kind: type) -> list[Any] | None:
    """The numbers of a flag such as 1,2,4; None when it was not given."""
    if text is None:
        return None
    try:
        return [kind(part) for part in text.split(",")]
    except ValueError as error:
        raise UsageError(f"--{name} '{text}' is not a list of numbers; write it like 1,2,4,8.") from error


def seconds(text: str | None) -> float | None:
    """The seconds of a flag; None when it was not given."""
    return None if text is None else parse_duration(text)


def endpoint(url: str | None, target: str | None) -> Endpoint:
    """The endpoint that --target or --url names; `override` makes it whole."""
    from loadlab.dialects import profiles

    if url and target:
        raise UsageError("--url and --target exclude each other; put the URL into the target or drop one.")
    if target:
        return profiles.target(target)
    if url:
        return Endpoint(url=url, model="", dialect="", name=urlsplit(url).netloc.rpartition("@")[2] or url)
    raise UsageError("where to? give --url http://127.0.0.1:8000/v1 or --target NAME of loadlab.toml.")


def override(where: Endpoint, **flags: Any) -> Endpoint:
    """The endpoint with what flags say instead of the file, and what its profile adds."""
    from loadlab.dialects import profiles

    return profiles.resolve(replace(where, **{name: value for name, value in flags.items() if value}))


def load_hosts(count: int, bind: str, allow_remote: bool, collect: bool, place: str) -> Hosts:
    """The hosts that will carry the load. Raises UsageError, also for a database they cannot share."""
    from loadlab import store
    from loadlab.drive.hosts import Hosts

    if place.startswith("sqlite") and not collect:
        raise UsageError(
            "--hosts needs a database that all of them reach: give --db postgresql://USER@HOST/NAME, "
            "or --collect to have each host's records brought here at the end."
        )
    store.open(place).close()  # better said now than after the hosts have come
    return Hosts(count, bind, allow_remote=allow_remote, collect=collect, announce=say)


def execute(asked: Run, place: str, as_json: bool, hosts: Hosts | None = None) -> None:
    """Runs, judges and prints; leaves with the exit code of the verdict."""
    from loadlab.cli.progress import Show
    from loadlab.drive.lifecycle import Supervisor

    with Show(asked) as show:
        outcome = Supervisor(asked, place, show.update, hosts).execute()
    if not outcome.books_closed:
        close_books(place, asked.id, outcome.notes)
    verdict = conclude(place, asked.id, as_json)
    if outcome.interrupted:
        raise typer.Exit(ExitCode.INTERRUPTED)
    if verdict == "INVALID":
        raise typer.Exit(ExitCode.UNTRUSTED)


def close_books(place: str, run_id: str, notes: list[str]) -> None:
    """Writes down the end of a run whose recorder was lost."""
    from loadlab import store

    with store.open(place) as database:
        database.finish_run(run_id, "interrupted", notes)


def conclude(place: str, run_id: str, as_json: bool) -> str:
    """Judges a recorded run and prints the judgement; gives the verdict."""
    from loadlab import reports

    summary = judge(place, run_id)
    typer.echo(reports.render("json" if as_json else "text", summary), nl=False)
    return str(summary.run["verdict"])


def judge(place: str, run_id: str) -> Summary:
    """Judges a recorded run, and stores the verdict and the numbers that history reads."""
    from loadlab import analysis, store
    from loadlab.analysis.judged import judged

    with store.open(place) as database:
        summary = analysis.summary_of(database, run_id)
        database.set_verdict(run_id, summary.run["verdict"], summary.run["reasons"])
        database.statistics.write(run_id, judged(database, summary))
    return summary


def gpu_source(url: str | None, token_env: str | None, gpus: str | None) -> dict[str, str | None]:
    """What a run is told of the server's GPUs. Raises UsageError before anything is sent."""
    from loadlab.cli.gpu import secret
    from loadlab.collectors.gpus import chosen

    secret("--gpu-token-env", token_env)
    chosen(gpus)
    if url not in (None, "local", "none") and urlsplit(url).scheme not in ("http", "https"):
        raise UsageError(f"--gpu-url '{url}' is no address; write http://HOST:9401, local or none.")
    return {"gpu_url": url, "gpu_token_env": token_env, "gpus": gpus}


def metrics_page(given: str | None, url: str) -> str | None:
    """Where to scrape: as told, else /metrics of a server on this machine, else nowhere."""
    if given is not None:
        return None if given == "none" else given
    parts = urlsplit(url)
    if parts.hostname not in _LOOPBACK:
        return None
    return urlunsplit(parts._replace(path="/metrics", query="", fragment=""))
