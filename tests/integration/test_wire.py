"""The wire against real sockets that behave and misbehave to order."""

from __future__ import annotations

import socket
import ssl
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest

from loadlab.core.errors import UsageError
from loadlab.core.nouns import Exchange, Timeouts
from loadlab.core.reads import READ_COST_BYTES
from loadlab.dialects import Call
from loadlab.wire import line
from loadlab.wire.client import Client
from loadlab.wire.route import Origin, proxy_for
from loadlab.wire.trust import Trust

Script = Callable[[socket.socket], None]
CHUNKED = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


class Server:
    """Runs one script per accepted connection, in threads; the last script serves all further ones."""

    def __init__(self, *scripts: Script, context: ssl.SSLContext | None = None) -> None:
        self._scripts, self._context = scripts, context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.accepted = 0
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            script = self._scripts[min(self.accepted, len(self._scripts) - 1)]
            self.accepted += 1
            threading.Thread(target=self._run, args=(script, connection), daemon=True).start()

    def _run(self, script: Script, connection: socket.socket) -> None:
        with connection:
            try:
                if self._context:
                    with self._context.wrap_socket(connection, server_side=True) as secure:
                        script(secure)
                else:
                    script(connection)
            except OSError:
                return

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()


Serve = Callable[..., Server]


@pytest.fixture
def serve() -> Iterator[Serve]:
    servers: list[Server] = []

    def start(*scripts: Script, context: ssl.SSLContext | None = None) -> Server:
        servers.append(Server(*scripts, context=context))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def client() -> Iterator[Client]:
    client = Client({"Authorization": "Bearer k"})
    yield client
    client.close()


