from loadlab.dialects.sse import SseDecoder

BODY = (
    b": a comment\n\n"
    b"data: one\n\n"
    b"event: x\ndata: two\ndata: lines\nid: 7\n\n"
    b"data:three\r\n\r\n"
    b"data: \xe2\x82\xac\n\n"
)
EVENTS = [b"one", b"two\nlines", b"three", b"\xe2\x82\xac"]


def test_split_at_every_byte_gives_the_same_events() -> None:
    for cut in range(len(BODY) + 1):
        decoder = SseDecoder()
        assert decoder.feed(BODY[:cut]) + decoder.feed(BODY[cut:]) + decoder.close() == EVENTS, cut


def test_one_byte_at_a_time() -> None:
    decoder = SseDecoder()
    assert [event for byte in BODY for event in decoder.feed(bytes([byte]))] == EVENTS


def test_an_event_the_end_of_the_body_completes() -> None:
    decoder = SseDecoder()
    assert decoder.feed(b"data: last") == []
    assert decoder.close() == [b"last"]
