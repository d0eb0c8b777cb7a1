import json

import pytest

from loadlab import dialects
from loadlab.core.errors import UnknownNameError
from loadlab.core.nouns import Exchange, Reading, Result
from loadlab.core.reads import Reads
from loadlab.recorder.decode import decode
from loadlab.recorder.frames import LENGTH, frame, unframe
from loadlab.recorder.tokens import counter

CHAT = dialects.get("openai-chat")
STREAM = "text/event-stream"


def event(text: str | None = None, **more: object) -> bytes:
    delta = {} if text is None else {"content": text}
    return (
        b"data: "
        + json.dumps({"choices": [{"delta": delta, "finish_reason": None}], **more}).encode()
        + b"\n\n"
    )


DONE = b"data: [DONE]\n\n"
USAGE = event(usage={"prompt_tokens": 3, "completion_tokens": 5})


def result(
    *reads: tuple[int, bytes], status: int = 200, kind: str = STREAM, error: str | None = None
) -> Result:
    return decode(
        Exchange(
            0, 0, 1, 100, sent_ns=110, first_byte_ns=200, done_ns=900, status=status, content_type=kind,
            reads=Reads(reads), error_kind=error, error_detail=error and "words",
        ),
        CHAT,
    )  # fmt: skip


def test_times_of_a_stream() -> None:
    row = result(
        (210, event("")),
        (300, event("a") + event("b")),
        (400, event("c")[:9]),
        (500, event("c")[9:]),
        (600, USAGE + DONE),
    )
    assert row.arrivals_ns == [300, 300, 500]
    assert (row.first_event_ns, row.first_token_ns, row.first_answer_ns, row.last_token_ns) == (
        210,
        300,
        300,
        500,
    )
    assert (row.output_tokens, row.count_source, row.chunks) == (5, "usage", 3)
    assert row.error_kind is None


def test_reasoning_comes_before_the_first_answer() -> None:
    thought = b'data: {"choices": [{"delta": {"reasoning_content": "hm"}}]}\n\n'
    row = result((300, thought), (400, event("a")), (500, DONE))
    assert (row.first_token_ns, row.first_answer_ns) == (300, 400)


def test_without_usage_the_count_is_labelled() -> None:
    row = result((300, event("a")), (400, event("b")), (500, DONE))
    assert (row.output_tokens, row.count_source) == (2, "chunks")


def test_an_event_that_only_the_end_completes() -> None:
    row = result((300, event("a")), (400, DONE.strip()))
    assert row.error_kind is None


@pytest.mark.parametrize(
    ("row", "kind", "detail"),
    [
        (result((300, event("a"))), "truncated", "without a finish reason"),
        (
            result((300, event("a")), (400, b'data: {"error": {"message": "boom"}}\n\n')),
            "stream_error",
            "boom",
        ),
        (result((300, b"data: nonsense\n\n")), "protocol", "nonsense"),
        (
            result((300, b'{"error": {"message": "slow down"}}'), status=429, kind="application/json"),
            "http_429",
            "slow",
        ),
        (result((300, b"<html>oops"), status=502, kind="text/html"), "http_502", "oops"),
        (result(status=500, kind=""), "http_500", "empty"),
        (result((300, event("a")), error="timeout"), "timeout", "words"),
    ],
)
def test_whatever_went_wrong_is_a_row(row: Result, kind: str, detail: str) -> None:
    assert row.error_kind == kind
    assert detail in (row.error_detail or "")


def test_what_arrived_before_a_failure_is_kept() -> None:
    row = result((300, event("a")), (400, event("b")), error="timeout")
    assert (row.arrivals_ns, row.output_tokens) == ([300, 400], 2)


def test_a_document_has_tokens_and_no_first_token() -> None:
    body = json.dumps(
        {
            "choices": [{"message": {"content": "x"}, "finish_reason": "stop"}],
            "usage": {"completion_tokens": 1},
        }
    )
    row = result((300, body.encode()), kind="application/json")
    assert (row.first_token_ns, row.output_tokens, row.error_kind) == (None, 1, None)


