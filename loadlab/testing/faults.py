"""The faults a `FaultyServer` knows: a table of functions that answer one request, well or badly.

A function returns to keep the connection; it raises ConnectionAbortedError to have it closed and
ConnectionResetError to have it reset.
"""

from __future__ import annotations

import gzip
import http
import json
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Event
from typing import Any

WORDS = 6
PROMPT_TOKENS = 5
RETRY_AFTER_S = 3
_DONE = b"data: [DONE]\n\n"
_DRIP_S = 0.0005
_PING_S = 0.1
_HUGE = 1 << 20


@dataclass(slots=True)
class Reply:
    """One request to be answered, and what of its server an answer may need."""

    sock: socket.socket
    quiet_s: float
    stopped: Event
    die: Callable[[], None]

    def send(self, data: bytes) -> None:
        """Raw bytes."""
        self.sock.sendall(data)

    def head(self, status: int = 200, kind: str = "text/event-stream", *more: str) -> None:
        """The head of a chunked answer."""
        self.send(head_of(status, f"Content-Type: {kind}", "Transfer-Encoding: chunked", *more))

    def events(self, *events: bytes) -> None:
        """Events, each in a chunk of its own."""
        for event in events:
            self.send(_chunk(event))

    def end(self) -> None:
        """The end of a chunked body."""
        self.send(_chunk(b""))

    def pause(self, seconds: float | None) -> None:
        """Waits that long, or for ever; ends with the server."""
        if self.stopped.wait(seconds):
            raise ConnectionAbortedError


def word(number: int) -> str:
    """What the answer's event of that number says."""
    return f"word{number} "


TEXT = "".join(map(word, range(WORDS)))
"""The text of a complete answer."""


def _event(**document: Any) -> bytes:
    return b"data: " + json.dumps({"object": "chat.completion.chunk", **document}).encode() + b"\n\n"


def _said(text: str, finish: str | None = None) -> bytes:
    return _event(choices=[{"index": 0, "delta": {"content": text}, "finish_reason": finish}])


def _usage() -> bytes:
    return _event(choices=[], usage={"prompt_tokens": PROMPT_TOKENS, "completion_tokens": WORDS})


