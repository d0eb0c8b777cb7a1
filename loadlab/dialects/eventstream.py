"""AWS event-stream frames: bytes split anywhere become frames, each checked by its two CRCs. Sans-IO.

Source: the layout in the AWS SDKs' specification of `application/vnd.amazon.eventstream`.
"""

from __future__ import annotations

import struct
from binascii import crc32
from collections.abc import Callable
from typing import NamedTuple

import orjson

from loadlab.dialects.answer import Cutter

_PRELUDE = struct.Struct(">III")  # length of the frame, of its headers, CRC of these two
_CRC = struct.Struct(">I")
_MAX_FRAME = 24 * 1024 * 1024
_LENGTHS = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}  # of the header types of fixed length


class Frame(NamedTuple):
    """One message. Only headers that are text are kept; AWS uses no others here."""

    headers: dict[str, str]
    payload: bytes

    @property
    def failure(self) -> bytes | None:
        """What an exception or error frame says, as an error document."""
        kind = self.headers.get(":message-type")
        if kind == "exception":
            said = _said(self.payload)
            return _error(f"{self.headers.get(':exception-type', 'exception')}: {said}")
        if kind == "error":
            return _error(f"{self.headers.get(':error-code')}: {self.headers.get(':error-message')}")
        return None


class Frames:
    """Feeds on bytes, gives every frame completed so far. Raises ValueError for a damaged one."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that `data` completes."""
        data = self._rest + data if self._rest else data
        frames, at, end = [], 0, len(data)
        while end - at >= 12:
            length, head, crc = _PRELUDE.unpack_from(data, at)
            if crc32(data[at : at + 8]) != crc or not 16 + head <= length <= _MAX_FRAME:
                raise ValueError("not an AWS event-stream frame: its prelude does not add up")
            if end - at < length:
                break
            frames.append(_frame(data[at : at + length], head))
            at += length
        self._rest = data[at:]
        return frames


def _frame(data: bytes, head: int) -> Frame:
    if _CRC.unpack_from(data, len(data) - 4)[0] != crc32(data[:-4]):
        raise ValueError("a damaged AWS event-stream frame: its checksum is wrong")
    return Frame(_headers(data[12 : 12 + head]), data[12 + head : -4])


def _headers(data: bytes) -> dict[str, str]:
    headers, at = {}, 0
    while at < len(data):
        value = at + 1 + data[at]
        name, kind = data[at + 1 : value].decode(), data[value]
        at = value + 1
        if kind in (6, 7):  # bytes, text: a length, then so many bytes
            at += 2
            length = int.from_bytes(data[at - 2 : at], "big")
            if kind == 7:
                headers[name] = data[at : at + length].decode()
            at += length
        elif kind in _LENGTHS:
            at += _LENGTHS[kind]
        else:
            raise ValueError(f"an AWS event-stream header of unknown type {kind}")
    return headers


class Events:
    """A Cutter of frames whose payload is JSON: each becomes a document {event type: payload}."""

    __slots__ = ("_frames",)

    between = False  # reads of frames are never alike: each has its checksum

    def __init__(self) -> None:
        self._frames = Frames()

    def feed(self, data: bytes) -> list[bytes]:
        """See Cutter."""
        return [frame.failure or _document(frame) for frame in self._frames.feed(data)]

    def close(self) -> list[bytes]:
        """See Cutter."""
        return []


class Parts:
    """A Cutter of frames whose payloads, joined, are the body of another language."""

    __slots__ = ("_frames", "_inner")

    between = False

    def __init__(self, inner: Callable[[], Cutter]) -> None:
        self._frames = Frames()
        self._inner = inner()

    def feed(self, data: bytes) -> list[bytes]:
        """See Cutter."""
        messages: list[bytes] = []
        for frame in self._frames.feed(data):
            failure = frame.failure
            messages.extend(self._inner.feed(frame.payload) if failure is None else (failure,))
        return messages

    def close(self) -> list[bytes]:
        """See Cutter."""
        return self._inner.close()


def _document(frame: Frame) -> bytes:
    name = frame.headers.get(":event-type", "").encode()
    return b'{"%s":%s}' % (name, frame.payload or b"null")


def _said(payload: bytes) -> str:
    try:
        document = orjson.loads(payload)
        return str(document.get("message") or document.get("Message") or document)
    except (ValueError, AttributeError):
        return payload.decode("utf-8", "replace")


def _error(text: str) -> bytes:
    return orjson.dumps({"error": {"message": text}})
