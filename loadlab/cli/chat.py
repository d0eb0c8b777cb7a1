"""`loadlab chat`: one request, its answer as it comes, and its timeline afterwards."""

from __future__ import annotations

import sys
from time import time_ns
from typing import TYPE_CHECKING, Annotated, Any

import typer

from loadlab.cli import options
from loadlab.cli.output import emit_json
from loadlab.core.errors import TargetError, UsageError
from loadlab.core.units import NS_PER_MS, number, parse_duration, usd

if TYPE_CHECKING:
    from loadlab.core.nouns import Endpoint, Result
    from loadlab.dialects import Delta
    from loadlab.drive.speak import Spoken

_SHOWN = 2000
_MOMENTS = (
    "first_byte", "first_event", "first_token", "first_reasoning", "first_answer", "first_tool",
    "last_token", "done",
)  # fmt: skip
_COUNTS = (
    "prompt_tokens", "cached_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens",
    "audio_input_tokens", "audio_output_tokens", "tool_tokens", "audio_s",
)  # fmt: skip


def chat(
    message: Annotated[str, typer.Argument(help="What to ask.")],
    url: options.Url = None,
    target: options.Target = None,
    model: options.Model = None,
    max_tokens: Annotated[int, typer.Option(help="Cap on the output.")] = 256,
    exact_length: options.ExactLength = False,
    seed: Annotated[
        int | None, typer.Option(help="Seed of the server's sampling, where it takes one.")
    ] = None,
    timeout: options.Timeout = "60s",
    dialect: options.Dialect = None,
    api_key_env: options.KeyEnv = None,
    ca_file: options.CaFile = None,
    client_cert: options.ClientCert = None,
    client_key: options.ClientKey = None,
    insecure: options.Insecure = False,
    price: options.PriceName = None,
    json: options.Json = False,
) -> None:
    """Send MESSAGE, print the answer as it comes, then its timeline.

    Nothing is stored. Exits with 3 when the request fails.
    """
    from loadlab import dialects
    from loadlab.cli.run import endpoint, override
    from loadlab.core.nouns import Message, Request, Timeouts
    from loadlab.drive import preflight
    from loadlab.drive.speak import speak
    from loadlab.wire.auth import signer_of

    if max_tokens < 1:
        raise UsageError(f"--max-tokens {max_tokens} leaves nothing to answer with; it must be 1 or more.")
    where = override(
        endpoint(url, target), model=model, dialect=dialect, auth_env=api_key_env, price=price,
        ca_file=ca_file, client_cert=client_cert, client_key=client_key, insecure=insecure,
    )  # fmt: skip
    dialects.get(where.dialect)
    found = preflight.find(where, signer_of(where))
    request = Request((Message("user", message),), max_tokens=max_tokens, ignore_eos=exact_length, seed=seed)
    voice = _Voice(loud=not json)
    spoken = speak(found.endpoint, request, Timeouts(total_s=parse_duration(timeout)), voice.hear)
    shown = _document(found.endpoint, spoken, voice)
    if json:
        emit_json(shown)
    else:
        voice.end(spoken)
        typer.echo("\n".join(_lines(shown)))
    if refused := spoken.refused(found.models):
        raise refused
    if spoken.result.error_kind:
        raise TargetError(f"the request failed with {spoken.result.error_kind}: {spoken.result.error_detail}")


class _Voice:
    """Prints the output as it comes, where it is `loud`; keeps it by kind."""

    def __init__(self, *, loud: bool) -> None:
        self._loud = loud
        self._kind = "answer"
        self.texts: dict[str, str] = {}

    def hear(self, delta: Delta) -> None:
        self.texts[delta.kind] = self.texts.get(delta.kind, "") + delta.text
        if not self._loud:
            return
        if delta.kind != self._kind:
            sys.stdout.write(f"\n[{delta.kind}]\n")
            self._kind = delta.kind
        sys.stdout.write(delta.text)
        sys.stdout.flush()

    def end(self, spoken: Spoken) -> None:
        """Ends the line; an answer that came in one piece is shown as it is."""
        if not self.texts and not spoken.result.error_kind:
            more = f" … ({len(spoken.body)} bytes)" if len(spoken.body) > _SHOWN else ""
            sys.stdout.write(f"{spoken.body[:_SHOWN].decode('utf-8', 'replace')}{more}")
        elif self.texts and not any(self.texts.values()):
            sys.stdout.write(f"[{number(spoken.result.audio_s)} s of sound]")
        sys.stdout.write("\n\n")


