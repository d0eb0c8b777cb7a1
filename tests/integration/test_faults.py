"""Faults through the real command line: each is a row of its kind, none hangs, none spoils its neighbours."""

from __future__ import annotations

import json
import signal
import ssl
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from loadlab import dialects, store
from loadlab.core.nouns import Endpoint, Exchange, Request, Timeouts
from loadlab.testing.faults import PROMPT_TOKENS, RETRY_AFTER_S, TEXT, WORDS
from loadlab.testing.faulty import FaultyServer
from loadlab.wire.client import Client
from tests.integration.conftest import document, loadlab

OK = None
# In this order no fault but the last meets a kept connection: there, the client would try again.
KINDS: list[tuple[str, str | None]] = [
    ("reset", "reset"), ("close", "reset"), ("reset_midway", "reset"), ("truncated", "truncated"),
    ("not_http", "protocol"), ("hang", "first_byte_timeout"), ("hang_midway", "stall_timeout"),
    ("gzipped", "protocol"), ("unfinished", "truncated"), ("stream_error", "stream_error"),
    ("garbage", "protocol"), ("strange", "protocol"), ("odd_usage", OK), ("404", "http_404"),
    ("500", "http_500"), ("429", "http_429"), ("302", "http_302"), ("huge", OK),
    ("drip", OK), ("comments", OK), ("chatter", OK), ("ok", OK),
    ("reset", OK), ("ok", OK),
]  # fmt: skip


def run(folder: Path, url: str, *flags: str, timeout_s: float = 60) -> tuple[dict[str, Any], pd.DataFrame]:
    """The document of a run and its rows, in the order in which they were begun."""
    done = loadlab(
        "run",
        "chat",
        "--url",
        url,
        *flags,
        "--db",
        "sqlite:///f.db",
        "--metrics-url",
        "none",
        "--json",
        cwd=folder,
        timeout_s=timeout_s,
    )
    assert done.returncode in (0, 4), done.stderr
    database = store.open(f"sqlite:///{folder}/f.db")
    printed = document(done)
    rows = database.requests(printed["run"]["id"]).sort_values(["worker", "seq"])
    database.close()
    return printed["levels"][0]["requests"], rows.reset_index(drop=True)


def kinds(rows: pd.DataFrame) -> list[str | None]:
    return [None if pd.isna(kind) else str(kind) for kind in rows.error_kind]


@pytest.fixture(scope="module")
def server() -> Iterator[FaultyServer]:
    with FaultyServer() as running:
        yield running


@pytest.fixture(scope="module")
def every(server: FaultyServer, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, pd.DataFrame]:
    """One user who meets every fault in turn; the one that is tried again takes two turns."""
    return run(
        tmp_path_factory.mktemp("every"), server.url(*(name for name, _ in KINDS)),
        "--users", "1", "--requests", str(len(KINDS) - 1), "--timeout", "10s",
        "--first-byte-timeout", "0.3s", "--stall-timeout", "0.3s",
    )  # fmt: skip


def row_of(every: tuple[Any, pd.DataFrame], fault: str) -> Any:
    return every[1].iloc[[name for name, _ in KINDS].index(fault)]


def test_every_fault_is_a_row_of_its_kind(every: tuple[Any, pd.DataFrame]) -> None:
    requests, rows = every
    expected = [kind for _, kind in KINDS[:-1]]
    assert dict(zip(KINDS[:-1], kinds(rows), strict=True)) == dict(zip(KINDS[:-1], expected, strict=True))
    failures = Counter(kind for kind in expected if kind)
    assert requests["errors"] == failures
    assert requests["sent"] == len(KINDS) - 1 == requests["ok"] + sum(failures.values())


@pytest.mark.parametrize("fault", [name for name, kind in KINDS if kind])
def test_every_failure_has_words_and_an_end(every: tuple[Any, pd.DataFrame], fault: str) -> None:
    row = row_of(every, fault)
    assert row.error_detail
    assert row.done_ns >= row.planned_ns


@pytest.mark.parametrize("fault", ["huge", "drip", "comments", "chatter", "ok"])
def test_a_strange_but_complete_answer_counts_in_full(every: tuple[Any, pd.DataFrame], fault: str) -> None:
    row = row_of(every, fault)
    assert (row.chunks, row.output_tokens, row.prompt_tokens) == (WORDS, WORDS, PROMPT_TOKENS)
    assert (row.count_source, row.finish_reason) == ("usage", "stop")


def test_usage_that_is_no_number_is_not_believed(every: tuple[Any, pd.DataFrame]) -> None:
    row = row_of(every, "odd_usage")
    assert (row.output_tokens, row.count_source) == (WORDS, "chunks")
    assert pd.isna(row.prompt_tokens)


def test_what_came_before_a_failure_is_kept(every: tuple[Any, pd.DataFrame]) -> None:
    for fault in ("reset_midway", "truncated", "hang_midway", "stream_error", "garbage", "strange"):
        assert row_of(every, fault).chunks == WORDS // 2, fault


def test_comments_are_no_token(every: tuple[Any, pd.DataFrame], server: FaultyServer) -> None:
    row = row_of(every, "comments")
    assert (row.first_token_ns - row.sent_ns) / 1e9 > server.quiet_s * 0.95
    assert (row.first_byte_ns - row.sent_ns) / 1e9 < server.quiet_s / 2
    assert row.first_event_ns == row.first_token_ns


def test_a_refusal_says_what_the_server_said(every: tuple[Any, pd.DataFrame]) -> None:
    row = row_of(every, "429")
    assert "refused with 429" in row.error_detail
    assert f"retry after {RETRY_AFTER_S} s" in row.error_detail
    assert "https://elsewhere.example/v1" in row_of(every, "302").error_detail
    assert row_of(every, "stream_error").error_detail == "the engine died"
    assert "gzip" in row_of(every, "gzipped").error_detail


