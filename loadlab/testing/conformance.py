"""The conformance suite of dialects, public: what every wire language must get right.

A dialect from anywhere is checked against its `Vendor` (what it must send, and what its vendor says):

    @pytest.mark.parametrize("check", conformance.checks(MY_VENDOR), ids=lambda check: check.__name__)
    def test_my_dialect(check):
        check(MY_DIALECT, MY_VENDOR)

A check raises AssertionError. Which apply follows from what the vendor offers. No socket, no clock.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from loadlab.dialects import Call, Decoder, Delta, Dialect
from loadlab.dialects.usage import UNKNOWN
from loadlab.testing.vendors import ENDPOINT, REQUEST, Vendor

Check = Callable[[Dialect, Vendor], None]

TEXTS = ("Grüße ", "🚀", "漢字\n\n", '{"a":')
"""What the answer says: bytes of several lengths, an empty line, JSON inside JSON."""

WORDS = "the engine ran out of \u201cmemory\u201d"
_THOUGHT, _ARGUMENTS = "hmm… ", '{"städte": ['


def checks(vendor: Vendor) -> list[Check]:
    """The checks that apply to a language that offers what `vendor` does."""
    streams = vendor.answers is not None
    chosen: list[tuple[Check, bool]] = [
        (says_what_is_documented, True),
        (asks_for_an_exact_length, True),
        (says_what_an_endpoint_wants_besides, isinstance(vendor.body, dict)),
        (reads_a_stream, streams),
        (reads_a_stream_split_at_every_byte, streams and not vendor.conversation),
        (reads_a_stream_byte_by_byte, streams and not vendor.conversation),
        (leaves_uncounted_what_is_not_counted, streams and vendor.usage is not UNKNOWN),
        (takes_noise_for_no_output, streams),
        (tells_reasoning_and_tools_from_answers, bool(vendor.reasoning or vendor.tool)),
        (notices_an_error_in_mid_stream, streams and vendor.error is not None),
        (notices_a_missing_end, streams and vendor.marked),
        (reads_an_answer_in_one_piece, vendor.document is not None),
        (reads_a_refusal, True),
        (refuses_rubbish, not vendor.sound),
    ]
    return [check for check, applies in chosen if applies]


def says_what_is_documented(dialect: Dialect, vendor: Vendor) -> None:
    """The request becomes the address, the headers and the body of the vendor's documentation."""
    call = dialect.encode(ENDPOINT, REQUEST)
    _same(path_of(call), vendor.path)
    for name, value in vendor.headers.items():
        _same(call.headers.get(name), value)
    assert call.url.startswith(("ws://" if vendor.conversation else "http://") + "vendor.test/"), call.url
    if isinstance(vendor.body, bytes):
        said = b"".join(part.encode() if isinstance(part, str) else part for part in call.messages)
        assert vendor.body in (said or call.body), (call.body, vendor.body)
    else:
        _same(json.loads(call.body), vendor.body)


def asks_for_an_exact_length(dialect: Dialect, vendor: Vendor) -> None:
    """An exact length adds the vendor's own words for it, and nothing where it has none."""
    usual, exact = (dialect.encode(ENDPOINT, replace(REQUEST, ignore_eos=wanted)) for wanted in (False, True))
    if vendor.exact is None:
        _same(exact.body, usual.body)
        return
    body = json.loads(exact.body)
    for name, value in vendor.exact.items():
        _same(_at(body, name), value)
    assert usual.body != exact.body


def says_what_an_endpoint_wants_besides(dialect: Dialect, vendor: Vendor) -> None:
    """Fields are renamed, left out and added, headers added, and a URL keeps its path and its query."""
    assert isinstance(vendor.body, Mapping)
    known = next(iter(vendor.body))
    endpoint = replace(
        ENDPOINT,
        url="http://vendor.test/base?version=1",
        fields={known: "other_name"},
        body={"added": {"deep": 1}},
        headers={"X-Own": "yes"},
    )
    call = dialect.encode(endpoint, REQUEST)
    parts = urlsplit(call.url)
    assert parts.path.startswith("/base/"), call.url
    assert parts.query.startswith("version=1"), call.url
    _same(call.headers.get("X-Own"), "yes")
    if vendor.conversation:
        return
    body = json.loads(call.body)
    assert known not in body, body
    _same((body["other_name"], body["added"]), (vendor.body[known], {"deep": 1}))
    assert "other_name" not in json.loads(dialect.encode(replace(endpoint, fields={known: ""}), REQUEST).body)


