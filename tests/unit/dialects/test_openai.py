import json

import pytest

from loadlab import dialects
from loadlab.core.errors import UnknownNameError
from loadlab.core.nouns import Endpoint, Message, Request
from loadlab.dialects import Decoder, Delta

HERE = Endpoint(url="http://127.0.0.1:8000/v1", model="m")


def events(*documents: object) -> bytes:
    return b"".join(b"data: " + json.dumps(document).encode() + b"\n\n" for document in documents)


def choice(delta: dict[str, object], finish: str | None = None) -> dict[str, object]:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


STREAM = (
    events(
        choice({"role": "assistant", "content": ""}),
        choice({"content": None, "reasoning_content": "hm"}),
        choice({"content": "Grüße "}),
        choice({"content": "🚀"}, "stop"),
        {
            "choices": [],
            "usage": {
                "prompt_tokens": 9,
                "completion_tokens": 4,
                "prompt_tokens_details": {"cached_tokens": 5},
                "completion_tokens_details": {"reasoning_tokens": 1},
            },
        },
    )
    + b"data: [DONE]\n\n"
)


def drain(decoder: Decoder, *parts: bytes) -> list[Delta]:
    return [delta for part in parts for delta in decoder.feed(part)] + decoder.close()


def chat_stream() -> Decoder:
    return dialects.get("openai-chat").decoder("text/event-stream; charset=utf-8")


def test_chat_body() -> None:
    request = Request((Message("user", "hi"),), max_tokens=7, ignore_eos=True, seed=3)
    call = dialects.get("openai-chat").encode(HERE, request)
    assert (call.method, call.url) == ("POST", "http://127.0.0.1:8000/v1/chat/completions")
    assert json.loads(call.body) == {
        "model": "m",
        "messages": [{"role": "user", "content": "hi"}],
        "max_tokens": 7,
        "temperature": 0.0,
        "stream": True,
        "stream_options": {"include_usage": True},
        "seed": 3,
        "ignore_eos": True,
        "min_tokens": 7,
    }


def test_completions_body() -> None:
    call = dialects.get("openai-completions").encode(HERE, Request(prompt="hi", stream=False))
    assert call.url.endswith("/v1/completions")
    body = json.loads(call.body)
    assert body["prompt"] == "hi"
    assert "stream_options" not in body


def test_a_stream_split_at_every_byte() -> None:
    for cut in range(len(STREAM) + 1):
        decoder = chat_stream()
        deltas = drain(decoder, STREAM[:cut], STREAM[cut:])
        assert deltas == [("reasoning", "hm"), ("answer", "Grüße "), ("answer", "🚀")], cut
        assert decoder.complete
        assert (decoder.usage.prompt_tokens, decoder.usage.output_tokens) == (9, 4)
        assert (decoder.usage.cached_tokens, decoder.usage.reasoning_tokens) == (5, 1)
        assert decoder.finish_reason == "stop"


def test_role_only_and_empty_choices_are_events_but_not_output() -> None:
    decoder = chat_stream()
    assert drain(decoder, events(choice({"role": "assistant", "content": ""}), {"choices": []})) == []
    assert decoder.events == 2
    assert not decoder.complete


def test_a_tool_call_is_output() -> None:
    call = {"tool_calls": [{"index": 0, "function": {"name": "f", "arguments": "{"}}]}
    assert drain(chat_stream(), events(choice(call))) == [("tool", "{")]


def test_an_error_inside_the_stream() -> None:
    decoder = chat_stream()
    drain(decoder, events({"error": {"message": "out of memory", "code": 500}}))
    assert decoder.error == "out of memory"


@pytest.mark.parametrize("garbage", [b"data: {not json}\n\n", b"data: 17\n\n"])
def test_garbage_is_refused(garbage: bytes) -> None:
    with pytest.raises(ValueError):
        chat_stream().feed(garbage)


def test_text_completion_stream() -> None:
    decoder = dialects.get("openai-completions").decoder("text/event-stream")
    body = events(
        {"choices": [{"text": "a", "finish_reason": None}]},
        {"choices": [{"text": "b", "finish_reason": "length"}]},
    )
    assert [delta.text for delta in drain(decoder, body)] == ["a", "b"]
    assert decoder.finish_reason == "length"


def test_a_whole_document_has_usage_but_no_arrivals() -> None:
    decoder = dialects.get("openai-chat").decoder("application/json")
    body = json.dumps(
        {
            "choices": [{"message": {"role": "assistant", "content": "yes"}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 3, "completion_tokens": 1},
        }
    ).encode()
    assert drain(decoder, body[:10], body[10:]) == []
    assert (decoder.complete, decoder.usage.output_tokens, decoder.finish_reason) == (True, 1, "stop")


def test_an_unknown_dialect_names_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'openai-chat'"):
        dialects.get("openai-chta")


PLAIN = {"id": "x", "created": 1}


def word(text: str, **more: object) -> bytes:
    return (
        b"data: "
        + json.dumps({**PLAIN, **choice({"content": text}), **more}, ensure_ascii=False).encode()
        + b"\n\n"
    )


@pytest.mark.parametrize(
    "later",
    ['he said "no"', "back\\slash", "line\nbreak", "Grüße 🚀", "content", ' "}', "", "x"],
)
def test_an_event_like_the_one_before_reads_as_if_parsed(later: str) -> None:
    parts = [word("first"), word(later), word("last")]
    split, whole = chat_stream(), chat_stream()
    expected = [Delta("answer", text) for text in ("first", later, "last") if text]
    assert drain(split, *parts) == expected
    assert drain(whole, b"".join(parts)) == expected
    assert split.events == whole.events == 3


def test_an_event_that_says_more_than_the_one_before_is_heard_out() -> None:
    decoder = chat_stream()
    usage = {"prompt_tokens": 3, "completion_tokens": 2}
    assert drain(decoder, word("a"), word("b", usage=usage), word("c")) == [Delta("answer", t) for t in "abc"]
    assert decoder.usage.output_tokens == 2


def test_two_events_in_one_read_are_two() -> None:
    decoder = chat_stream()
    assert drain(decoder, word("a"), word("b") + word("c")) == [Delta("answer", text) for text in "abc"]
    assert decoder.events == 3