def test_what_is_tried_again_is_counted(every: tuple[Any, pd.DataFrame]) -> None:
    assert every[1].retries.sum() == every[1].retries.iloc[-1] == 1


def test_good_requests_beside_bad_ones_stay_right(server: FaultyServer, tmp_path: Path) -> None:
    mix = ("ok", "truncated", "garbage", "ok", "stream_error", "503", "unfinished", "ok", "hang_midway", "ok")
    before = Counter(server.asked)
    requests, rows = run(
        tmp_path, server.url(*mix), "--users", "20", "--requests", "200", "--timeout", "500ms"
    )
    assert len(rows) == requests["sent"] == 200
    good = rows[rows.error_kind.isna()]
    assert (good.chunks == WORDS).all()
    assert (good.output_tokens == WORDS).all()
    asked = Counter(server.asked) - before
    assert asked["ok"] == len(good) == requests["ok"]
    assert requests["errors"] == {
        "truncated": asked["truncated"] + asked["unfinished"], "protocol": asked["garbage"],
        "stream_error": asked["stream_error"], "http_503": asked["503"], "timeout": asked["hang_midway"],
    }  # fmt: skip
    assert asked.total() == 200


@contextmanager
def server_of_its_own() -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A faulty server in a process of its own, and the root of its URLs."""
    command = [sys.executable, "-m", "loadlab.testing.faulty"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            lines = iter(process.stdout.readline, "}\n")
            yield process, json.loads("".join(lines) + "}")["url"].removesuffix("/ok/v1")
        finally:
            process.kill()


def test_a_server_killed_mid_run(tmp_path: Path) -> None:
    with server_of_its_own() as (process, root):
        url = f"{root}/{'ok,' * 30}comments,comments,killed/v1"
        requests, rows = run(tmp_path, url, "--users", "3", "--requests", "60")
        assert process.wait(timeout=5) == -signal.SIGKILL
    assert len(rows) == requests["sent"] == 60
    assert requests["ok"] == 30
    broken = requests["errors"]
    assert sum(broken.values()) == 30
    # Three were in flight; a dying process takes its listener down last, so a few more may have got in.
    assert 20 <= broken.pop("connect_refused") <= 27
    assert set(broken) <= {"reset", "truncated"}


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    cert = tmp_path / "cert.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=here"]
    names = [
        "-addext",
        "subjectAltName=IP:127.0.0.1",
        "-keyout",
        str(tmp_path / "key.pem"),
        "-out",
        str(cert),
    ]
    try:
        subprocess.run([*command, *names], check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("no openssl command here to make a certificate with")
    return cert


def test_tls_that_fails_now_and_then(certificate: Path, tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_name("key.pem"))
    with FaultyServer(tls=context, broken_handshakes=2) as server:
        requests, rows = run(
            tmp_path, server.url("ok", "truncated"), "--users", "1", "--requests", "6",
            "--ca-file", str(certificate),
        )  # fmt: skip
    # The pre-flight has the first connection, every second one breaks, and a truncated answer ends its own.
    assert kinds(rows) == ["tls", None, "truncated", "tls", None, "truncated"]
    assert requests["sent"] == 6


def test_names_that_resolve_now_and_then(
    server: FaultyServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "flaky.py").write_text(
        "import itertools, socket\n"
        "from gevent.resolver.thread import Resolver as Threads\n"
        "class Resolver(Threads):\n"
        "    turns = itertools.cycle((False, True))\n"
        "    def getaddrinfo(self, *asked):\n"
        "        if next(self.turns):\n"
        "            raise socket.gaierror(socket.EAI_AGAIN, 'Temporary failure in name resolution')\n"
        "        return super().getaddrinfo(*asked)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
    monkeypatch.setenv("GEVENT_RESOLVER", "flaky.Resolver")
    requests, rows = run(
        tmp_path, server.url("truncated").replace("127.0.0.1", "localhost"), "--users", "1", "--requests", "4"
    )
    assert kinds(rows) == ["truncated", "dns", "truncated", "dns"]
    assert requests["sent"] == 4
    assert "Temporary failure" in rows.error_detail[1]


@pytest.mark.parametrize("url", ["http://no-such-host.invalid/v1", "http://127.0.0.1:9/v1"])
def test_a_target_that_is_not_there_is_said_before_the_run(url: str, tmp_path: Path) -> None:
    done = loadlab("run", "chat", "--url", url, "--users", "1", "--requests", "1", "--json", cwd=tmp_path)
    assert done.returncode == 3
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize("fault", ["ok", "drip", "comments", "chatter"])
def test_the_text_is_right(server: FaultyServer, fault: str) -> None:
    dialect = dialects.get("openai-chat")
    call = dialect.encode(Endpoint(server.url(fault), "faulty"), Request(prompt="Hi"))
    client = Client()
    exchange = client.send(call, Exchange(0, 0, 0, time.perf_counter_ns()), Timeouts())
    client.close()
    decoder = dialect.decoder(exchange.content_type)
    deltas = [delta for _, data in exchange.reads for delta in decoder.feed(data)]
    assert "".join(delta.text for delta in deltas) == TEXT
    assert decoder.complete


@pytest.mark.slow
def test_a_minute_of_comments(tmp_path: Path) -> None:
    with FaultyServer(quiet_s=60) as server:
        requests, rows = run(
            tmp_path, server.url("comments"), "--users", "2", "--requests", "2", "--timeout", "80s",
            "--stall-timeout", "5s", timeout_s=100,
        )  # fmt: skip
    assert requests["ok"] == 2
    assert ((rows.first_token_ns - rows.sent_ns) / 1e9 > 59).all()
