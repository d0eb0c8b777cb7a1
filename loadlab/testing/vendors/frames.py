"""AWS event-stream frames, written."""

from __future__ import annotations

import struct
from binascii import crc32

from loadlab.testing.vendors import as_json

CONTENT_TYPE = "application/vnd.amazon.eventstream"


def frame(headers: dict[str, str], payload: bytes) -> bytes:
    """One frame with text headers."""
    head = b"".join(_header(name, value) for name, value in headers.items())
    prelude = struct.pack(">II", 16 + len(head) + len(payload), len(head))
    body = prelude + struct.pack(">I", crc32(prelude)) + head + payload
    return body + struct.pack(">I", crc32(body))


def _header(name: str, value: str) -> bytes:
    data = value.encode()
    return bytes([len(name)]) + name.encode() + b"\x07" + struct.pack(">H", len(data)) + data


def happening(kind: str, payload: bytes, content_type: str = "application/json") -> bytes:
    """An event."""
    return frame({":event-type": kind, ":content-type": content_type, ":message-type": "event"}, payload)


def exception(kind: str, words: str) -> bytes:
    """An exception in the middle of a stream."""
    return frame({":exception-type": kind, ":message-type": "exception"}, as_json(message=words))
