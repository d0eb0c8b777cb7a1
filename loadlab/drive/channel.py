"""Commands and events between the supervisor and its children: a JSON object per line over a socket pair."""

from __future__ import annotations

import json
import socket
from typing import Any


class Channel:
    """One end. Works on a plain socket and, in a monkey-patched process, on a cooperative one."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._rest = b""

    @classmethod
    def of(cls, descriptor: int) -> Channel:
        """The end that a parent passed on as an open file descriptor."""
        return cls(socket.socket(fileno=descriptor))

    def fileno(self) -> int:
        """The descriptor, for a selector."""
        return self._sock.fileno()

    def send(self, **message: Any) -> None:
        """Sends one message; a peer that has gone is noticed by whoever receives."""
        try:
            self._sock.sendall(json.dumps(message).encode() + b"\n")
        except OSError:
            return

    def receive(self) -> list[dict[str, Any]] | None:
        """The messages that have come in, at least one read's worth; None once the peer is gone."""
        try:
            data = self._sock.recv(1 << 16)
        except OSError:
            data = b""
        if not data:
            return None
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [json.loads(line) for line in lines]

    def close(self) -> None:
        """Closes this end."""
        self._sock.close()
