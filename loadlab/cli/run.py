"""`loadlab run` and `loadlab sweep`: the same run with one level or with several."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import urlsplit, urlunsplit

import typer

from loadlab.cli import options
from loadlab.core.errors import ExitCode, UsageError
from loadlab.core.nouns import Endpoint

_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def run(
    scenario: options.Scenario,
    url: options.Url = None,
    target: options.Target = None,
    model: options.Model = None,
    users: Annotated[
        int | None, typer.Option(help="Closed loop: users, each with one request at a time.")
    ] = None,
    rate: Annotated[float | None, typer.Option(help="Open loop: requests per second.")] = None,
    arrivals: options.Arrivals = None,
    requests: options.Requests = None,
    duration: options.Duration = None,
    warmup: options.Warmup = "0s",
    max_tokens: options.MaxTokens = None,
    prompt_tokens: options.PromptTokens = None,
    timeout: options.Timeout = "60s",
    seed: options.Seed = None,
    processes: options.Processes = 1,
    dialect: options.Dialect = None,
    api_key_env: options.KeyEnv = None,
    price: options.PriceName = None,
    label: options.Label = "",
    metrics_url: options.MetricsUrl = None,
    db: options.Db = None,
    json: options.Json = False,
) -> None:
    """Run SCENARIO at one level of load.

    Records every request and prints the summary.
    """
    execute(
        scenario,
        endpoint(url, target, model, dialect, api_key_env, price),
        users=None if users is None else [users],
        rates=None if rate is None else [rate],
        arrivals=arrivals,
        requests=requests,
        duration=duration,
        warmup=warmup,
        max_tokens=max_tokens,
        prompt_tokens=prompt_tokens,
        timeout=timeout,
        seed=seed,
        processes=processes,
        label=label,
        metrics_url=metrics_url,
        db=db,
        as_json=json,
    )


def sweep(
    scenario: options.Scenario,
    url: options.Url = None,
    target: options.Target = None,
    model: options.Model = None,
    users: Annotated[str | None, typer.Option(help="Closed loop levels, such as 1,2,4,8.")] = None,
    rate: Annotated[
        str | None, typer.Option(help="Open loop levels in requests per second, such as 1,2,4.")
    ] = None,
    arrivals: options.Arrivals = None,
    requests: options.Requests = None,
    duration: options.Duration = None,
    warmup: options.Warmup = "0s",
    max_tokens: options.MaxTokens = None,
    prompt_tokens: options.PromptTokens = None,
    timeout: options.Timeout = "60s",
    seed: options.Seed = None,
    processes: options.Processes = 1,
    dialect: options.Dialect = None,
    api_key_env: options.KeyEnv = None,
    price: options.PriceName = None,
    label: options.Label = "",
    metrics_url: options.MetricsUrl = None,
    db: options.Db = None,
    json: options.Json = False,
) -> None:
    """Run SCENARIO at several levels of load.

    One level follows the other; together they are one run.
    """
    if users is None and rate is None:
        users = "1,2,4,8"
    execute(
        scenario,
        endpoint(url, target, model, dialect, api_key_env, price),
        users=None if users is None else _numbers("users", users, int),
        rates=None if rate is None else _numbers("rate", rate, float),
        arrivals=arrivals,
        requests=requests,
        duration=duration,
        warmup=warmup,
        max_tokens=max_tokens,
        prompt_tokens=prompt_tokens,
        timeout=timeout,
        seed=seed,
        processes=processes,
        label=label,
        metrics_url=metrics_url,
        db=db,
        as_json=json,
    )


def _numbers(name: str, text: str, kind: type) -> list[Any]:
    try:
        return [kind(part) for part in text.split(",")]
    except ValueError as error:
        raise UsageError(f"--{name} '{text}' is not a list of numbers; write it like 1,2,4,8.") from error


def endpoint(
    url: str | None,
    target: str | None,
    model: str | None,
    dialect: str | None,
    api_key_env: str | None,
    price: str | None,
) -> Endpoint:
    """The endpoint that --target or --url names, with what further flags override."""
    from dataclasses import replace

    from loadlab.core.config import target as configured

    if url and target:
        raise UsageError("--url and --target exclude each other; put the URL into the target or drop one.")
    if target:
        found = configured(target)
    elif url:
        found = Endpoint(url=url, model="", name=urlsplit(url).netloc.rpartition("@")[2] or url)
    else:
        raise UsageError("where to? give --url http://127.0.0.1:8000/v1 or --target NAME of loadlab.toml.")
    return replace(
        found,
        model=model or found.model,
        dialect=dialect or found.dialect,
        auth_env=api_key_env or found.auth_env,
        price=price or found.price,
    )


def execute(
    scenario: str,
    where: Endpoint,
    *,
    users: list[int] | None,
    rates: list[float] | None,
    arrivals: str | None,
    requests: int | None,
    duration: str | None,
    warmup: str,
    max_tokens: int | None,
    prompt_tokens: int | None,
    timeout: str,
    seed: int | None,
    processes: int,
    label: str,
    metrics_url: str | None,
    db: str | None,
    as_json: bool,
) -> None:
    """Checks, runs, judges and prints; leaves with the exit code of the verdict."""
    from loadlab import dialects, pricing
    from loadlab.cli.progress import Show
    from loadlab.core.config import store_url
    from loadlab.core.units import parse_duration
    from loadlab.drive import preflight, spec
    from loadlab.drive.lifecycle import Supervisor
    from loadlab.wire.auth import auth_headers

    dialects.get(where.dialect)
    spec.find_scenario(scenario)
    steps = spec.levels(
        users,
        rates,
        arrivals,
        requests,
        parse_duration(duration) if duration else None,
        parse_duration(warmup),
    )
    where = preflight.check(where, auth_headers(where))
    cost, unpriced = pricing.resolve(where.price, where)
    asked = spec.build(
        scenario,
        where,
        steps,
        seed=seed,
        timeout_s=parse_duration(timeout),
        max_tokens=max_tokens,
        prompt_tokens=prompt_tokens,
        processes=processes,
        price=cost,
        unpriced=unpriced,
        label=label,
        metrics_url=_metrics_url(metrics_url, where.url),
    )
    place = store_url(db)
    with Show(asked) as show:
        outcome = Supervisor(asked, place, show.update).execute()
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

    database = store.open(place)
    database.finish_run(run_id, "interrupted", notes)
    database.close()


def conclude(place: str, run_id: str, as_json: bool) -> str:
    """Judges a recorded run, stores and prints the judgement; gives the verdict."""
    from loadlab import analysis, store
    from loadlab.cli.output import emit_json
    from loadlab.reports import as_json as document
    from loadlab.reports import text

    database = store.open(place)
    summary = analysis.summary_of(database, run_id)
    database.set_verdict(run_id, summary.run["verdict"], summary.run["reasons"])
    database.close()
    if as_json:
        emit_json(document.document(summary))
    else:
        typer.echo(text.render(summary), nl=False)
    return str(summary.run["verdict"])


def _metrics_url(given: str | None, url: str) -> str | None:
    """Where to scrape: as told, else /metrics of a server on this machine, else nowhere."""
    if given is not None:
        return None if given == "none" else given
    parts = urlsplit(url)
    if parts.hostname not in _LOOPBACK:
        return None
    return urlunsplit(parts._replace(path="/metrics", query="", fragment=""))