def _document(where: Endpoint, spoken: Spoken, voice: _Voice) -> dict[str, Any]:
    result = spoken.result
    cost_usd, price = _cost(where, result)
    return {
        "target": where.name,
        "url": where.url,
        "model": where.model,
        "dialect": where.dialect,
        "output": voice.texts,
        "status": result.status,
        "error_kind": result.error_kind,
        "error_detail": result.error_detail,
        "finish_reason": result.finish_reason,
        "timeline": _timeline(result),
        "gaps": _gaps(result),
        "usage": {name: value for name in _COUNTS if (value := getattr(result, name)) is not None},
        "count_source": result.count_source,
        "server_timings": result.server_timings,
        "cost_usd": cost_usd,
        "price": price,
    }


def _timeline(result: Result) -> dict[str, float | None]:
    """ms since the request had left, as every latency counts; connecting was before that."""
    moments = {f"{name}_ms": _since_sent(result, getattr(result, f"{name}_ns")) for name in _MOMENTS}
    return {"connect_ms": result.connect_ns / NS_PER_MS, "tls_ms": result.tls_ns / NS_PER_MS, **moments}


def _since_sent(result: Result, at_ns: int | None) -> float | None:
    return None if at_ns is None or result.sent_ns is None else (at_ns - result.sent_ns) / NS_PER_MS


def _gaps(result: Result) -> dict[str, float | int | None]:
    """Between pieces of output, by nearest rank."""
    import numpy as np

    from loadlab.analysis.percentiles import describe

    stats = describe(np.diff(np.array(result.arrivals_ns, dtype=np.float64)) / NS_PER_MS)
    return {"n": stats["n"], "p50_ms": stats["p50"], "p99_ms": stats["p99"], "max_ms": stats["max"]}


def _cost(where: Endpoint, result: Result) -> tuple[float | None, str]:
    """What it cost in USD, and by which price or why that is not known."""
    from loadlab import pricing
    from loadlab.pricing.costs import NANO_PER_USD

    price, unpriced = pricing.resolve(where.price, where)
    if price is None:
        return None, unpriced
    if price.kind == "hour":
        return None, f"{price.name} is per hour: what a request costs depends on the others beside it"
    nano = pricing.Meter(price).billed_nano_usd(result, pricing.Use.of(result), time_ns())
    if nano is None:
        return None, f"unknown: {price.name} wants a count that the server did not give"
    return nano / NANO_PER_USD, price.name


def _lines(shown: dict[str, Any]) -> list[str]:
    """The timeline for people."""
    times, gaps = shown["timeline"], shown["gaps"]
    secure = f", TLS {number(times['tls_ms'])} ms of it" if times["tls_ms"] else ""
    rows = [("connect", f"{number(times['connect_ms'])} ms{secure}")]
    if times["done_ms"] is not None:
        rows.append(("sent", "0 ms"))
    known = ((name, times[f"{name}_ms"]) for name in _MOMENTS)
    rows += [(name.replace("_", " "), f"{number(ms)} ms") for name, ms in known if ms is not None]
    if gaps["n"]:
        words = f"p50 {number(gaps['p50_ms'])} ms, p99 {number(gaps['p99_ms'])} ms, of {gaps['n']}"
        rows.append(("gaps", words))
    rows.append(("usage", _usage(shown)))
    if shown["server_timings"]:
        words = ", ".join(f"{name} {value:g}" for name, value in shown["server_timings"].items())
        rows.append(("server says", words))
    known_cost = shown["cost_usd"] is not None
    rows.append(("cost", f"{usd(shown['cost_usd'])} ({shown['price']})" if known_cost else shown["price"]))
    return [f"{name:<16} {words}" for name, words in rows]


def _usage(shown: dict[str, Any]) -> str:
    counts = [f"{name.removesuffix('_tokens')} {value:g}" for name, value in shown["usage"].items()]
    source = " (pieces, as the server does not count)" if shown["count_source"] == "chunks" else ""
    finish = f"; finish reason {shown['finish_reason']}" if shown["finish_reason"] else ""
    return f"{', '.join(counts) or 'unknown'}{source}{finish}"
