"""Measures serving techniques: the same load with each off and on, in turn, by ordinary runs.

A technique that the server can switch while it runs is switched between blocks; another one gets two servers,
of which one is idle while the other is measured. What the numbers mean is not its business.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from loadlab.core.errors import MeasurementError, TargetError, UnknownNameError, UsageError
from loadlab.drive.bundled import bundled_server

_ASK_S = 30.0
_BELIEVED = (0, 4)  # exit codes of a run that was carried out: 4 says that its verdict is INVALID
Settings = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Technique:
    """What is switched, under which load, and where it is known to pay. `needs` is the device it is for."""

    name: str
    title: str
    off: Settings
    on: Settings
    scenario: str
    users: int
    max_tokens: int
    pays: str
    needs: str = ""


TECHNIQUES = (
    Technique(
        "batching", "Continuous batching", {"batching": "static"}, {"batching": "continuous"},
        "long_among_short", 8, 48, "wherever requests do not all come and end together",
    ),
    Technique(
        "chunked-prefill", "Chunked prefill", {"chunked_prefill": False}, {"chunked_prefill": True},
        "long_among_short", 8, 48, "the tail of ITL while long prompts arrive",
    ),
    Technique(
        "prefix-cache", "Prefix cache", {"prefix_cache": False}, {"prefix_cache": True},
        "shared_prefix", 4, 32, "TTFT of prompts that begin alike",
    ),
    Technique(
        "ngram", "Speculation by n-grams", {"speculate": "off"}, {"speculate": "ngram"},
        "copying", 1, 60, "copying at one or two streams",
    ),
    Technique(
        "response-cache", "Response cache", {"response_cache": False}, {"response_cache": True},
        "repeats", 4, 32, "questions that are asked again",
    ),
    Technique(
        "int8", "int8 weights", {"quant": "none"}, {"quant": "int8"},
        "chat", 1, 48, "ITL at few streams, where weights are read slower than multiplied",
    ),
    Technique(
        "int4", "int4 weights", {"quant": "none"}, {"quant": "int4"},
        "chat", 1, 48, "ITL at few streams, where weights are read slower than multiplied",
    ),
    Technique(
        "cuda-graphs", "CUDA graphs", {"cuda_graphs": False}, {"cuda_graphs": True},
        "chat", 8, 48, "small models, whose kernels are over before the host has launched the next", "cuda",
    ),
    Technique(
        "compile", "torch.compile", {"compile": False}, {"compile": True},
        "chat", 8, 48, "small models, whose kernels are worth joining", "cuda",
    ),
)  # fmt: skip


def find(names: Sequence[str] | None) -> list[Technique]:
    """The techniques of these names, all without. Raises UnknownNameError."""
    known = {technique.name: technique for technique in TECHNIQUES}
    for name in names or ():
        if name not in known:
            raise UnknownNameError("technique", name, known)
    return [known[name] for name in names] if names else list(TECHNIQUES)


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two: a server and what to switch on it first."""

    url: str
    settings: Settings = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Plan:
    """How a technique is measured: off and on by turns, `pairs` times, `requests` for each user.

    `price` None is that of the machine's CPUs where the server runs on them, and none elsewhere.
    """

    pairs: int = 3
    requests: int = 3
    price: str | None = None
    store: str = "sqlite:///loadlab.db"
    api_key_env: str | None = None


@dataclass(frozen=True, slots=True)
class Measured:
    """The blocks of a technique in the order they were measured, and why some may not be believed."""

    off: list[dict[str, float | None]]
    on: list[dict[str, float | None]]
    doubts: list[str]


class Skip(Exception):  # noqa: N818 - not an error: the reason is printed beside the other techniques
    """This technique cannot be measured here; the text says why."""


def settings_of(url: str, api_key_env: str | None = None) -> dict[str, Any]:
    """What a server and its first model are set to: {name: {"value", "runtime"}}. Raises TargetError."""
    document = _ask(f"{url}/config", None, api_key_env)
    return {**document["server"], **next(iter(document["models"].values()), {})}


def served(url: str) -> dict[str, str]:
    """The model and the device of a server. Raises TargetError."""
    health = _ask(f"{url}/health")
    return {"model": str(health.get("model")), "device": str(health.get("device"))}


def switch(url: str, settings: Settings, api_key_env: str | None = None) -> None:
    """Switches settings of a running server. Raises TargetError with the server's words."""
    if settings:
        _ask(f"{url}/config", settings, api_key_env)


@contextmanager
def sides(
    technique: Technique, url: str | None, flags: Sequence[str], api_key_env: str | None = None
) -> Iterator[tuple[Side, Side]]:
    """Off and on of a technique, on the server at `url` or on bundled ones with `flags`. Raises Skip."""
    with ExitStack() as servers:
        where = url or servers.enter_context(bundled_server(flags)).url
        before = _settings(technique, where, api_key_env)
        if all(entry["runtime"] for entry in before.values()):
            try:
                yield Side(where, technique.off), Side(where, technique.on)
            finally:  # as it was found: a given server goes on being somebody's
                switch(where, {name: entry["value"] for name, entry in before.items()}, api_key_env)
            return
        if url:
            raise Skip("it is set when the server starts; leave --url away, and loadlab starts two")
        servers.close()
        off, on = (
            servers.enter_context(bundled_server([*flags, *_flags(settings)]))
            for settings in (technique.off, technique.on)
        )
        yield Side(off.url), Side(on.url)