def reads_a_stream(dialect: Dialect, vendor: Vendor) -> None:
    """A stream whose pieces arrive one by one."""
    decoder = dialect.decoder(vendor.content_type)
    _whole(vendor, decoder, drain(decoder, stream(vendor)))


def reads_a_stream_split_at_every_byte(dialect: Dialect, vendor: Vendor) -> None:
    """The same stream in two reads, split at each byte in turn: characters and frames are cut too."""
    body = b"".join(stream(vendor))
    for cut in range(1, len(body)):
        decoder = dialect.decoder(vendor.content_type)
        _whole(vendor, decoder, drain(decoder, (body[:cut], body[cut:])), f"split at {cut}")


def reads_a_stream_byte_by_byte(dialect: Dialect, vendor: Vendor) -> None:
    """The same stream in reads of one byte."""
    decoder = dialect.decoder(vendor.content_type)
    body = b"".join(stream(vendor))
    _whole(vendor, decoder, drain(decoder, (body[at : at + 1] for at in range(len(body)))), "byte by byte")


def leaves_uncounted_what_is_not_counted(dialect: Dialect, vendor: Vendor) -> None:
    """Without usage the stream is complete and its output unknown, not 0."""
    decoder = dialect.decoder(vendor.content_type)
    pieces = [*vendor.opening, *_answers(vendor), *vendor.ending(False)]
    assert drain(decoder, pieces), "no output"
    assert decoder.complete
    if vendor.usage.output_tokens is not None and not vendor.opening:
        assert decoder.usage.output_tokens in (None, len(TEXTS)), decoder.usage


def takes_noise_for_no_output(dialect: Dialect, vendor: Vendor) -> None:
    """Openings, roles, pings, comments and empty deltas are no first token."""
    decoder = dialect.decoder(vendor.content_type)
    _same(drain(decoder, [*vendor.opening, *vendor.noise, *vendor.noise]), [])
    assert decoder.error is None, decoder.error


def tells_reasoning_and_tools_from_answers(dialect: Dialect, vendor: Vendor) -> None:
    """The three kinds of output are kept apart, in the order in which they come."""
    pieces, kinds = [*vendor.opening], []
    for kind, says, text in (
        ("reasoning", vendor.reasoning, _THOUGHT),
        ("tool", vendor.tool, _ARGUMENTS),
    ):
        if says:
            pieces += [says(text), *vendor.noise]
            kinds.append(kind)
    decoder = dialect.decoder(vendor.content_type)
    deltas = drain(decoder, [*pieces, *_answers(vendor), *vendor.ending(True)])
    _same([delta.kind for delta in deltas], [*kinds, *["answer"] * len(TEXTS)])


def notices_an_error_in_mid_stream(dialect: Dialect, vendor: Vendor) -> None:
    """Half an answer, then the server's words: the output stays and the words are kept."""
    assert vendor.error
    decoder = dialect.decoder(vendor.content_type)
    deltas = drain(decoder, [*vendor.opening, *_answers(vendor)[:2], vendor.error(WORDS)])
    _same(len(deltas), 2)
    assert WORDS in (decoder.error or ""), decoder.error


def notices_a_missing_end(dialect: Dialect, vendor: Vendor) -> None:
    """A stream that stops without its end is not complete, wherever it stops."""
    for count in range(len(TEXTS) + 1):
        decoder = dialect.decoder(vendor.content_type)
        drain(decoder, [*vendor.opening, *vendor.noise, *_answers(vendor)[:count]])
        assert not decoder.complete, f"complete after {count} pieces"


