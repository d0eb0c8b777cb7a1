"""`loadlab run`: SCENARIO at the levels of load that the flags say, as one run."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from loadlab.cli import options
from loadlab.core.errors import UsageError
from loadlab.core.nouns import Endpoint


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
    repeat: options.Repeat = 1,
    keep_going: options.KeepGoing = False,
    fresh_prompts: options.FreshPrompts = None,
    db: options.Db = None,
    json: options.Json = False,
) -> None:
    """Run SCENARIO at one level of load.

    Records every request and prints the summary.
    """
    carry_out(dict(locals()))


def carry_out(given: dict[str, Any]) -> None:
    """Measures what flags of `run` say."""
    from loadlab.cli import asked, measured

    run = asked.run(given, asked.levels(given), course=asked.listed(given))
    measured.execute(run, asked.place(given), given["json"], asked.hosts(given))


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