def _settings(technique: Technique, url: str, api_key_env: str | None) -> dict[str, Any]:
    """What the technique switches, as the server has it now. Raises Skip where it does not have it."""
    device = str(_ask(f"{url}/health").get("device", ""))
    if technique.needs not in device:
        raise Skip(f"it is for {technique.needs}, and this server runs on {device}")
    known = settings_of(url, api_key_env)
    if missing := [name for name in technique.on if name not in known]:
        raise Skip(f"this server has no setting '{missing[0]}'")
    return {name: known[name] for name in technique.on}


def _flags(settings: Settings) -> Iterator[str]:
    """The settings as flags of `loadlab serve`."""
    for name, value in settings.items():
        flag = name.replace("_", "-")
        if isinstance(value, bool):
            yield f"--{flag}" if value else f"--no-{flag}"
        else:
            yield from (f"--{flag}", str(value))


def measure(technique: Technique, off: Side, on: Side, plan: Plan, told: Callable[[str], None]) -> Measured:
    """Off, on, on, off, … `plan.pairs` times, each pair with prompts of its own. Raises LoadlabError."""
    found = Measured([], [], [])
    _block(technique, off, plan, -1, "warm-up")
    _block(technique, on, plan, -2, "warm-up")
    for pair in range(plan.pairs):
        for is_on in (pair % 2 == 1, pair % 2 == 0):
            side, word = (on, "on") if is_on else (off, "off")
            block, doubts = _block(technique, side, plan, pair, word)
            (found.on if is_on else found.off).append(block)
            found.doubts.extend(f"{word}, pair {pair + 1}: {doubt}" for doubt in doubts)
            told(f"{technique.name} {word} {pair + 1}/{plan.pairs}: {_shown(block)}")
    return found


def _block(
    technique: Technique, side: Side, plan: Plan, pair: int, word: str
) -> tuple[dict[str, float | None], list[str]]:
    switch(side.url, side.settings, plan.api_key_env)
    level = _run(technique, side.url, plan, seed=1000 + pair, label=f"techniques {technique.name} {word}")
    if not level["requests"]["ok"]:
        raise MeasurementError(
            f"{technique.name} {word}: no request was answered ({level['requests']['errors']}); "
            "see what the server says."
        )
    doubts = [str(reason) for reason in level["reasons"]] if level["verdict"] == "INVALID" else []
    return _numbers(level), doubts


def _numbers(level: Mapping[str, Any]) -> dict[str, float | None]:
    metrics, rates, cost = level["metrics"], level["rates"], level["cost"]
    return {
        "ttft_ms.p50": metrics["ttft_ms"]["p50"],
        "itl_ms.p50": metrics["itl_ms"]["p50"],
        "itl_ms.p99": metrics["itl_ms"]["p99"],
        "tpot_ms.p50": metrics["tpot_ms"]["p50"],
        "output_tokens_per_s": rates["output_tokens_per_s"],
        "usd_per_mtok_output": cost.get("usd_per_mtok_output"),
    }


METRICS = (
    "ttft_ms.p50", "itl_ms.p50", "itl_ms.p99", "tpot_ms.p50", "output_tokens_per_s", "usd_per_mtok_output",
)  # fmt: skip


def _shown(block: Mapping[str, float | None]) -> str:
    ttft, rate = block["ttft_ms.p50"] or 0.0, block["output_tokens_per_s"] or 0.0
    return f"TTFT p50 {ttft:.1f} ms, {rate:.1f} tok/s"


def _run(technique: Technique, url: str, plan: Plan, *, seed: int, label: str) -> dict[str, Any]:
    """One `loadlab run`: its only level. Raises MeasurementError with its words."""
    about, requests = served(url), technique.users * plan.requests
    price = plan.price or ("cpu-hour" if about["device"] == "cpu" else None)
    optional = {"--price": price, "--api-key-env": plan.api_key_env}
    command = [
        sys.executable, "-m", "loadlab", "run", technique.scenario, "--url", f"{url}/v1", "--json",
        "--model", about["model"], "--users", str(technique.users), "--requests", str(requests),
        "--max-tokens", str(technique.max_tokens), "--seed", str(seed), "--db", plan.store, "--label", label,
        *(word for flag, value in optional.items() if value for word in (flag, value)),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode not in _BELIEVED or not done.stdout:
        raise MeasurementError(f"`loadlab run` ended with {done.returncode}: {done.stderr.strip()[-500:]}")
    level: dict[str, Any] = json.loads(done.stdout)["levels"][0]
    return level


def _ask(url: str, change: Settings | None = None, api_key_env: str | None = None) -> dict[str, Any]:
    body = None if change is None else json.dumps(change).encode()
    request = urllib.request.Request(url, body, _headers(api_key_env), method="PATCH" if body else "GET")
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=_ASK_S) as answer:
            document: dict[str, Any] = json.load(answer)
    except urllib.error.HTTPError as error:
        said = error.read().decode(errors="replace")[:300]
        raise TargetError(f"{request.method} {url} was answered with {error.code}: {said}") from error
    except (OSError, ValueError) as error:
        raise TargetError(
            f"{request.method} {url} failed: {error}. `loadlab techniques` needs a server of `loadlab serve`."
        ) from error
    return document


def _headers(api_key_env: str | None) -> dict[str, str]:
    headers = {"Content-Type": "application/json"}
    if api_key_env:
        if not (key := os.environ.get(api_key_env)):
            raise UsageError(f"--api-key-env: environment variable '{api_key_env}' is not set or empty.")
        headers["Authorization"] = f"Bearer {key}"
    return headers
