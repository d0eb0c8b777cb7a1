"""Alerts over real sockets: a receiver of webhooks and an SMTP server, and what happens without them."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import shutil
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_string
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from loadlab import store
from loadlab.alerts import channels, delivery, occasions, webhook
from loadlab.alerts.nouns import UndeliveredError
from loadlab.alerts.poster import Poster
from loadlab.store import Incident, Store
from loadlab.store.outbox import Outbox
from loadlab.store.schedule_log import Entry, ScheduleLog
from tests.conftest import unused_port
from tests.integration.app_thread import served
from tests.integration.conftest import document, loadlab


class Receiver:
    """Takes webhooks: answers the statuses it was given one after the other, then 200."""

    def __init__(self, *statuses: int) -> None:
        self.statuses, self.got = list(statuses), list[tuple[dict[str, str], bytes]]()

    async def take(self, request: web.Request) -> web.Response:
        self.got.append((dict(request.headers), await request.read()))
        status = self.statuses.pop(0) if self.statuses else 200
        return web.Response(status=status, text=f"said\n{status}", headers={"Location": "/elsewhere"})

    @contextmanager
    def running(self) -> Iterator[str]:
        app = web.Application()
        app.router.add_route("*", "/secret/path", self.take)
        with served(app) as url:
            yield f"{url}/secret/path"


class Mail:
    """An SMTP server of the few verbs it takes, with AUTH PLAIN, and STARTTLS where it has a certificate."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.context, self.messages, self.logins, self.secure = context, list[str](), list[str](), False

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 here\r\n")
        while line := (await reader.readline()).decode().strip():
            verb = line.split()[0].upper()
            if verb == "EHLO":
                more = b"250-STARTTLS\r\n" if self.context and not self.secure else b""
                writer.write(b"250-here\r\n" + more + b"250 AUTH PLAIN\r\n")
            elif verb == "STARTTLS":
                writer.write(b"220 go\r\n")
                await writer.start_tls(self.context)  # type: ignore[arg-type]
                self.secure = True
            elif verb == "AUTH":
                self.logins.append(base64.b64decode(line.split()[2]).decode())
                good = self.logins[-1].endswith("\0right")
                writer.write(b"235 ok\r\n" if good else b"535 wrong password\r\n")
            elif verb == "DATA":
                writer.write(b"354 go\r\n")
                self.messages.append((await reader.readuntil(b"\r\n.\r\n")).decode())
                writer.write(b"250 ok\r\n")
            else:
                writer.write(b"221 bye\r\n" if verb == "QUIT" else b"250 ok\r\n")
        writer.close()

    @contextmanager
    def running(self) -> Iterator[int]:
        port, started, over = unused_port(), threading.Event(), threading.Event()

        async def serve() -> None:
            async with await asyncio.start_server(self._talk, "127.0.0.1", port):
                started.set()
                while not over.is_set():
                    await asyncio.sleep(0.02)

        thread = threading.Thread(target=asyncio.run, args=(serve(),))
        thread.start()
        started.wait(10)
        try:
            yield port
        finally:
            over.set()
            thread.join()


@pytest.fixture
def database(sqlite_url: str) -> Iterator[Store]:
    with store.open(sqlite_url) as opened:
        yield opened


def incident(name: str = "inc-1") -> Incident:
    evidence = {
        "first_bad_run": "run-b", "last_good_run": "run-a", "first_bad_commit": "c0ffee",
        "causes": ["driver: 1 → 2"], "series": [
            {"metric": "ttft_ms.p50", "before": 50.0, "after": 60.0, "ratio": 1.2, "low": 1.1, "high": 1.3}
        ],
    }  # fmt: skip
    return Incident(name, time.time_ns(), "open", "chat", "local", "tiny", "cpu", ("ttft_ms.p50",), evidence)


def about(**tables: dict[str, Any]) -> channels.Alerts:
    return channels.parse({"alerts": {"dashboard_url": "http://dash", **tables}})


def test_an_incident_is_told_once_and_signed(database: Store) -> None:
    receiver = Receiver()
    with receiver.running() as url:
        hook = about(hook={"kind": "webhook", "url_env": "HOOK", "secret_env": "KEY"})
        environ = {"HOOK": url, "KEY": "s3cret"}
        database.incidents.add(incident())
        assert delivery.collect(database, hook) == 1
        assert delivery.collect(database, hook) == 0
        sent, troubles = delivery.send_due(database, hook, environ)
        assert ([each.occasion for each in sent], troubles) == (["incident inc-1"], [])
        assert delivery.collect(database, hook) == 0
        assert delivery.send_due(database, hook, environ) == ([], [])
    ((headers, body),) = receiver.got
    lower = {name.lower(): value for name, value in headers.items()}
    assert lower["webhook-signature"] == webhook.signature("s3cret", lower, body)
    told = json.loads(body)
    assert told["title"] == "Regression: ttft_ms.p50 of chat on local"
    assert told["link"] == "http://dash/run/run-b"
    assert told["facts"]["ttft_ms.p50"] == "50.0 → 60.0 (ratio 1.2, 95 % 1.1 to 1.3)"
    assert told["facts"]["first bad run"] == "run-b at commit c0ffee"
    assert told["facts"]["what else changed there"] == "driver: 1 → 2"
    assert database.incidents.all(untold=True) == []


