"""AWS frames: ours read, ours written and botocore's own reader agree, and damage is noticed."""

from __future__ import annotations

import random
import struct
from binascii import crc32
from itertools import pairwise

import pytest

from loadlab.dialects.eventstream import Events, Frames
from loadlab.testing import conformance
from loadlab.testing.vendors import vendor
from loadlab.testing.vendors.frames import exception, frame, happening

FRAMED = ("bedrock-converse", "bedrock-invoke", "sagemaker-tgi")


def read(body: bytes, *cuts: int) -> list[tuple[dict[str, str], bytes]]:
    frames, places = Frames(), (0, *cuts, len(body))
    return [tuple(one) for start, end in pairwise(places) for one in frames.feed(body[start:end])]


@pytest.mark.parametrize("name", FRAMED)
def test_botocore_reads_what_we_read(name: str) -> None:
    eventstream = pytest.importorskip("botocore.eventstream", reason="extra aws")
    body = b"".join([*conformance.stream(vendor(name)), exception("throttlingException", "Grüße")])
    theirs = eventstream.EventStreamBuffer()
    theirs.add_data(body)
    assert read(body) == [(dict(one.headers), one.payload) for one in theirs]


def test_split_at_random_places() -> None:
    body = b"".join(conformance.stream(vendor("bedrock-converse")))
    chance, whole = random.Random(7), read(body)
    for _ in range(200):
        assert read(body, *sorted(chance.sample(range(len(body)), 5))) == whole


def test_headers_of_every_type_are_passed_over() -> None:
    eventstream = pytest.importorskip("botocore.eventstream", reason="extra aws")
    head = (
        b"\x01t\x00" b"\x01f\x01" b"\x01b\x02\x07" b"\x01s\x03\x00\x07" b"\x01i\x04\x00\x00\x00\x07"
        b"\x01l\x05\x00\x00\x00\x00\x00\x00\x00\x07" b"\x01y\x06\x00\x02ab" b"\x01w\x07\x00\x02hi"
        b"\x01m\x08\x00\x00\x00\x00\x00\x00\x00\x07" + b"\x01u\x09" + bytes(16)
    )  # fmt: skip
    prelude = struct.pack(">II", 16 + len(head), len(head))
    body = prelude + struct.pack(">I", crc32(prelude)) + head
    body += struct.pack(">I", crc32(body))
    theirs = eventstream.EventStreamBuffer()
    theirs.add_data(body)
    assert len(list(theirs)) == 1
    assert read(body) == [({"w": "hi"}, b"")]


@pytest.mark.parametrize("at", [0, 5, 9, 14, 40, -6, -1])
def test_a_damaged_frame_is_noticed(at: int) -> None:
    body = bytearray(happening("contentBlockDelta", b'{"delta": {"text": "hi"}}'))
    body[at] ^= 0x10
    with pytest.raises(ValueError, match="frame"):
        read(bytes(body) + bytes(8))


def test_a_frame_of_an_impossible_length_is_noticed_at_once() -> None:
    prelude = struct.pack(">II", 1 << 30, 0)
    with pytest.raises(ValueError, match="prelude"):
        Frames().feed(prelude + struct.pack(">I", crc32(prelude)))


def test_an_error_frame_is_an_error() -> None:
    body = frame({":message-type": "error", ":error-code": "Oops", ":error-message": "it broke"}, b"")
    assert Events().feed(body) == [b'{"error":{"message":"Oops: it broke"}}']
