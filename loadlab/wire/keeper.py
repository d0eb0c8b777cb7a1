"""Keeps a credential fresh beside the load: a process of its own asks for the next one before the last ends.

No request ever waits for a token, and no token is fetched where tokens are timed: asking takes TLS, JSON and
perhaps an RSA signature, milliseconds in which the worker's hub would read no stream. The worker only reads a
line, a few times an hour.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from typing import IO, Any, cast

import gevent

from loadlab.core.errors import LoadlabError, TargetError, UsageError
from loadlab.core.nouns import Endpoint
from loadlab.wire.credentials import Credential, source_of

_AHEAD_S = (
    300.0  # asked for so long before the end, or half-way where a credential lasts less than twice that
)
_RETRY_S = 10.0
_LEAST_S = 0.2
_FIRST_S = 90.0
_NICENESS = 5


class Kept:
    """A credential that is kept fresh; called, it gives the parts that are good now.

    `trouble` says in words why the next one could not be had; None while all is well.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        """Starts the process and waits for the first credential. Raises what stood in its way."""
        self.trouble: str | None = None
        self._socket, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, "-m", "loadlab.wire.keeper", str(theirs.fileno())]
            self._process = subprocess.Popen(
                command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, stdout=sys.stderr
            )
        self._socket.settimeout(_FIRST_S)
        self._socket.sendall(json.dumps(asdict(endpoint)).encode() + b"\n")
        self._lines = self._socket.makefile()
        self._parts: Mapping[str, str] = self._first(endpoint)
        self._socket.settimeout(None)
        self._listener = gevent.spawn(self._listen)

    def __call__(self) -> Mapping[str, str]:
        return self._parts

    def close(self) -> None:
        """Ends the process."""
        self._listener.kill()
        self._end()

    def _end(self) -> None:
        self._lines.close()
        self._socket.close()
        self._process.wait()

    def _first(self, endpoint: Endpoint) -> Mapping[str, str]:
        try:
            said = json.loads(self._lines.readline() or "{}")
        except (OSError, ValueError):
            said = {}
        if "parts" in said:
            return dict(said["parts"])
        self._process.kill()
        self._end()
        words = said.get("trouble", f"target '{endpoint.name}': no credential came within {_FIRST_S:g} s.")
        raise (UsageError if said.get("usage") else TargetError)(words)

    def _listen(self) -> None:
        with suppress(OSError, ValueError):
            for line in self._lines:
                said = json.loads(line)
                self.trouble = said.get("trouble")
                self._parts = said.get("parts", self._parts)


def _keep(endpoint: Endpoint, link: socket.socket) -> None:
    """Asks for credentials, each before the last one ends, until whoever wants them is gone."""
    source, wait_s = source_of(endpoint), cast("float | None", 0.0)
    while not select.select([link], [], [], wait_s)[0]:
        try:
            credential = source.fetch(endpoint)
        except LoadlabError as error:
            wait_s = _RETRY_S
            said: dict[str, Any] = {"trouble": str(error), "usage": isinstance(error, UsageError)}
        else:
            wait_s = _until_next(credential, time.time())
            said = {"parts": dict(credential.parts)}
        link.sendall(json.dumps(said).encode() + b"\n")


def _until_next(credential: Credential, now_s: float) -> float | None:
    """Seconds until the next one is asked for; None where this one does not end."""
    if credential.expires_s is None:
        return None
    left_s = credential.expires_s - now_s
    return max(left_s - _AHEAD_S, left_s / 2, _LEAST_S)


def main() -> None:
    """Entry point of the process; the endpoint comes as a line of the socket."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(_NICENESS)
    with socket.socket(fileno=int(sys.argv[1])) as link:
        lines: IO[str] = link.makefile()
        with suppress(OSError):
            _keep(Endpoint(**json.loads(lines.readline())), link)
        lines.close()


if __name__ == "__main__":
    main()