def test_frames_carry_everything() -> None:
    exchanges = [
        Exchange(
            1,
            2,
            3,
            2**62,
            True,
            100,
            5,
            6,
            7,
            True,
            1,
            8,
            9,
            200,
            STREAM,
            Reads([(2**62, b"\x00\xff"), (2**62 + 1, b"")]),
            "reset",
            "words",
        ),
        Exchange(0, 0, 0, 0),
    ]
    readings = [Reading(1, "nvml", "gpu0", "power_w", 3.5)]
    data = frame(exchanges, readings)
    (length,) = LENGTH.unpack(data[: LENGTH.size])
    assert length == len(data) - LENGTH.size
    back, read = unframe(data[LENGTH.size :])
    assert (back, read) == (exchanges, readings)


def test_the_three_kinds_of_output_have_firsts_of_their_own() -> None:
    def said(**delta: object) -> bytes:
        return b"data: " + json.dumps({"choices": [{"delta": delta}]}).encode() + b"\n\n"

    tool = said(tool_calls=[{"function": {"name": "f", "arguments": ""}}])
    arguments = said(tool_calls=[{"function": {"arguments": "{}"}}])
    row = result(
        (300, said(reasoning="hm")), (400, tool), (500, arguments), (600, said(content="a")), (700, DONE)
    )
    assert (row.first_reasoning_ns, row.first_tool_ns, row.first_answer_ns) == (300, 500, 600)
    assert row.first_token_ns == 300


def test_usage_and_the_servers_own_times_are_kept() -> None:
    usage = {
        "prompt_tokens": 9, "completion_tokens": 2, "queue_time": 0.5,
        "prompt_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 3, "audio_tokens": 2},
        "completion_tokens_details": {"audio_tokens": 1},
    }  # fmt: skip
    last = event(usage=usage, timings={"prompt_ms": 12.5, "note": "words"}, metrics={"queue_time_ms": 3})
    row = result((300, event("a")), (400, last + DONE))
    assert (row.cached_tokens, row.cache_write_tokens, row.audio_input_tokens) == (4, 3, 2)
    assert (row.audio_output_tokens, row.tool_tokens) == (1, None)
    assert row.server_timings == {"queue_time": 0.5, "prompt_ms": 12.5, "queue_time_ms": 3}


def test_sound_is_not_counted_in_tokens() -> None:
    exchange = Exchange(
        0, 0, 1, 100, sent_ns=110, done_ns=900, status=200, content_type="audio/pcm",
        reads=Reads([(300, bytes(24_000)), (400, bytes(24_000))]),
    )  # fmt: skip
    row = decode(exchange, dialects.get("openai-speech"))
    assert (row.audio_s, row.output_tokens, row.count_source, row.chunks) == (1.0, None, None, 2)
    assert (row.first_token_ns, row.error_kind) == (300, None)


def test_audio_that_was_sent_is_counted_where_the_server_does_not() -> None:
    body = b'data: {"type": "transcript.text.done", "text": "hi"}\n\n'
    exchange = Exchange(
        0, 0, 1, 100, sent_ns=110, done_ns=900, status=200, content_type=STREAM, reads=Reads([(300, body)]),
        audio_s=2.5,
    )  # fmt: skip
    assert decode(exchange, dialects.get("openai-transcription")).audio_s == 2.5


def test_the_answer_is_measured_by_one_yardstick_and_thinking_is_not_in_it() -> None:
    thought = b'data: {"choices": [{"delta": {"reasoning_content": "hm, let me see"}}]}\n\n'
    exchange = Exchange(
        0, 0, 1, 100, sent_ns=110, done_ns=900, status=200, content_type=STREAM,
        reads=Reads([(200, thought), (300, event("It's 1234")), (400, event(" o'clock.") + USAGE + DONE)]),
    )  # fmt: skip
    row = decode(exchange, CHAT, counter("pieces"))
    assert row.output_chars == len("It's 1234 o'clock.")
    assert row.reference_tokens == len(["It", "'s", " 123", "4", " o", "'", "clock", "."])
    plain = decode(exchange, CHAT)
    assert (plain.output_chars, plain.reference_tokens) == (18, None)


def test_an_answer_without_text_has_no_length() -> None:
    row = result((300, USAGE + DONE))
    assert (row.output_chars, row.reference_tokens) == (None, None)


def test_an_unknown_yardstick_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'smollm2'"):
        counter("smollm")
