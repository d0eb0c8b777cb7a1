"""What works at an endpoint, found out by asking it: a few short requests, each judged in plain words.

Every request is one that a load could send, over the load's own client. It judges no speed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from email.utils import parsedate_to_datetime
from typing import Any, Literal

from loadlab import dialects
from loadlab.core.errors import UsageError
from loadlab.core.nouns import Endpoint, Request, Result, Timeouts
from loadlab.core.units import NS_PER_MS, NS_PER_S, number
from loadlab.drive import preflight
from loadlab.drive.ask import Answer, PreflightError
from loadlab.drive.preflight import Found
from loadlab.drive.speak import speak
from loadlab.wire.auth import Sign

TOKENS = 32
_LONG = Request(prompt="Count from one to one hundred in words.", max_tokens=TOKENS)
_SHORT = Request(prompt="Reply with the single word: yes", max_tokens=TOKENS)
_LIMITS = ("ratelimit", "rate-limit", "retry-after")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at. A note limits what can be measured; a problem stops it. `facts` are for JSON."""

    name: str
    state: Literal["ok", "note", "problem"]
    words: str
    facts: Mapping[str, Any] = field(default_factory=dict)


def probe(endpoint: Endpoint, sign: Sign, timeouts: Timeouts) -> Iterator[Finding]:
    """What works there, one after the other; it ends with the first problem that stops all else.

    Raises UsageError for what no request can be made of.
    """
    try:
        found = preflight.find(endpoint, sign)
    except PreflightError as error:
        yield from _stopped(endpoint, error)
        return
    try:
        first = preflight.first(found, sign)
    except PreflightError as error:
        yield from _stopped(endpoint, error)
    else:
        yield _reached(endpoint)
        yield from _answers(found, timeouts)
        yield _limits(first or found.listing)
    yield _clock(found.listing)


def _reached(endpoint: Endpoint) -> Finding:
    return Finding("reach", "ok", f"{endpoint.url} answers")


def _stopped(endpoint: Endpoint, error: PreflightError) -> Iterator[Finding]:
    if error.about != "reach":
        yield _reached(endpoint)
    yield Finding(error.about, "problem", str(error))


def _answers(found: Found, timeouts: Timeouts) -> Iterator[Finding]:
    endpoint = found.endpoint
    asked = _audible(endpoint, _LONG)
    spoken = speak(endpoint, asked, timeouts)
    result = spoken.result
    if refused := spoken.refused(found.models):
        yield Finding(refused.about, "problem", str(refused))
        return
    if result.error_kind:
        words = f"{result.error_kind}: {result.error_detail}"
        yield Finding("answer", "problem", words, {"error_kind": result.error_kind})
        return
    yield _key(endpoint)
    yield _answer(endpoint, result)
    yield _stream(endpoint, asked, result)
    yield _usage(result)
    yield _length(endpoint, result, timeouts)


def _key(endpoint: Endpoint) -> Finding:
    if endpoint.signs_for:
        words = {"aws": "the signature for AWS", "entra": "the Entra token", "google": "the Google token"}
        return Finding("key", "ok", f"{words[endpoint.signs_for]} is accepted")
    if endpoint.auth_env:
        return Finding("key", "ok", f"the key in ${endpoint.auth_env} is accepted")
    return Finding("key", "ok", "none is given and none is wanted")


def _answer(endpoint: Endpoint, result: Result) -> Finding:
    facts: dict[str, Any] = {
        "model": endpoint.model,
        "e2e_ms": _ms(result.sent_ns, result.done_ns),
        "connect_ms": result.connect_ns / NS_PER_MS,
        "tls_ms": result.tls_ns / NS_PER_MS,
        "finish_reason": result.finish_reason,
    }
    secure = f", TLS {number(facts['tls_ms'])} ms of it" if result.tls_ns else ""
    words = (
        f"{endpoint.model} speaks {endpoint.dialect}; complete {number(facts['e2e_ms'])} ms after sending "
        f"(connecting: {number(facts['connect_ms'])} ms{secure})"
    )
    return Finding("answer", "ok", words, facts)


def _stream(endpoint: Endpoint, asked: Request, result: Result) -> Finding:
    ttft = _ms(result.sent_ns, result.first_token_ns)
    reads = len(set(result.arrivals_ns))
    facts = {"pieces": result.chunks, "reads": reads, "ttft_ms": ttft}
    if not endpoint.stream:
        words = "whole answers are asked for (stream = false): there is no first token to time"
    elif not _differs(endpoint, asked, replace(asked, stream=False)) and not result.chunks:
        words = f"{endpoint.dialect} has no stream: whole answers are measured"
    elif not result.chunks:
        words = f"no output came within {TOKENS} tokens (finish reason {result.finish_reason})"
    elif reads == 1:
        words = f"{result.chunks} pieces came at once, after {number(ttft)} ms: does a proxy hold them back?"
    else:
        words = f"{result.chunks} pieces in {reads} reads, the first after {number(ttft)} ms"
        return Finding("stream", "ok", words, facts)
    return Finding("stream", "note", words, facts)


