"""Server-sent events: bytes split anywhere become the data of each event. Comments and pings vanish.

Source: WHATWG HTML, section 9.2.6. Only `data` matters here; event names and ids are dropped.
"""

from __future__ import annotations

_LESSONS = 8


class SseDecoder:
    """Feeds on bytes, gives the data of every event completed so far."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = b""

    @property
    def between(self) -> bool:
        """Whether all that was fed were whole events."""
        return not self._rest

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


class Template:
    """Reads an event that differs from an earlier one in a single text alone, without parsing it again.

    Most events of a stream are such: what stands before and after the text is the same, byte for byte. A text
    with a quote or a backslash in it could end, or read, otherwise than it looks, and is left to the parser.
    """

    __slots__ = ("_after", "_before", "_tries")

    def __init__(self) -> None:
        self._before = self._after = b""
        self._tries = _LESSONS

    def learn(self, data: bytes, text: str) -> None:
        """Takes the shape of `data`, a read that held one whole event and in it, in quotes, `text`."""
        quoted = b'"%b"' % text.encode()
        if not self._tries or data.count(b"\n") != 2 or not data.endswith(b"\n\n") or data.count(quoted) != 1:
            return
        self._tries -= 1  # a stream whose events all differ is not worth learning from for ever
        at = data.index(quoted) + 1
        self._before, self._after = data[:at], data[at + len(quoted) - 2 :]

    def read(self, data: bytes) -> str:
        """The text in `data`, empty when it is of another shape."""
        before, after = self._before, self._after
        if not before or not data.startswith(before) or not data.endswith(after):
            return ""
        text = data[len(before) : -len(after)]
        if b'"' in text or b"\\" in text or len(before) + len(after) > len(data):
            return ""
        return text.decode()


def _payload(block: bytes) -> bytes | None:
    # Nearly every event is a single data line; the general case follows.
    if block.startswith(b"data: ") and b"\n" not in block:
        return block[6:]
    lines = [line[5:].removeprefix(b" ") for line in block.split(b"\n") if line.startswith(b"data:")]
    return b"\n".join(lines) if lines else None
