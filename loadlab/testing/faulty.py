"""A server of faults: speaks OpenAI chat over real sockets and breaks as it is told to, by the URL.

`http://HOST:PORT/ok,reset,drip/v1` is a base URL whose requests meet those faults in turn, for ever. `FAULTS`
(in `faults.py`) is the table of names; besides them, a number from 300 to 599 is an answer with that status.
It knows nothing of the client: its faults happen on the socket, in a thread per connection.

    with FaultyServer() as server:
        run_against(server.url("ok", "truncated"))

or `python -m loadlab.testing.faulty --port 8100`, which prints the URL and every name.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import signal
import socket
import ssl
import struct
import sys
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from loadlab.testing.faults import FAULTS, Reply, fault, head_of, refusal

_RESET = struct.pack("ii", 1, 0)


@dataclass(slots=True)
class FaultyServer:
    """Listens from `__enter__` to `__exit__`. `asked` counts requests by the fault they met.

    `quiet_s` is how long `comments` says nothing of use. With `tls`, the server speaks TLS, and every
    `broken_handshakes`-th connection after the first meets rubbish instead of a handshake. `die` is what
    `killed` calls: in a process of its own, the server kills that.
    """

    host: str = "127.0.0.1"
    port: int = 0
    quiet_s: float = 1.0
    tls: ssl.SSLContext | None = None
    broken_handshakes: int = 0
    on_death: Callable[[], None] | None = None
    asked: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    connections: int = 0
    stopped: threading.Event = field(default_factory=threading.Event)
    _turns: dict[str, Iterator[str]] = field(default_factory=dict)
    _open: set[socket.socket] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _listener: socket.socket | None = None
    _thread: threading.Thread | None = None

    def url(self, *faults: str) -> str:
        """The base URL whose requests meet `faults` in turn."""
        return f"http{'s' if self.tls else ''}://{self.host}:{self.port}/{','.join(faults)}/v1"

    def __enter__(self) -> Self:
        self._listener = socket.create_server((self.host, self.port), backlog=1024)
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, args=(self._listener,), daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Stops listening and resets every connection."""
        self.stopped.set()
        assert self._listener is not None
        try:
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread in accept
        except OSError:
            return  # stopped before
        self._listener.close()
        with self._lock:
            for sock in self._open:
                _abort(sock)

    def die(self) -> None:
        """What `killed` does."""
        if self.on_death:
            self.on_death()
        self.stop()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            self.connections += 1
            if self.tls:
                sock = self.tls.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
            threading.Thread(target=self._serve, args=(sock, self.connections), daemon=True).start()

    def _serve(self, sock: socket.socket, number: int) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self._lock:
            self._open.add(sock)
        try:
            self._handshake(sock, number)
            while True:
                self._answer(sock)
        except ConnectionResetError:
            _abort(sock)
        except (
            OSError,
            ValueError,
        ):  # closed as the fault wants it, by the client, or what it sent is not HTTP
            pass
        with self._lock:
            self._open.discard(sock)
        sock.close()

    def _handshake(self, sock: socket.socket, number: int) -> None:
        if not isinstance(sock, ssl.SSLSocket):
            return
        if self.broken_handshakes and number > 1 and number % self.broken_handshakes == 0:
            os.write(sock.fileno(), b"no TLS here\r\n")
            raise ConnectionAbortedError
        sock.do_handshake()

    def _answer(self, sock: socket.socket) -> None:
        method, path = _read_request(sock)
        turn = path.strip("/").partition("/")[0]
        names = turn.split(",")
        if any(fault(name) is None for name in names):
            sock.sendall(refusal(404))
        elif method == "GET":
            sock.sendall(_document({"object": "list", "data": [{"id": "faulty", "object": "model"}]}))
        else:
            with self._lock:
                name = next(self._turns.setdefault(turn, itertools.cycle(names)))
                self.asked[name] += 1
            answer = fault(name)
            assert answer is not None
            answer(Reply(sock, self.quiet_s, self.stopped, self.die))


def _document(content: Any) -> bytes:
    body = json.dumps(content).encode()
    return head_of(200, "Content-Type: application/json", f"Content-Length: {len(body)}") + body


def _read_request(sock: socket.socket) -> tuple[str, str]:
    """Method and path of the next request, its body read."""
    data = _receive(sock)
    while b"\r\n\r\n" not in data:
        data += _receive(sock)
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    length = next((line for line in lines if line.lower().startswith("content-length:")), ":0")
    while len(body) < int(length.partition(":")[2]):
        body += _receive(sock)
    method, path, _ = first.split(" ")
    return method, path


def _receive(sock: socket.socket) -> bytes:
    if data := sock.recv(65536):
        return data
    raise ConnectionAbortedError


def _abort(sock: socket.socket) -> None:
    """Ends a connection by RST. `close` alone would wait for the thread that reads from it."""
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        sock.shutdown(socket.SHUT_RD)
    except OSError:
        return
    sock.close()


def main() -> None:
    """Serves until killed; prints one JSON document with the URL and the names."""
    parser = argparse.ArgumentParser(prog="python -m loadlab.testing.faulty", description=main.__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--quiet", type=float, default=1.0, metavar="S", help="length of `comments`")
    parser.add_argument("--cert", help="PEM file; with --key, the server speaks TLS")
    parser.add_argument("--key")
    parser.add_argument("--broken-handshakes", type=int, default=0, metavar="N", help="every Nth connection")
    chosen = parser.parse_args()
    context = None
    if chosen.cert:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(chosen.cert, chosen.key)
    server = FaultyServer(
        chosen.host,
        chosen.port,
        quiet_s=chosen.quiet,
        tls=context,
        broken_handshakes=chosen.broken_handshakes,
        on_death=lambda: os.kill(os.getpid(), signal.SIGKILL),
    )
    with server:
        names = {name: answer.__doc__ for name, answer in FAULTS.items()}
        json.dump({"url": server.url("ok"), "faults": names}, sys.stdout, indent=2)
        print(flush=True)
        server.stopped.wait()


if __name__ == "__main__":
    main()