def _usage(result: Result) -> Finding:
    names = ("prompt_tokens", "cached_tokens", "output_tokens", "reasoning_tokens", "audio_s")
    facts = {name: value for name in names if (value := getattr(result, name)) is not None}
    facts["count_source"] = result.count_source
    if result.count_source == "usage" or result.prompt_tokens is not None:
        counts = (f"{name.removesuffix('_tokens')} {facts[name]:g}" for name in names if name in facts)
        return Finding("usage", "ok", f"the server counts tokens: {', '.join(counts)}", facts)
    if result.audio_s is not None:
        return Finding("usage", "ok", f"counted in seconds of audio: {number(result.audio_s)}", facts)
    words = (
        "the server does not count tokens; output is counted in pieces, and a price per token has no basis"
    )
    return Finding("usage", "note", words, facts)


def _length(endpoint: Endpoint, seen: Result, timeouts: Timeouts) -> Finding:
    """Whether an exact length is kept: a short answer, asked to be long, is; and is not where not asked."""
    exact = replace(_SHORT, ignore_eos=True)
    if seen.audio_s is not None or seen.output_tokens is None:
        return Finding("length", "note", "there is no output that is measured in tokens")
    if not _differs(endpoint, _SHORT, exact):
        words = (
            "an exact length cannot be asked for here; --max-tokens only caps, --exact-length does nothing"
        )
        return Finding("length", "note", words)
    forced = speak(endpoint, exact, timeouts).result
    facts = {"asked": TOKENS, "got": forced.output_tokens, "count_source": forced.count_source}
    if forced.error_kind:
        words = f"asking for an exact length fails ({forced.error_kind}: {forced.error_detail})"
        return Finding("length", "note", f"{words}; go without --exact-length", facts)
    if forced.count_source != "usage" or forced.output_tokens != TOKENS:
        words = f"asked for exactly {TOKENS} tokens, got {forced.output_tokens}; --max-tokens only caps"
        return Finding("length", "note", words, facts)
    free = speak(endpoint, _SHORT, timeouts).result.output_tokens
    facts["unasked"] = free
    if free == TOKENS:
        words = f"exactly {TOKENS} tokens when asked for, but as many unasked: it cannot be told apart here"
        return Finding("length", "note", words, facts)
    return Finding("length", "ok", f"exactly {TOKENS} tokens when asked for, {free} when not", facts)


def _audible(endpoint: Endpoint, request: Request) -> Request:
    """The request, with a second of silence for a language that wants to hear something."""
    try:
        dialects.get(endpoint.dialect).encode(endpoint, request)
    except UsageError:
        return replace(request, audio=preflight.silence())
    return request


def _differs(endpoint: Endpoint, one: Request, other: Request) -> bool:
    dialect = dialects.get(endpoint.dialect)
    return dialect.encode(endpoint, one) != dialect.encode(endpoint, other)


def _clock(answer: Answer) -> Finding:
    """A Date says whole seconds, and servers keep one for a second: the truth is up to two seconds later."""
    try:
        date_s = parsedate_to_datetime(answer.headers.get("date", "")).timestamp()
    except ValueError:
        return Finding("clock", "note", "the server gives no usable Date header")
    least = date_s - answer.answered_ns / NS_PER_S
    most = date_s + 2 - answer.sent_ns / NS_PER_S
    facts = {"ahead_s_least": least, "ahead_s_most": most}
    if least <= 0 <= most:
        return Finding(
            "clock", "ok", "the server's clock agrees with ours, as closely as a Date can say", facts
        )
    way = f"{number(least)} s ahead of" if least > 0 else f"{number(-most)} s behind"
    return Finding("clock", "note", f"the server's clock is at least {way} ours; set one of them", facts)


def _limits(answer: Answer) -> Finding:
    told = {name: value for name, value in answer.headers.items() if any(part in name for part in _LIMITS)}
    if not told:
        return Finding("limits", "ok", "no rate-limit headers", {"headers": {}})
    words = ", ".join(f"{name} {value}" for name, value in told.items())
    return Finding("limits", "ok", words, {"headers": told})


def _ms(start_ns: int | None, end_ns: int | None) -> float | None:
    return None if start_ns is None or end_ns is None else (end_ns - start_ns) / NS_PER_MS
