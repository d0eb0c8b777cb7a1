"""From the flags of `run`, `sweep` and `search` to what is measured: the run, its levels, its hosts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from loadlab.cli.output import say
from loadlab.core import config, loads
from loadlab.core.errors import UsageError
from loadlab.core.nouns import Level, Run
from loadlab.core.units import parse_duration

if TYPE_CHECKING:
    from loadlab.drive.hosts import Hosts

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
Flags = Mapping[str, Any]


def run(
    given: Flags, levels: tuple[Level, ...], *, course: Mapping[str, Any], fresh_prompts: bool = False
) -> Run:
    """The run that the flags ask for, its endpoint looked at and its caps in place. Raises LoadlabError.

    `fresh_prompts` is what holds where the flag does not say.
    """
    from dataclasses import replace

    from loadlab import dialects, pricing
    from loadlab.cli import spend
    from loadlab.cli.routes import routes
    from loadlab.cli.run import endpoint, override
    from loadlab.drive import preflight, spec
    from loadlab.wire.auth import signer_of

    hosts_together(given)
    flags = {
        "model": "model", "dialect": "dialect", "auth_env": "api_key_env", "price": "price",
        "ca_file": "ca_file", "client_cert": "client_cert", "client_key": "client_key",
        "insecure": "insecure",
    }  # fmt: skip
    where = override(
        endpoint(given["url"], given["target"]), **{name: given[flag] for name, flag in flags.items()}
    )
    dialects.get(where.dialect)
    path = spec.find_scenario(given["scenario"])
    where = preflight.check(where, signer_of(where))
    cost, unpriced = pricing.resolve(where.price, where)
    fresh = given["fresh_prompts"]
    asked = spec.build(
        path,
        where,
        levels,
        seed=given["seed"],
        **_limits(given),
        **{
            name: given[name]
            for name in ("max_tokens", "exact_length", "prompt_tokens", "processes", "label", "commit")
        },
        price=cost,
        unpriced=unpriced,
        terms=pricing.terms(slo=given.get("slo")),
        routes=routes(given["route"]),
        metrics_url=metrics_page(given["metrics_url"], where.url),
        fresh_prompts=fresh_prompts if fresh is None else fresh,
        course=course,
        **gpu_source(given["gpu_url"], given["gpu_token_env"], given["gpus"]),
    )
    asked = spend.guarded(asked, given["max_cost"], given["max_rate"], given["yes"])
    return replace(asked, levels=() if course.get("kind", "list") != "list" else asked.levels)


def _limits(given: Flags) -> dict[str, Any]:
    names = ("connect_timeout", "first_byte_timeout", "stall_timeout")
    limits = {f"{name}_s": seconds(given[name]) for name in names}
    return {"timeout_s": parse_duration(given["timeout"]), **limits}


def levels(given: Flags) -> tuple[Level, ...]:
    """The levels that the flags list, in rounds where they are repeated. Raises UsageError."""
    from loadlab.drive import spec

    users, rates = given["users"], given["rate"]
    return spec.levels(
        users=users and [int(load) for load in loads.parse("users", users, whole=True)],
        rates=rates and loads.parse("rate", rates),
        **{name: given[name] for name in ("profile", "trace", "speed", "shape", "arrivals", "cv")},
        max_in_flight=given["max_in_flight"],
        spread_s=seconds(given["spread"]),
        think_s=seconds(given["think"]),
        requests=given["requests"],
        duration_s=seconds(given["duration"]),
        warmup_s=parse_duration(given["warmup"]),
        repeats=given["repeat"],
    )


def listed(given: Flags) -> dict[str, Any]:
    """The course of a run whose levels are listed."""
    return {"kind": "list", "keep_going": True} if given["keep_going"] else {}


def place(given: Flags) -> str:
    """The database that the run goes into."""
    return config.store_url(given["db"])


def seconds(text: str | None) -> float | None:
    """The seconds of a flag; None when it was not given."""
    return None if text is None else parse_duration(text)


def hosts_together(given: Flags) -> None:
    """Refuses flags about other hosts that do not go together. Raises UsageError."""
    if given["hosts"] is None and (given["collect"] or given["allow_remote"]):
        raise UsageError("--collect and --allow-remote are about other hosts; give --hosts N too.")
    if given["hosts"] is not None and given["processes"] != 1:
        raise UsageError("with --hosts this one sends nothing: give --processes to each `loadlab worker`.")


def alone(given: Flags, verb: str) -> None:
    """Refuses other hosts where each level is chosen by what is stored of the one before."""
    if given["hosts"] is not None:
        raise UsageError(
            f"{verb} chooses each level by the one before and sends from this host; drop --hosts."
        )


def hosts(given: Flags) -> Hosts | None:
    """The hosts that will carry the load, if any. Raises UsageError."""
    if given["hosts"] is None:
        return None
    from loadlab import store
    from loadlab.drive.hosts import Hosts

    where, collect = place(given), given["collect"]
    if where.startswith("sqlite") and not collect:
        raise UsageError(
            "--hosts needs a database that all of them reach: give --db postgresql://USER@HOST/NAME, "
            "or --collect to have each host's records brought here at the end."
        )
    store.open(where).close()  # better said now than after the hosts have come
    remote = given["allow_remote"]
    return Hosts(given["hosts"], given["bind"], allow_remote=remote, collect=collect, announce=say)


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