def reads_an_answer_in_one_piece(dialect: Dialect, vendor: Vendor) -> None:
    """All at once: counted, and without an output whose arrival was seen."""
    assert vendor.document
    body = vendor.document("".join(TEXTS))
    for cut in range(0, len(body), 7):
        decoder = dialect.decoder("application/json")
        _same(drain(decoder, (body[:cut], body[cut:])), [])
        assert decoder.complete
        assert decoder.error is None, decoder.error
        _same(decoder.usage, vendor.usage)
        assert decoder.server_timings in (None, vendor.timings)
        if vendor.finish:
            _same(decoder.finish_reason, vendor.finish)


def reads_a_refusal(dialect: Dialect, vendor: Vendor) -> None:
    """What comes with a 4xx: the vendor's own words."""
    decoder = dialect.decoder("application/json")
    drain(decoder, (vendor.refusal(WORDS),))
    _same(decoder.error, WORDS)


def refuses_rubbish(dialect: Dialect, vendor: Vendor) -> None:
    """Bytes that are not of the language are never an answer: ValueError, or at least not complete."""
    for rubbish in (
        b"data: {not json}\n\n{not json}\n",
        b"\x00" * 64,
        b"\xff\xfe\n\n",
        b"data: 17\n\n17\n\n",
    ):
        decoder = dialect.decoder(vendor.content_type if vendor.answers else "application/json")
        try:
            deltas = drain(decoder, (rubbish,))
        except ValueError:
            continue
        _same(deltas, [])
        assert not decoder.complete or not vendor.marked, rubbish


def stream(vendor: Vendor) -> list[bytes]:
    """A whole stream: opening, noise, every kind of output, noise among it, and the end."""
    thought = [vendor.reasoning(_THOUGHT)] if vendor.reasoning else []
    called = [vendor.tool(_ARGUMENTS)] if vendor.tool else []
    first, *others = _answers(vendor)
    return [
        *vendor.opening, *vendor.noise, *thought, first, *vendor.noise, *others, *called, *vendor.noise,
        *vendor.ending(True),
    ]  # fmt: skip


def drain(decoder: Decoder, pieces: Iterable[bytes]) -> list[Delta]:
    """Everything a decoder gives for a body that came in these pieces."""
    return [delta for piece in pieces for delta in decoder.feed(piece)] + decoder.close()


def path_of(call: Call) -> str:
    """Path and query of a call."""
    parts = urlsplit(call.url)
    return parts.path + (f"?{parts.query}" if parts.query else "")


def _answers(vendor: Vendor) -> Sequence[bytes]:
    assert vendor.answers
    return vendor.answers(TEXTS)


def _whole(vendor: Vendor, decoder: Decoder, deltas: list[Delta], how: str = "") -> None:
    """Everything the decoder must know after `stream`."""
    assert decoder.error is None, (how, decoder.error)
    assert decoder.complete, how
    if vendor.sound:
        assert len(deltas) <= len(b"".join(_answers(vendor))), how
        assert decoder.audio_s is not None
        _same(round(decoder.audio_s, 6), round((vendor.audio_s or 0) * len(TEXTS), 6), how)
    else:
        _same(_joined(deltas), _expected(vendor), how)
        _same(len(deltas), len(TEXTS) + bool(vendor.reasoning) + bool(vendor.tool), how)
        _same(decoder.audio_s, vendor.audio_s, how)
    _same(decoder.usage, vendor.usage, how)
    _same(decoder.server_timings, None if vendor.timings is None else dict(vendor.timings), how)
    _same(decoder.finish_reason, vendor.finish, how)


def _expected(vendor: Vendor) -> dict[str, str]:
    thought = {"reasoning": _THOUGHT} if vendor.reasoning else {}
    return thought | {"answer": "".join(TEXTS)} | ({"tool": _ARGUMENTS} if vendor.tool else {})


def _joined(deltas: Sequence[Delta]) -> dict[str, str]:
    texts: dict[str, str] = {}
    for delta in deltas:
        texts[delta.kind] = texts.get(delta.kind, "") + delta.text
    return texts


def _at(document: Any, name: str) -> Any:
    for step in name.split("."):
        document = document[step]
    return document


def _same(got: Any, wanted: Any, how: str = "") -> None:
    assert got == wanted, f"{how}: got {got!r}, wanted {wanted!r}"
