"""An Exchange and its dialect become a Result. Times come from the exchange, meaning from the dialect."""

from __future__ import annotations

from loadlab.core.nouns import CountSource, Exchange, Result
from loadlab.dialects import Decoder, Dialect
from loadlab.dialects.usage import Usage
from loadlab.recorder.tokens import Counter

_SHOWN = 200
_PARTS = tuple(name for name in Usage._fields if name != "output_tokens")


def decode(exchange: Exchange, dialect: Dialect, reference: Counter | None = None) -> Result:
    """The row of one request. Whatever went wrong is in it: nothing is raised for bad bytes.

    `reference` counts the tokens of the answer's text, where that is wanted.
    """
    decoder = dialect.decoder(exchange.content_type)
    arrivals: list[int] = []
    firsts: dict[str, int] = {}
    answer: list[str] = []
    first_event = broken = None
    try:
        for at_ns, data in exchange.reads:
            deltas = decoder.feed(data)
            if first_event is None and decoder.events:
                first_event = at_ns
            if deltas:
                arrivals.extend([at_ns] * len(deltas))
                for delta in deltas:
                    if delta.kind not in firsts:
                        firsts[delta.kind] = at_ns
                    if delta.kind == "answer":
                        answer.append(delta.text)
        _close(decoder, exchange, arrivals, answer)
    except ValueError as error:
        broken = str(error)
    except Exception as error:  # a decoder that trips over strange bytes must not end the recording
        broken = f"the decoder failed with {type(error).__name__}: {error}"
    kind, detail = _outcome(exchange, decoder, broken)
    usage = decoder.usage
    tokens, source = _count(decoder, arrivals)
    text = "".join(answer)
    return Result(
        level=exchange.level,
        worker=exchange.worker,
        seq=exchange.seq,
        warmup=exchange.warmup,
        planned_ns=exchange.planned_ns,
        sent_ns=exchange.sent_ns,
        queued_ns=exchange.queued_ns,
        connect_ns=exchange.connect_ns,
        tls_ns=exchange.tls_ns,
        reused=exchange.reused,
        retries=exchange.retries,
        first_byte_ns=exchange.first_byte_ns,
        first_event_ns=first_event,
        first_token_ns=arrivals[0] if arrivals else None,
        first_answer_ns=firsts.get("answer"),
        first_reasoning_ns=firsts.get("reasoning"),
        first_tool_ns=firsts.get("tool"),
        last_token_ns=arrivals[-1] if arrivals else None,
        done_ns=exchange.done_ns,
        status=exchange.status,
        error_kind=kind,
        error_detail=detail,
        finish_reason=None if decoder.finish_reason is None else str(decoder.finish_reason),
        max_tokens=exchange.max_tokens,
        output_tokens=tokens,
        **{name: _whole(getattr(usage, name)) for name in _PARTS},
        audio_s=exchange.audio_s if decoder.audio_s is None else decoder.audio_s,
        server_timings=decoder.server_timings,
        chunks=len(arrivals),
        count_source=source,
        cost_nano_usd=None,
        arrivals_ns=arrivals,
        route=exchange.route,
        output_chars=len(text) or None,
        reference_tokens=reference(text) if reference and text else None,
    )


def _close(decoder: Decoder, exchange: Exchange, arrivals: list[int], answer: list[str]) -> None:
    """Output that only the end of the body completes arrived with the last read."""
    if exchange.reads:
        last = decoder.close()
        arrivals.extend([exchange.reads.last_ns] * len(last))
        answer.extend(delta.text for delta in last if delta.kind == "answer")


def _count(decoder: Decoder, arrivals: list[int]) -> tuple[int | None, CountSource | None]:
    """Output tokens and where the number is from; events are the labelled stand-in when usage is absent."""
    if (reported := _whole(decoder.usage.output_tokens)) is not None:
        return reported, "usage"
    return (len(arrivals), "chunks") if arrivals and decoder.audio_s is None else (None, None)


def _whole(reported: object) -> int | None:
    """A count as a server reported it, if it is one."""
    return reported if isinstance(reported, int) and reported >= 0 else None


def _outcome(exchange: Exchange, decoder: Decoder, broken: str | None) -> tuple[str | None, str | None]:
    """Error kind and detail, (None, None) for success. The wire's own verdict comes first."""
    if exchange.error_kind is not None:
        return exchange.error_kind, exchange.error_detail
    if exchange.status is None or exchange.status >= 300:
        return f"http_{exchange.status}", _refusal(exchange, decoder)
    if decoder.error is not None:
        return "stream_error", decoder.error
    if broken is not None:
        return "protocol", f"{broken}: {_body(exchange)}"
    if not decoder.complete:
        return "truncated", "the stream ended without a finish reason or another mark of its end"
    return None, None


def _refusal(exchange: Exchange, decoder: Decoder) -> str:
    """The server's words, and what the head of its answer said besides: where to look, when to come back."""
    words = decoder.error or _body(exchange)
    return f"{words} ({exchange.error_detail})" if exchange.error_detail else words


def _body(exchange: Exchange) -> str:
    return exchange.reads.head(_SHOWN).decode("utf-8", "replace") or "(empty body)"