def test_what_fails_is_tried_again_and_what_would_fail_again_is_not(database: Store) -> None:
    receiver = Receiver(503, 200, 404)
    with receiver.running() as url:
        hook = about(hook={"kind": "slack", "url": url})
        database.incidents.add(incident())
        delivery.collect(database, hook)
        _, (words,) = delivery.send_due(database, hook, {})
        assert words == "alert 'incident inc-1' to hook: 127.0.0.1 answered 503: said 503 (again in 2 s)"
        assert delivery.send_due(database, hook, {}) == ([], [])  # not due yet
        assert database.incidents.all(untold=True) != []
        time.sleep(2.1)
        sent, _ = delivery.send_due(database, hook, {})
        assert [(each.attempts, each.channel) for each in sent] == [(1, "hook")]
        database.incidents.add(incident("inc-2"))
        delivery.collect(database, hook)
        _, (words,) = delivery.send_due(database, hook, {})
        assert words.endswith("404: said 404 (given up)")
    assert "blocks" in json.loads(receiver.got[0][1])
    assert Outbox(database).next_try_at_ns() is None


@pytest.mark.parametrize("status", [302, 307])
def test_a_redirect_is_not_followed_and_the_path_is_not_said(status: int) -> None:
    receiver = Receiver(status)
    with receiver.running() as url:
        channel = about(hook={"kind": "webhook", "url": url}).channels[0]
        with pytest.raises(UndeliveredError) as raised:
            channels.deliver(channel, occasions.sample(about()), {})
    assert len(receiver.got) == 1
    assert "secret" not in str(raised.value)


def test_nobody_listens() -> None:
    channel = about(hook={"kind": "slack", "url": f"http://127.0.0.1:{unused_port()}/secret"}).channels[0]
    with pytest.raises(UndeliveredError, match=r"127.0.0.1 cannot be reached: .*refused") as raised:
        channels.deliver(channel, occasions.sample(about()), {})
    assert (raised.value.lasting, "secret" in str(raised.value)) == (False, False)


MAIL = {"kind": "email", "host": "127.0.0.1", "from": "bench@x", "to": ["a@x", "b@x"]}


def test_an_email_by_smtp() -> None:
    server = Mail()
    with server.running() as port:
        table = {**MAIL, "port": port, "security": "none", "user": "me", "password_env": "PW"}
        channel = about(mail=table).channels[0]
        channels.deliver(channel, occasions.sample(about()), {"PW": "right"})
        with pytest.raises(UndeliveredError, match="wrong password") as raised:
            channels.deliver(channel, occasions.sample(about()), {"PW": "other"})
        assert raised.value.lasting
    (text,) = server.messages
    made = message_from_string(text)
    assert made["Subject"] == "loadlab: A test: nothing is wrong"
    assert made["To"] == "a@x, b@x"
    assert server.logins == ["\0me\0right", "\0me\0other"]