def _first_half() -> list[bytes]:
    return [_said(word(number)) for number in range(WORDS // 2)]


def _second_half() -> list[bytes]:
    return [_said(word(number)) for number in range(WORDS // 2, WORDS)]


def _ending() -> list[bytes]:
    return [_said("", "stop"), _usage(), _DONE]


def _whole() -> list[bytes]:
    return [*_first_half(), *_second_half(), *_ending()]


def head_of(status: int, *lines: str) -> bytes:
    """The head of an answer."""
    phrase = next((s.phrase for s in http.HTTPStatus if s == status), "Unknown")
    return "\r\n".join([f"HTTP/1.1 {status} {phrase}", *lines, "", ""]).encode()


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def refusal(status: int, *lines: str) -> bytes:
    """A whole answer that refuses, in OpenAI's shape."""
    body = json.dumps({"error": {"message": f"refused with {status}, as asked for", "type": "faulty"}})
    kept = (f"Content-Length: {len(body)}", "Content-Type: application/json", *lines)
    return head_of(status, *kept) + body.encode()


def ok(reply: Reply) -> None:
    """A complete answer; the connection is kept."""
    reply.head()
    reply.events(*_whole())
    reply.end()


def reset(reply: Reply) -> None:
    """The connection is reset before any answer."""
    raise ConnectionResetError


def close(reply: Reply) -> None:
    """The connection is closed before any answer."""
    raise ConnectionAbortedError


def reset_midway(reply: Reply) -> None:
    """The connection is reset after half of the answer."""
    reply.head()
    reply.events(*_first_half())
    reply.pause(0.05)  # a reset overtakes what was sent just before it
    raise ConnectionResetError


def truncated(reply: Reply) -> None:
    """The connection is closed after half of the answer."""
    reply.head()
    reply.events(*_first_half())
    raise ConnectionAbortedError


def unfinished(reply: Reply) -> None:
    """The stream ends as HTTP wants it, with no finish reason and no [DONE]."""
    reply.head()
    reply.events(*_first_half(), *_second_half())
    reply.end()


def stream_error(reply: Reply) -> None:
    """Status 200, half of the answer, then an error event."""
    reply.head()
    reply.events(*_first_half(), _event(error={"message": "the engine died", "code": 500}), _DONE)
    reply.end()


def garbage(reply: Reply) -> None:
    """An event in the middle is not JSON."""
    reply.head()
    reply.events(*_first_half(), b"data: {\xff\x00 no json\n\n", *_ending())
    reply.end()


def strange(reply: Reply) -> None:
    """An event in the middle is JSON, and nothing that an API would say."""
    reply.head()
    reply.events(*_first_half(), _event(choices=[None], usage=["?"]), *_ending())
    reply.end()


def odd_usage(reply: Reply) -> None:
    """A complete answer whose usage is no number of tokens."""
    usage = _event(choices=[], usage={"prompt_tokens": "five", "completion_tokens": -1})
    reply.head()
    reply.events(*_first_half(), *_second_half(), _said("", "stop"), usage, _DONE)
    reply.end()


def not_http(reply: Reply) -> None:
    """The answer is not HTTP."""
    reply.send(b"SSH-2.0-OpenSSH_9.9\r\n")
    raise ConnectionAbortedError


def huge(reply: Reply) -> None:
    """One event of 1 MB among the others."""
    reply.head()
    reply.events(*_first_half(), _said("x" * _HUGE), *_second_half()[1:], *_ending())
    reply.end()


def drip(reply: Reply) -> None:
    """A complete answer, one byte at a time."""
    raw = head_of(200, "Content-Type: text/event-stream", "Transfer-Encoding: chunked")
    raw += b"".join(map(_chunk, _whole())) + _chunk(b"")
    for position in range(len(raw)):
        reply.send(raw[position : position + 1])
        reply.pause(_DRIP_S)


def comments(reply: Reply) -> None:
    """Keep-alive comments (`: ping`) for the server's `quiet_s`, then a complete answer."""
    reply.head()
    until = time.monotonic() + reply.quiet_s
    while time.monotonic() < until:
        reply.events(b": ping\n\n")
        reply.pause(_PING_S)
    reply.events(*_whole())
    reply.end()


def hang(reply: Reply) -> None:
    """No answer, and the connection stays open."""
    reply.pause(None)


def hang_midway(reply: Reply) -> None:
    """Half of the answer, then silence."""
    reply.head()
    reply.events(*_first_half())
    reply.pause(None)


def gzipped(reply: Reply) -> None:
    """A complete answer, coded as gzip without being asked."""
    reply.head(200, "text/event-stream", "Content-Encoding: gzip")
    reply.events(gzip.compress(b"".join(_whole())))
    reply.end()


def chatter(reply: Reply) -> None:
    """A complete answer, and then bytes that nobody asked for on the kept connection."""
    reply.head()
    reply.events(*_whole())
    reply.send(_chunk(b"") + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlies")


def killed(reply: Reply) -> None:
    """Half of the answer, then the server is gone: every connection reset, new ones refused."""
    reply.head()
    reply.events(*_first_half())
    reply.pause(0.05)
    reply.die()
    raise ConnectionResetError


FAULTS: dict[str, Callable[[Reply], None]] = {
    known.__name__: known
    for known in (
        ok, reset, close, reset_midway, truncated, unfinished, stream_error, garbage, strange, odd_usage,
        not_http, huge, drip, comments, hang, hang_midway, gzipped, chatter, killed,
    )
}  # fmt: skip
"""What a URL may name."""


def _refuse(status: int) -> Callable[[Reply], None]:
    """The fault of an answer with that status."""
    more = {429: (f"Retry-After: {RETRY_AFTER_S}",), 302: ("Location: https://elsewhere.example/v1",)}

    def refuse(reply: Reply) -> None:
        reply.send(refusal(status, *more.get(status, ())))

    return refuse


def fault(name: str) -> Callable[[Reply], None] | None:
    """The fault of that name; None for one there is not."""
    if name.isdigit() and 300 <= int(name) <= 599:
        return _refuse(int(name))
    return FAULTS.get(name)