def read_request(connection: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        part = connection.recv(65536)
        if not part:
            raise ConnectionResetError
        data += part
    head, _, body = data.partition(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    while len(body) < length:
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


def answer(data: bytes, times: int = 1) -> Script:
    def script(connection: socket.socket) -> None:
        for _ in range(times):
            read_request(connection)
            connection.sendall(data)

    return script


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def length_framed(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


def send(
    client: Client,
    server: Server,
    *,
    timeout_s: float = 5.0,
    scheme: str = "http",
    body: bytes = b"{}",
    **limits: float,
) -> Exchange:
    exchange = Exchange(level=0, worker=0, seq=0, planned_ns=time.perf_counter_ns())
    call = Call("POST", f"{scheme}://localhost:{server.port}/v1/x?y=1", {"X-Test": "1"}, body)
    return client.send(call, exchange, Timeouts(total_s=timeout_s, **limits))


def body_of(exchange: Exchange) -> bytes:
    return b"".join(data for _, data in exchange.reads)


def test_what_is_sent(serve: Serve, client: Client) -> None:
    seen: list[bytes] = []

    def script(connection: socket.socket) -> None:
        seen.append(read_request(connection))
        connection.sendall(length_framed(b""))

    server = serve(script)
    send(client, server, body=b'{"a":1}')
    head, _, body = seen[0].partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert lines[0] == b"POST /v1/x?y=1 HTTP/1.1"
    assert f"Host: localhost:{server.port}".encode() in lines
    assert {b"X-Test: 1", b"Authorization: Bearer k", b"Content-Length: 7"} < set(lines)
    assert b"Accept-Encoding: identity" in lines
    assert body == b'{"a":1}'


def test_a_large_request_goes_out_whole(serve: Serve, client: Client) -> None:
    body = bytes(range(256)) * 40_000
    seen: list[bytes] = []

    def script(connection: socket.socket) -> None:
        time.sleep(0.05)  # lets the socket buffer fill, so that sending has to wait
        seen.append(read_request(connection).partition(b"\r\n\r\n")[2])
        connection.sendall(length_framed(b"ok"))

    assert body_of(send(client, serve(script), body=body)) == b"ok"
    assert seen == [body]


def test_chunks_are_stamped_as_they_come(serve: Serve, client: Client) -> None:
    def script(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(CHUNKED)
        for word in (b"one", b"two", b"three"):
            time.sleep(0.05)
            connection.sendall(chunk(word))
        connection.sendall(b"0\r\n\r\n")

    exchange = send(client, serve(script))
    assert [data for _, data in exchange.reads] == [b"one", b"two", b"three"]
    assert (exchange.status, exchange.content_type, exchange.error_kind) == (200, "text/event-stream", None)
    times = [at for at, _ in exchange.reads]
    # From the sending on, so that one late stamp on a busy machine does not shorten the next gap.
    waits = [(at - (exchange.sent_ns or 0)) / 1e6 for at in times]
    assert all(wait > 49 * number for number, wait in enumerate(waits, 1)), waits
    assert (exchange.sent_ns or 0) <= (exchange.first_byte_ns or 0) <= times[0] <= (exchange.done_ns or 0)


def test_a_kept_connection_is_used_again_and_costs_no_connecting(serve: Serve, client: Client) -> None:
    server = serve(answer(length_framed(b"ok"), times=2))
    first, second = send(client, server), send(client, server)
    assert server.accepted == 1
    assert (first.reused, second.reused) == (False, True)
    assert first.connect_ns > 0 == second.connect_ns


def test_connection_close_is_honoured(serve: Serve, client: Client) -> None:
    closing = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"
    server = serve(answer(closing))
    assert [body_of(send(client, server)) for _ in range(2)] == [b"ok", b"ok"]
    assert server.accepted == 2


def test_a_stale_connection_is_retried_once_and_counted(serve: Serve, client: Client) -> None:
    def script(connection: socket.socket) -> None:
        answer(length_framed(b"ok"))(connection)
        connection.recv(1)  # the second request is on its way when the connection ends

    server = serve(script, answer(length_framed(b"again")))
    send(client, server)
    exchange = send(client, server)
    assert (body_of(exchange), exchange.retries, exchange.error_kind) == (b"again", 1, None)
    assert (exchange.reused, server.accepted) == (False, 2)


def test_a_connection_closed_while_idle_is_not_even_tried(serve: Serve, client: Client) -> None:
    server = serve(answer(length_framed(b"ok")))
    send(client, server)
    time.sleep(0.05)  # the script has ended: the server closed the kept connection
    exchange = send(client, server)
    assert (body_of(exchange), exchange.retries, exchange.reused) == (b"ok", 0, False)
    assert exchange.connect_ns > 0


@pytest.mark.parametrize("together", [True, False])
def test_what_follows_an_answer_is_not_the_next_one(serve: Serve, client: Client, together: bool) -> None:
    lies = b"HTTP/1.1 500 Oh\r\nContent-Length: 4\r\n\r\nlies"

    def script(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(length_framed(b"ok") + (lies if together else b""))
        time.sleep(0.05)
        connection.sendall(b"" if together else lies)
        time.sleep(0.5)

    server = serve(script, answer(length_framed(b"next")))
    first = send(client, server)
    time.sleep(0.1)
    second = send(client, server)
    assert (first.status, body_of(first), first.error_kind) == (200, b"ok", None)
    assert (second.status, body_of(second), second.error_kind) == (200, b"next", None)
    assert server.accepted == 2


def test_a_body_framed_by_the_end_of_the_connection(serve: Serve, client: Client) -> None:
    exchange = send(client, serve(answer(b"HTTP/1.1 200 OK\r\n\r\nall of it")))
    assert (body_of(exchange), exchange.error_kind) == (b"all of it", None)


def test_an_interim_response_is_not_the_answer(serve: Serve, client: Client) -> None:
    exchange = send(
        client, serve(answer(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + length_framed(b"ok")))
    )
    assert (exchange.status, body_of(exchange)) == (200, b"ok")


@pytest.mark.parametrize("closing", [True, False])
def test_an_answer_before_the_request_is_out(serve: Serve, client: Client, closing: bool) -> None:
    """A server may refuse a large body unread; it then closes, or leaves the rest lying."""

    def script(connection: socket.socket) -> None:
        connection.recv(1000)
        connection.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 4\r\n\r\nwhoa")
        if not closing:
            time.sleep(1)

    server = serve(script, answer(length_framed(b"ok")))
    exchange = send(client, server, body=b"x" * 20_000_000)
    assert (exchange.status, body_of(exchange), exchange.error_kind) == (413, b"whoa", None)
    assert exchange.sent_ns is None  # it never was, as a whole
    following = send(client, server)
    assert (body_of(following), following.retries, server.accepted) == (b"ok", 0, 2)


def test_other_streams_go_on_while_a_large_request_is_sent(serve: Serve, client: Client) -> None:
    def slow_reader(connection: socket.socket) -> None:
        time.sleep(0.5)
        answer(length_framed(b"big"))(connection)

    slow, quick = serve(slow_reader), serve(answer(length_framed(b"ok"), times=5))
    large = gevent.spawn(send, client, slow, body=b"x" * 20_000_000)
    gevent.sleep(0.05)
    small = [send(client, quick) for _ in range(5)]
    assert all(exchange.done_ns for exchange in small)
    assert not large.ready()
    exchange = large.get()
    assert body_of(exchange) == b"big"
    assert max(one.done_ns or 0 for one in small) < (exchange.sent_ns or 0) < (exchange.first_byte_ns or 0)


@pytest.mark.parametrize(
    ("head", "kept"),
    [
        (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok", True),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", False),
        (CHUNKED.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n") + b"2\r\nok\r\n0\r\n\r\n", False),
        (CHUNKED + b"2;note=x\r\nok\r\n0\r\nX-Trailer: 1\r\n\r\n", True),
        (b"HTTP/1.1 204 No Content\r\n\r\n", True),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n", True),
    ],
)
def test_framings(serve: Serve, client: Client, head: bytes, kept: bool) -> None:
    server = serve(answer(head, times=2))
    first, second = send(client, server), send(client, server)
    assert (first.error_kind, second.error_kind) == (None, None)
    assert body_of(second) == (b"ok" if b"ok" in head else b"")
    assert second.reused == kept


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\nbytes", "switched protocols"),
        (b"HTTP/1.1 101 Switching\r\n\r\n", "switched protocols"),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\nContent-Length: 1\r\n\r\nx", "coded as br"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx", "not HTTP/1.1"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n", "not HTTP/1.1"),
        (CHUNKED + b"zz\r\n", "not HTTP/1.1"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 1_000_000, "the head of the answer is larger"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200_000, "the head of the answer is larger"),
    ],
)
def test_what_is_not_the_http_we_speak(serve: Serve, client: Client, data: bytes, words: str) -> None:
    def script(connection: socket.socket) -> None:
        answer(data)(connection)
        time.sleep(1)

    exchange = send(client, serve(script))
    assert exchange.error_kind == "protocol"
    assert words in (exchange.error_detail or "")


@pytest.mark.parametrize("piece", [b"x" * 10_000, b"x"])
def test_an_endless_answer_ends_at_the_limit_of_memory(
    serve: Serve, client: Client, monkeypatch: pytest.MonkeyPatch, piece: bytes
) -> None:
    monkeypatch.setattr(line, "MAX_KEPT_BYTES", 1 << 20)

    def endless(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(CHUNKED)
        while True:
            connection.sendall(chunk(piece) * 50)

    exchange = send(client, serve(endless))
    assert (exchange.error_kind, exchange.error_detail) == ("protocol", "the answer takes more than 1 MiB")
    assert len(exchange.reads) * READ_COST_BYTES + len(body_of(exchange)) < 2 << 20


def test_facts_of_a_refusal_are_noted(serve: Serve, client: Client) -> None:
    head = b"HTTP/1.1 301 Moved\r\nLocation: /v2\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n"
    exchange = send(client, serve(answer(head)))
    assert (exchange.status, exchange.error_kind) == (301, None)
    assert exchange.error_detail == "it points to /v2; retry after 7 s"


def test_a_limit_set_by_the_scenario_is_not_ours(serve: Serve, client: Client) -> None:
    server = serve(silent)
    exchange = Exchange(0, 0, 0, 0)
    call = Call("POST", f"http://127.0.0.1:{server.port}/", {}, b"")
    with pytest.raises(gevent.Timeout), gevent.Timeout(0.1):
        client.send(call, exchange, Timeouts())
    assert exchange.error_kind == "cancelled"


def silent(connection: socket.socket) -> None:
    read_request(connection)
    time.sleep(1)


def stalled(connection: socket.socket) -> None:
    read_request(connection)
    connection.sendall(CHUNKED + chunk(b"one"))
    time.sleep(1)


def slammed(connection: socket.socket) -> None:
    read_request(connection)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@pytest.mark.parametrize(
    ("script", "kind", "body"),
    [
        (answer(b""), "reset", b""),
        (slammed, "reset", b""),
        (answer(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"), "truncated", b"half"),
        (answer(CHUNKED + chunk(b"one")), "truncated", b"one"),
        (answer(b"SSH-2.0-OpenSSH\r\n"), "protocol", b""),
        (silent, "timeout", b""),
        (stalled, "timeout", b"one"),
    ],
)
def test_every_failure_is_an_exchange_with_its_kind(
    serve: Serve, script: Script, kind: str, body: bytes, client: Client
) -> None:
    exchange = send(client, serve(script), timeout_s=0.4)
    assert (exchange.error_kind, body_of(exchange)) == (kind, body)
    assert exchange.error_detail
    assert exchange.done_ns is not None


def test_refused_and_unresolvable(free_port: int, client: Client) -> None:
    def failing(host: str) -> Exchange:
        call = Call("POST", f"http://{host}:{free_port}/", {}, b"")
        return client.send(call, Exchange(0, 0, 0, 0), Timeouts())

    assert failing("127.0.0.1").error_kind == "connect_refused"
    assert failing("no-such-host.invalid").error_kind == "dns"


def test_a_cancelled_request_is_recorded_and_its_connection_closed(serve: Serve, client: Client) -> None:
    server = serve(silent, answer(length_framed(b"ok")))
    exchange = Exchange(0, 0, 0, 0)
    call = Call("POST", f"http://127.0.0.1:{server.port}/", {}, b"")
    greenlet = gevent.spawn(client.send, call, exchange, Timeouts())
    gevent.sleep(0.1)
    greenlet.kill()
    assert exchange.error_kind == "cancelled"
    assert body_of(send(client, server)) == b"ok"


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=localhost",
    ]
    extra = ["-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(cert)]
    try:
        subprocess.run([*command, *extra], check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("no openssl command here to make a certificate with")
    return cert


def tls_server(serve: Serve, certificate: Path, script: Script) -> Server:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_name("key.pem"))
    return serve(script, context=context)


def test_tls_streams_and_reports_its_handshake_apart(
    serve: Serve, certificate: Path, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    big = b"x" * 200_000

    def script(connection: socket.socket) -> None:
        for _ in range(2):
            read_request(connection)
            connection.sendall(CHUNKED + chunk(b"one"))
            time.sleep(0.05)
            connection.sendall(chunk(big) + b"0\r\n\r\n")

    server = tls_server(serve, certificate, script)
    first, second = send(client, server, scheme="https"), send(client, server, scheme="https")
    assert body_of(first) == body_of(second) == b"one" + big
    assert (first.error_kind, second.error_kind) == (None, None)
    assert 0 < first.tls_ns <= first.connect_ns
    assert (second.tls_ns, second.reused, server.accepted) == (0, True, 1)


def test_an_untrusted_certificate_is_refused(serve: Serve, certificate: Path, client: Client) -> None:
    exchange = send(client, tls_server(serve, certificate, answer(length_framed(b"ok"))), scheme="https")
    assert exchange.error_kind == "tls"
    assert "certificate" in (exchange.error_detail or "")


def test_silence_before_and_after_the_first_byte_has_its_own_kind(serve: Serve, client: Client) -> None:
    exchange = send(client, serve(silent), first_byte_s=0.2)
    assert (exchange.error_kind, exchange.error_detail) == (
        "first_byte_timeout",
        "no first byte within 0.2 s",
    )
    exchange = send(client, serve(stalled), first_byte_s=0.5, stall_s=0.2)
    assert (exchange.error_kind, body_of(exchange)) == ("stall_timeout", b"one")


def test_a_slow_but_steady_stream_does_not_stall(serve: Serve, client: Client) -> None:
    def script(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(CHUNKED)
        for _ in range(10):
            time.sleep(0.05)
            connection.sendall(chunk(b"x"))
        connection.sendall(b"0\r\n\r\n")

    exchange = send(client, serve(script), stall_s=0.3)
    assert (exchange.error_kind, len(body_of(exchange))) == (None, 10)


def test_ipv6(client: Client) -> None:
    if not socket.has_ipv6:
        pytest.skip("this Python has no IPv6")
    try:
        listener = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("this machine has no IPv6 loopback")
    with listener:
        port = listener.getsockname()[1]

        def serve_once() -> None:
            connection, _ = listener.accept()
            with connection:
                answer(length_framed(b"six"))(connection)

        thread = threading.Thread(target=serve_once)
        thread.start()
        call = Call("POST", f"http://[::1]:{port}/", {}, b"")
        exchange = client.send(call, Exchange(0, 0, 0, 0), Timeouts())
        thread.join()
    assert body_of(exchange) == b"six"


def tls_client(**trust: Any) -> Client:
    return Client(tls=Trust(**trust))


@pytest.fixture
def no_trust(serve: Serve, certificate: Path) -> Server:
    return tls_server(serve, certificate, answer(length_framed(b"ok")))


def test_an_authority_of_ones_own_and_none_at_all(no_trust: Server, certificate: Path) -> None:
    for client in (tls_client(ca_file=str(certificate)), tls_client(insecure=True)):
        assert body_of(send(client, no_trust, scheme="https")) == b"ok"
        client.close()


def test_the_name_on_the_certificate_counts(no_trust: Server, certificate: Path) -> None:
    call = Call("POST", f"https://127.0.0.1:{no_trust.port}/", {}, b"")
    exchange = tls_client(ca_file=str(certificate)).send(call, Exchange(0, 0, 0, 0), Timeouts())
    assert exchange.error_kind == "tls"


def test_a_client_certificate_is_shown(serve: Serve, certificate: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_name("key.pem"))
    context.load_verify_locations(certificate)
    context.verify_mode = ssl.CERT_REQUIRED
    seen: list[object] = []

    def script(connection: socket.socket) -> None:
        assert isinstance(connection, ssl.SSLSocket)
        seen.append(connection.getpeercert())
        answer(length_framed(b"ok"))(connection)

    server = serve(script, context=context)
    key = str(certificate.with_name("key.pem"))
    client = tls_client(ca_file=str(certificate), client_cert=str(certificate), client_key=key)
    assert body_of(send(client, server, scheme="https")) == b"ok"
    client.close()
    assert seen != [None]


def test_a_missing_file_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match=r"/no/such\.pem"):
        Trust(ca_file="/no/such.pem").context()


class Tunnel:
    """A proxy that notes what it was asked and carries it to one server."""

    def __init__(
        self, serve: Serve, target: Server, reply: bytes = b"HTTP/1.1 200 Connection established\r\n\r\n"
    ) -> None:
        self.asked: list[bytes] = []
        self._target, self._reply = target, reply
        self.server = serve(self._script)

    def _script(self, connection: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            head += connection.recv(65536)
        self.asked.append(head)
        with socket.create_connection(("127.0.0.1", self._target.port)) as onward:
            if head.startswith(b"CONNECT"):
                connection.sendall(self._reply)
            else:
                onward.sendall(head)
            back = threading.Thread(target=self._pipe, args=(onward, connection))
            back.start()
            self._pipe(connection, onward)
            back.join()

    def _pipe(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            return


def through(client: Client, scheme: str) -> Exchange:
    call = Call("POST", f"{scheme}://far.example:8443/v1", {}, b"{}")
    return client.send(call, Exchange(0, 0, 0, 0), Timeouts(total_s=5.0))


def test_https_goes_through_a_tunnel(
    serve: Serve, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = Tunnel(serve, tls_server(serve, certificate, answer(length_framed(b"ok"))))
    monkeypatch.setenv("https_proxy", f"http://me:pass%20word@127.0.0.1:{proxy.server.port}")
    client = tls_client(insecure=True)
    assert body_of(through(client, "https")) == b"ok"
    client.close()
    (head,) = proxy.asked
    assert head.startswith(b"CONNECT far.example:8443 HTTP/1.1\r\n")
    assert b"Proxy-Authorization: Basic bWU6cGFzcyB3b3Jk\r\n" in head


def test_http_goes_by_absolute_target(serve: Serve, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    proxy = Tunnel(serve, serve(answer(length_framed(b"ok"))))
    monkeypatch.setenv("http_proxy", f"127.0.0.1:{proxy.server.port}")
    assert body_of(through(client, "http")) == b"ok"
    assert proxy.asked[0].startswith(
        b"POST http://far.example:8443/v1 HTTP/1.1\r\nHost: far.example:8443\r\n"
    )


def test_a_proxy_that_refuses(serve: Serve, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    proxy = Tunnel(serve, serve(answer(b"")), b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
    monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{proxy.server.port}")
    exchange = through(client, "https")
    assert exchange.error_kind == "proxy"
    assert "407" in (exchange.error_detail or "")


def test_a_proxy_that_breaks_off(serve: Serve, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def script(connection: socket.socket) -> None:
        connection.recv(10)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{serve(script).port}")
    assert through(client, "https").error_kind == "proxy"


def test_no_proxy_for_what_is_excepted_and_for_loopback(
    serve: Serve, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "far.example")
    assert body_of(send(client, serve(answer(length_framed(b"ok"))))) == b"ok"
    assert proxy_for(Origin("http", "far.example", 80)) is None
    assert proxy_for(Origin("http", "near.example", 80)) is not None
