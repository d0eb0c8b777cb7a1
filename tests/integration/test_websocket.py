"""WebSocket against a real server (aiohttp), over TCP and TLS, and against raw sockets that break off."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from wsproto.utilities import generate_accept_token

from loadlab import dialects
from loadlab.core.nouns import Exchange, Timeouts
from loadlab.dialects import Call
from loadlab.recorder.decode import decode
from loadlab.wire import websocket
from loadlab.wire.client import Client
from loadlab.wire.trust import Trust

GAP_S = 0.03
BIG = "ä" * 1_000_000
FRAGMENT = 30_000


@dataclass
class Talk:
    """The server's side of one conversation."""

    ws: web.WebSocketResponse
    request: web.Request
    heard: list[Any]


class Server:
    """Answers each path in its own way, on an event loop in a thread; notes what clients did."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.heard: list[Any] = []  # by the latest conversation
        self.headers: dict[str, str] = {}
        self.port = 0
        self._context = context
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Server:
        self._thread.start()
        assert self._ready.wait(5)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def url(self, path: str) -> str:
        return f"ws{'s' if self._context else ''}://127.0.0.1:{self.port}/{path}"

    def _run(self) -> None:
        self._loop.run_until_complete(self._start())
        self._ready.set()
        self._loop.run_forever()
        self._loop.run_until_complete(self._runner.cleanup())
        self._loop.close()

    async def _start(self) -> None:
        app = web.Application()
        app.router.add_get("/{name}", self._serve)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=self._context)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        if name == "forbidden":
            return web.Response(status=403, text="not you")
        if name == "plain":
            return web.Response(text="just HTTP")
        if name == "slow":
            await asyncio.sleep(1)
        self.headers = dict(request.headers)
        ws = web.WebSocketResponse(protocols=("realtime",), max_msg_size=1 << 26, autoping=False)
        await ws.prepare(request)
        if name == "greeting":
            await ws.send_str("hello first")
        first = await ws.receive()
        self.heard = [first.data]
        await getattr(self, f"_{name}")(Talk(ws, request, self.heard))
        return ws

    async def _count(self, talk: Talk) -> None:
        for number in range(5):
            await asyncio.sleep(GAP_S)
            await talk.ws.send_str(f"token {number}")
        await talk.ws.send_bytes(b"end")
        message = await talk.ws.receive()
        talk.heard.append(message.data if message.type is aiohttp.WSMsgType.CLOSE else str(message.type))

    _slow = _greeting = _count

    async def _ping(self, talk: Talk) -> None:
        await talk.ws.ping(b"are you there")
        message = await talk.ws.receive()
        talk.heard += [message.type.name, bytes(message.data)]
        await talk.ws.send_str("end")

    async def _big(self, talk: Talk) -> None:
        await talk.ws.send_str(BIG)
        await talk.ws.send_str("end")

    async def _fragments(self, talk: Talk) -> None:
        """A message in three frames, a ping between them."""
        assert talk.request.transport is not None
        parts = [b"x" * FRAGMENT, b"y" * FRAGMENT, b"z" * FRAGMENT]
        heads = [b"\x02\x7e", b"\x00\x7e", b"\x80\x7e"]
        for head, part in zip(heads, parts, strict=True):
            talk.request.transport.write(head + struct.pack(">H", len(part)) + part)
            await asyncio.sleep(GAP_S)
            await talk.ws.ping()
        await talk.ws.send_str("end")

    async def _close_1011(self, talk: Talk) -> None:
        await talk.ws.send_str("token")
        await talk.ws.close(code=1011, message=b"the engine died")

    async def _close_1000(self, talk: Talk) -> None:
        await talk.ws.send_str("token")
        await talk.ws.close()

    async def _abrupt(self, talk: Talk) -> None:
        await talk.ws.send_str("token")
        await asyncio.sleep(0.05)
        assert talk.request.transport is not None
        talk.request.transport.abort()

    async def _slammed(self, talk: Talk) -> None:
        assert talk.request.transport is not None
        sock = talk.request.transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await self._abrupt(talk)

    async def _masked(self, talk: Talk) -> None:
        """A server must not mask: RFC 6455, 5.1."""
        assert talk.request.transport is not None
        talk.request.transport.write(b"\x81\x81\x00\x00\x00\x00x")
        await asyncio.sleep(1)

    async def _stall(self, talk: Talk) -> None:
        await talk.ws.send_str("token")
        await asyncio.sleep(2)

    async def _silent(self, talk: Talk) -> None:
        await asyncio.sleep(2)

    async def _endless(self, talk: Talk) -> None:
        while not talk.ws.closed:
            await talk.ws.send_bytes(b"x" * 100_000)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    cert = tmp_path_factory.mktemp("tls") / "cert.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=here"]
    names = ["-addext", "subjectAltName=IP:127.0.0.1", "-out", str(cert)]
    try:
        subprocess.run(
            [*command, *names, "-keyout", str(cert.with_name("key.pem"))], check=True, capture_output=True
        )
    except FileNotFoundError:
        pytest.skip("no openssl command here to make a certificate with")
    return cert


@pytest.fixture(scope="module")
def plain() -> Iterator[Server]:
    with Server() as server:
        yield server


@pytest.fixture(scope="module")
def secure(certificate: Path) -> Iterator[Server]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_name("key.pem"))
    with Server(context) as server:
        yield server


@pytest.fixture(params=["plain", "secure"])
def server(request: pytest.FixtureRequest) -> Server:
    chosen: Server = request.getfixturevalue(request.param)
    return chosen


def talk(
    server: Server,
    path: str,
    *messages: str | bytes,
    done: Callable[[bytes], bool] = lambda message: message == b"end",
    headers: dict[str, str] | None = None,
    total_s: float = 5.0,
    **limits: float,
) -> Exchange:
    client = Client({"Authorization": "Bearer k"}, tls=Trust(insecure=True))
    exchange = Exchange(0, 0, 0, time.perf_counter_ns())
    call = Call("GET", server.url(path), headers or {})
    client.talk(call, messages or ("go",), exchange, Timeouts(total_s=total_s, **limits), done)
    client.close()
    assert exchange.done_ns is not None
    return exchange


def messages_of(exchange: Exchange) -> list[bytes]:
    return [data for _, data in exchange.reads]


def test_each_message_is_stamped_as_it_comes(server: Server) -> None:
    exchange = talk(server, "count", "begin")
    assert exchange.error_kind is None
    assert messages_of(exchange) == [*(b"token %d" % number for number in range(5)), b"end"]
    times = [at for at, _ in exchange.reads]
    # From the sending on, so that one late stamp on a busy machine does not shorten the next gap.
    waits = [(at - (exchange.sent_ns or 0)) / 1e9 for at in times[:-1]]
    assert all(wait > GAP_S * 0.95 * number for number, wait in enumerate(waits, 1)), waits
    assert times == sorted(times)
    assert exchange.first_byte_ns == times[0]
    assert exchange.done_ns == times[-1]
    assert server.heard[0] == "begin"


def test_leave_is_taken(server: Server) -> None:
    talk(server, "count")
    deadline = time.monotonic() + 2
    while len(server.heard) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert server.heard[1] == 1000


def test_opening_is_not_part_of_the_answer(plain: Server) -> None:
    exchange = talk(plain, "slow")
    assert exchange.connect_ns > 0.95e9
    assert (next(iter(exchange.reads))[0] - (exchange.sent_ns or 0)) / 1e9 < 0.5
    assert exchange.tls_ns == 0


def test_what_the_server_says_first_is_kept(server: Server) -> None:
    exchange = talk(server, "greeting")
    assert messages_of(exchange)[0] == b"hello first"
    assert (exchange.sent_ns or 0) <= (exchange.first_byte_ns or 0)


def test_headers_and_subprotocol(plain: Server) -> None:
    exchange = talk(plain, "count", headers={"X-Test": "1", "Sec-WebSocket-Protocol": "other, realtime"})
    assert exchange.error_kind is None
    assert plain.headers["Authorization"] == "Bearer k"
    assert (plain.headers["X-Test"], plain.headers["Host"]) == ("1", f"127.0.0.1:{plain.port}")
    assert "Sec-WebSocket-Extensions" not in plain.headers


def test_ping_is_answered(server: Server) -> None:
    exchange = talk(server, "ping")
    assert (exchange.error_kind, messages_of(exchange)) == (None, [b"end"])
    assert server.heard[1:] == ["PONG", b"are you there"]


def test_big_messages_go_both_ways(server: Server) -> None:
    exchange = talk(server, "big", BIG)
    assert (exchange.error_kind, messages_of(exchange)) == (None, [BIG.encode(), b"end"])
    assert server.heard == [BIG]


def test_fragments_are_joined_and_stamped_by_the_last(server: Server) -> None:
    exchange = talk(server, "fragments")
    joined = b"x" * FRAGMENT + b"y" * FRAGMENT + b"z" * FRAGMENT
    assert messages_of(exchange) == [joined, b"end"]
    assert (next(iter(exchange.reads))[0] - (exchange.first_byte_ns or 0)) / 1e9 > GAP_S


@pytest.mark.parametrize(
    ("path", "kind", "words", "got"),
    [
        ("close_1011", "ws_close_1011", "the engine died", [b"token"]),
        ("close_1000", None, None, [b"token"]),
        ("abrupt", "truncated", "closed before", [b"token"]),
        ("slammed", "reset", "reset", [b"token"]),
        ("masked", "protocol", "not WebSocket", []),
        ("plain", "protocol", "answered 200 instead", [b"just HTTP"]),
    ],
)
def test_how_a_conversation_breaks(
    plain: Server, path: str, kind: str | None, words: str | None, got: list[bytes]
) -> None:
    exchange = talk(plain, path)
    assert (exchange.error_kind, messages_of(exchange)) == (kind, got)
    assert (words or "") in (exchange.error_detail or "")


def test_an_abrupt_end_over_tls(secure: Server) -> None:
    assert talk(secure, "abrupt").error_kind == "truncated"
    assert talk(secure, "slammed").error_kind == "reset"


def test_a_refused_upgrade_is_judged_by_its_status(server: Server) -> None:
    exchange = talk(server, "forbidden")
    assert (exchange.status, exchange.error_kind, messages_of(exchange)) == (403, None, [b"not you"])
    row = decode(exchange, dialects.get("openai-chat"))
    assert (row.error_kind, row.error_detail) == ("http_403", "not you")


@pytest.mark.parametrize(
    ("path", "limits", "kind"),
    [
        ("slow", {"connect_s": 0.2}, "connect_timeout"),
        ("silent", {"first_byte_s": 0.2}, "first_byte_timeout"),
        ("stall", {"stall_s": 0.2}, "stall_timeout"),
        ("stall", {"total_s": 0.3}, "timeout"),
    ],
)
def test_the_limits_of_time(plain: Server, path: str, limits: dict[str, float], kind: str) -> None:
    assert talk(plain, path, **limits).error_kind == kind


def test_the_limit_of_memory(plain: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("loadlab.wire.line.MAX_KEPT_BYTES", 1 << 20)
    exchange = talk(plain, "endless")
    assert (exchange.error_kind, exchange.error_detail) == ("protocol", "the answer takes more than 1 MiB")
    monkeypatch.setattr(websocket, "MAX_KEPT_BYTES", 1 << 20)
    assert "a message takes more" in (talk(plain, "big").error_detail or "")


def test_a_done_that_raises_ends_the_conversation(plain: Server) -> None:
    def confused(message: bytes) -> bool:
        raise KeyError("type")

    exchange = talk(plain, "count", done=confused)
    assert exchange.error_kind == "protocol"


def accepting(listener: socket.socket, more: bytes) -> None:
    """Switches the first connection to WebSocket, says `more` in the same packet, and waits for its end."""
    connection, _ = listener.accept()
    with connection:
        asked = connection.recv(65536)
        key = asked.split(b"Sec-WebSocket-Key: ")[1].split(b"\r\n")[0]
        head = b"HTTP/1.1 101 Yes\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
        connection.sendall(head + generate_accept_token(key) + b"\r\n\r\n" + more)
        while connection.recv(65536):
            pass


def test_an_answer_in_one_packet_with_the_consent() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=accepting, args=(listener, b"\x82\x03end"))
        thread.start()
        exchange = Exchange(0, 0, 0, 0)
        call = Call("GET", f"ws://127.0.0.1:{listener.getsockname()[1]}/")
        Client().talk(call, ("go",), exchange, Timeouts(total_s=2), lambda message: True)
        thread.join()
    assert (exchange.error_kind, messages_of(exchange)) == (None, [b"end"])
    assert (exchange.sent_ns or 0) <= (exchange.first_byte_ns or 0)


@pytest.mark.parametrize("said", [b"", b"SSH-2.0\r\n\r\n", b"HTTP/1.1 101 Yes\r\nUpgrade: websocket\r\n\r\n"])
def test_what_does_not_speak_websocket(said: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(said)

        thread = threading.Thread(target=serve)
        thread.start()
        exchange = Exchange(0, 0, 0, 0)
        call = Call("GET", f"ws://127.0.0.1:{listener.getsockname()[1]}/x")
        Client().talk(call, ("go",), exchange, Timeouts(), lambda message: True)
        thread.join()
    assert exchange.error_kind == ("protocol" if said else "reset")
    assert exchange.error_detail


def test_a_connection_refused(free_port: int) -> None:
    exchange = Exchange(0, 0, 0, 0)
    Client().talk(Call("GET", f"ws://127.0.0.1:{free_port}/"), ("go",), exchange, Timeouts(), lambda _: True)
    assert exchange.error_kind == "connect_refused"