def test_an_email_by_starttls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("no openssl command here to make a certificate with")
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    names = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *names]
    subprocess.run([*made, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = Mail(context)
    with server.running() as port:
        channel = about(mail={**MAIL, "port": port}).channels[0]
        with pytest.raises(UndeliveredError, match="CERTIFICATE_VERIFY_FAILED"):
            channels.deliver(channel, occasions.sample(about()), {})
        server.secure = False
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        channels.deliver(channel, occasions.sample(about()), {})
    assert (server.secure, len(server.messages)) == (True, 1)


def gate(database: Store, number: int, outcome: str) -> None:
    checks = [{"rule": "ttft_ms.p50", "outcome": outcome, "words": "12 % worse", "limit": "≤ 3 %"}]
    about = {"scenario": "chat", "outcome": outcome, "reproduce": "loadlab gate run --seed 1"}
    database.add_gate(
        f"gate-{number}", outcome,
        {"gate": about, "headline": "1 of 1 rules broken", "checks": checks, "base": [],
         "candidate": ["run-c"]},
    )  # fmt: skip


def told(database: Store, hook: channels.Alerts) -> list[str]:
    delivery.collect(database, hook)
    return [letter.document["title"] for letter in reversed(Outbox(database).letters())]


def test_a_gate_is_told_of_when_it_turns(database: Store) -> None:
    hook = about(hook={"kind": "webhook", "url": "http://127.0.0.1:9"}, off={**MAIL, "on": ["job"]})
    for number, outcome in enumerate(["PASS", "FAIL", "FAIL", "INCONCLUSIVE", "INVALID"]):
        gate(database, number, outcome)
        assert told(database, hook) == ["Gate of chat failed: 1 of 1 rules broken"] * (number > 0)
    (letter,) = Outbox(database).letters()
    assert (letter.occasion, letter.channel) == ("gate-1", "hook")
    assert letter.document["facts"]["ttft_ms.p50"] == "12 % worse [≤ 3 %]"
    assert letter.document["facts"]["again"] == "loadlab gate run --seed 1"
    assert letter.document["link"] == "http://dash/gates/gate-1"
    gate(database, 6, "PASS")
    gate(database, 7, "PASS")
    assert told(database, hook)[1:] == ["Gate of chat passes again"]
    gate(database, 8, "FAIL")
    assert len(told(database, hook)) == 3


def test_a_job_is_told_of_when_it_keeps_failing(database: Store) -> None:
    hook, log = about(hook={"kind": "webhook", "url": "http://127.0.0.1:9"}), ScheduleLog(database)

    def tried(at: int, state: str, code: int | None, command: tuple[str, ...] = ("run", "chat")) -> None:
        entry = Entry("nightly", at, command, state=state, exit_code=code, told="last\nwords", ended_at_ns=at)
        assert log.book(entry)

    tried(1, "ended", 3)
    tried(2, "ended", 4)
    tried(3, "skipped", None)  # neither worked nor failed
    tried(4, "ended", 1, ("gate", "run"))  # a gate that says FAIL did its work
    tried(5, "ended", 3)
    tried(6, "lost", None)
    assert told(database, hook) == []
    tried(7, "ended", 3)
    tried(8, "ended", 3)
    assert told(database, hook) == ["Job nightly failed 3 times in a row, last with exit code 3"]
    tried(9, "stopped", 130)
    assert len(told(database, hook)) == 1
    tried(10, "ended", 0)
    assert told(database, hook)[1:] == ["Job nightly works again"]


def test_the_poster_tells_beside_a_scheduler(database: Store) -> None:
    receiver, said = Receiver(), list[str]()
    with receiver.running() as url:
        hook = about(hook={"kind": "webhook", "url": url})
        with Poster(database, hook, {}, said.append) as poster:
            database.incidents.add(incident())
            poster.nudge()
    assert len(receiver.got) == 1
    assert said == ["told hook: Regression: ttft_ms.p50 of chat on local"]


def test_two_senders_share_the_letters(database: Store, sqlite_url: str) -> None:
    receiver = Receiver()
    with receiver.running() as url:
        hook = about(hook={"kind": "webhook", "url": url})
        for number in range(12):
            database.incidents.add(incident(f"inc-{number}"))
        delivery.collect(database, hook)

        def send() -> None:
            with store.open(sqlite_url) as own:
                delivery.send_due(own, hook, {})

        senders = [threading.Thread(target=send) for _ in range(3)]
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join()
    assert len(receiver.got) == 12
    assert len({json.loads(body)["occasion"] for _, body in receiver.got}) == 12


def test_the_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    receiver = Receiver(200, 500)
    with receiver.running() as url:
        text = '[alerts.team]\nkind = "slack"\nurl_env = "TEAM_URL"\n'
        (tmp_path / "loadlab.toml").write_text(text, encoding="utf-8")
        listed = loadlab("alerts", "list", cwd=tmp_path)
        assert listed.stdout == "team  slack  incident, gate, job  NOT SET: TEAM_URL\n"
        monkeypatch.setenv("TEAM_URL", url)
        assert loadlab("alerts", "test", "team", cwd=tmp_path).returncode == 0
        refused = loadlab("alerts", "test", "team", cwd=tmp_path)
        assert (refused.returncode, re.search("answered 500", refused.stderr) is not None) == (3, True)
        with store.open(f"sqlite:///{tmp_path}/loadlab.db") as database:
            database.incidents.add(incident())
        done = loadlab("alerts", "send", "--json", cwd=tmp_path)
        assert (done.returncode, document(done)["left"]) == (0, False)
        assert [each["occasion"] for each in document(done)["sent"]] == ["incident inc-1"]
        shown = document(loadlab("alerts", "log", "--json", cwd=tmp_path))["alerts"]
        assert [each["state"] for each in shown] == ["sent"]
    stored = (tmp_path / "loadlab.db").read_bytes() + listed.stdout.encode() + refused.stderr.encode()
    assert b"secret/path" not in stored
