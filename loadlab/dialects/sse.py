"""Server-sent events: bytes split anywhere become the data of each event. Comments and pings vanish.

Source: WHATWG HTML, section 9.2.6. Only `data` matters here; event names and ids are dropped.
"""

from __future__ import annotations


class SseDecoder:
    """Feeds on bytes, gives the data of every event completed so far."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """The data of the events that `data` completes."""
        data = self._rest + data if self._rest else data
        if b"\r" in data:
            # A CR at the very end may be half of a CRLF: it waits for its other half.
            held = b"\r" if data.endswith(b"\r") else b""
            data = data[: len(data) - len(held)].replace(b"\r\n", b"\n").replace(b"\r", b"\n") + held
        *blocks, self._rest = data.split(b"\n\n")
        return [payload for block in blocks if (payload := _payload(block)) is not None]

    def close(self) -> list[bytes]:
        """The last event, when the body ended without the blank line that closes it."""
        block, self._rest = self._rest.strip(b"\r\n"), b""
        payload = _payload(block)
        return [] if payload is None else [payload]


def _payload(block: bytes) -> bytes | None:
    # Nearly every event is a single data line; the general case follows.
    if block.startswith(b"data: ") and b"\n" not in block:
        return block[6:]
    lines = [line[5:].removeprefix(b" ") for line in block.split(b"\n") if line.startswith(b"data:")]
    return b"\n".join(lines) if lines else None
