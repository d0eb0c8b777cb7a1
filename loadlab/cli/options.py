"""The flags that several verbs share, each worded once."""

from __future__ import annotations

from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print one versioned JSON document on stdout.")]
Db = Annotated[
    str | None,
    typer.Option(
        help="Database URL. Default: $LOADLAB_DB, [store].url of loadlab.toml, sqlite:///loadlab.db.",
        metavar="URL",
    ),
]
Scenario = Annotated[
    str, typer.Argument(help="A bundled scenario, one in ./scenarios, or a path ending in .py.")
]
Target = Annotated[str | None, typer.Option(help="A target of loadlab.toml.", metavar="NAME")]
Url = Annotated[str | None, typer.Option(help="Base URL of the endpoint, such as http://127.0.0.1:8000/v1.")]
Model = Annotated[
    str | None, typer.Option(help="Model to ask for. Default: the only one the endpoint lists.")
]
Dialect = Annotated[
    str | None,
    typer.Option(help="Wire language, a name of docs/dialects.md. Default: the target's, else openai-chat."),
]
KeyEnv = Annotated[str | None, typer.Option(help="Environment variable holding the API key.", metavar="NAME")]
Users = Annotated[
    str | None,
    typer.Option(
        help="Closed loop: users, each with one request at a time; 1,2,4 or 1..64:x2 makes several levels."
    ),
]
Rate = Annotated[
    str | None, typer.Option(help="Open loop: requests per second; 1,2,4 or 2..20:2 makes several levels.")
]
Profile = Annotated[
    str | None,
    typer.Option(help="Open loop: a rate that changes, such as 0s:2,30s:20,60s:20; straight lines between."),
]
Trace = Annotated[
    str | None, typer.Option(help="Open loop: arrivals and lengths of a JSON-lines file.", metavar="FILE")
]
Speed = Annotated[float | None, typer.Option(help="Play the trace this many times as fast.")]
Shape = Annotated[
    bool, typer.Option("--shape", help="Closed loop: users by the scenario's own LoadTestShape.")
]
Arrivals = Annotated[str | None, typer.Option(help="Open loop gaps: poisson (default), constant or gamma.")]
Cv = Annotated[float | None, typer.Option(help="Coefficient of variation of gamma gaps; Poisson's is 1.")]
MaxInFlight = Annotated[
    int | None,
    typer.Option(help="Open loop: cap on requests under way; later ones wait, and that is reported."),
]
Spread = Annotated[str | None, typer.Option(help="Closed loop: users start over this time, not at once.")]
Think = Annotated[str | None, typer.Option(help="Closed loop: wait between a user's requests.")]
Requests = Annotated[int | None, typer.Option(help="Requests per level.")]
Duration = Annotated[
    str | None, typer.Option(help="Length of a level, such as 30s. Default without --requests.")
]
Warmup = Annotated[str, typer.Option(help="First part of each level, recorded but kept out of every metric.")]
MaxTokens = Annotated[int | None, typer.Option(help="Cap on the output of every request.")]
ExactLength = Annotated[
    bool,
    typer.Option("--exact-length", help="Ask for exactly so many output tokens, where the endpoint can."),
]
PromptTokens = Annotated[
    int | None,
    typer.Option(help="Synthetic prompts of about this many tokens instead of the scenario's own."),
]
Timeout = Annotated[str, typer.Option(help="Limit for one request, such as 60s.")]
ConnectTimeout = Annotated[str, typer.Option(help="Limit for DNS, TCP and TLS together.")]
FirstByteTimeout = Annotated[str | None, typer.Option(help="Limit for the silence before the first byte.")]
StallTimeout = Annotated[str | None, typer.Option(help="Limit for the silence between two reads.")]
CaFile = Annotated[str | None, typer.Option(help="PEM file of the authority to trust.", metavar="FILE")]
ClientCert = Annotated[str | None, typer.Option(help="PEM file of our own certificate.", metavar="FILE")]
ClientKey = Annotated[str | None, typer.Option(help="PEM file of its key.", metavar="FILE")]
Insecure = Annotated[bool, typer.Option("--insecure", help="Take any certificate of the server.")]
Seed = Annotated[int | None, typer.Option(help="Seed of prompts and arrivals. Default: drawn and stored.")]
Processes = Annotated[int, typer.Option(help="Load worker processes; one core each.")]
PriceName = Annotated[
    str | None, typer.Option("--price", help="Price to use: a name of docs/prices.md, or like 2.50/h.")
]
Routes = Annotated[
    list[str] | None,
    typer.Option(
        "--route",
        help="Another target, to which the scenario sends by NAME; may be repeated.",
        metavar="NAME=TARGET",
    ),
]
Slo = Annotated[
    str | None,
    typer.Option(
        help="Limits that each request must keep, such as ttft_ms=500,tpot_ms=50. Default: [slo].",
        metavar="LIMITS",
    ),
]
MaxCost = Annotated[
    float | None,
    typer.Option(
        help="Stop sending once so many USD are spent. Required where a vendor bills, unless --yes.",
        metavar="USD",
    ),
]
MaxRate = Annotated[
    float | None,
    typer.Option(
        help="Most requests per second. Default: 20 for a host that is not this machine, else no limit.",
        metavar="PER_S",
    ),
]
Yes = Annotated[bool, typer.Option("--yes", help="Run against a vendor that bills, without a cap.")]
Label = Annotated[str, typer.Option(help="Free words to find the run by.")]
Commit = Annotated[
    str | None,
    typer.Option(
        help="Commit of what is served, for history. Default: $LOADLAB_COMMIT, $GITHUB_SHA, $CI_COMMIT_SHA.",
        metavar="SHA",
    ),
]
MetricsUrl = Annotated[
    str | None,
    typer.Option(
        help="Prometheus page of the server; 'none' for none. Default: /metrics of a loopback server."
    ),
]
GpuUrl = Annotated[
    str | None,
    typer.Option(
        help="GPUs of the server: a `loadlab gpu agent`, a page of dcgm-exporter or Triton, local, or none. "
        "Default: local where the server runs on this host.",
        metavar="URL",
    ),
]
GpuTokenEnv = Annotated[
    str | None, typer.Option(help="Environment variable with the token of --gpu-url.", metavar="NAME")
]
Gpus = Annotated[
    str | None, typer.Option(help="Only these GPUs, such as 0,1: those that serve. Default: all.")
]
Hosts = Annotated[
    int | None,
    typer.Option(help="Load comes from so many other hosts, each running `loadlab worker`.", metavar="N"),
]
Repeat = Annotated[int, typer.Option(min=1, help="Measure every level so often, in rounds.")]
KeepGoing = Annotated[
    bool,
    typer.Option(
        "--keep-going", help="Give every level its time, also those the server does not keep up with."
    ),
]
FreshPrompts = Annotated[
    bool | None,
    typer.Option(
        "--fresh-prompts/--no-fresh-prompts",
        help="Begin each prompt with characters of its own, so that no cache knows it. Default: only where "
        "levels are chosen automatically.",
    ),
]
Bind = Annotated[
    str, typer.Option(help="With --hosts: where this one listens for them.", metavar="HOST:PORT")
]
AllowRemote = Annotated[
    bool, typer.Option("--allow-remote", help="Let --bind be open to a network you trust.")
]
Collect = Annotated[
    bool,
    typer.Option("--collect", help="With --hosts: each host records for itself and hands over at the end."),
]
