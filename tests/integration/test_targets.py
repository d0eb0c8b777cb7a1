"""`loadlab targets` and `loadlab chat` over real sockets: what is said of good, bad and odd endpoints."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from loadlab.testing.faults import RETRY_AFTER_S, TEXT, WORDS
from loadlab.testing.faulty import FaultyServer
from loadlab.testing.vendor_server import VendorServer
from loadlab.testing.vendors import MODEL, vendor
from tests.integration.conftest import LOADLAB, Sim, document, loadlab

FIRST_S, GAP_S = 0.06, 0.01


def checks(done: subprocess.CompletedProcess[str]) -> dict[str, dict[str, Any]]:
    """What was found, by name."""
    return {check["name"]: check for check in document(done)["checks"]}


def looked_at(
    folder: Path, url: str, *flags: str, code: int = 0, env: Mapping[str, str] | None = None
) -> dict[str, dict[str, Any]]:
    done = subprocess.run(
        [*LOADLAB, "targets", "test", "--url", url, "--json", *flags],
        cwd=folder, capture_output=True, text=True, timeout=60, check=False,
        env={**os.environ, **(env or {})},
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    assert document(done)["works"] == (code == 0)
    return checks(done)


class _Obedient(BaseHTTPRequestHandler):
    """Answers "yes", or exactly as long as it is told; its clock is two minutes fast."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._say("application/json", b'{"data": [{"id": "small"}]}')

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        count = asked["max_tokens"] if asked.get("ignore_eos") else 1
        events: list[dict[str, Any]] = [{"choices": [{"delta": {"content": "yes "}}]}] * count
        events.append({"choices": [{"delta": {}, "finish_reason": "stop"}]})
        events.append({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": count}})
        self._say("text/event-stream", b"".join(b"data: %s\n\n" % json.dumps(one).encode() for one in events))

    def date_time_string(self, timestamp: float | None = None) -> str:
        return formatdate(time.time() + 120, usegmt=True)

    def _say(self, kind: str, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("x-ratelimit-remaining-requests", "41")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        pass


@contextmanager
def obedient() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Obedient)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


def test_a_good_target_in_plain_words(sim: Sim, tmp_path: Path) -> None:
    done = loadlab("targets", "test", "--url", sim.url, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    said = {line.split()[1]: line for line in done.stdout.splitlines()}
    assert list(said) == ["reach", "key", "answer", "stream", "usage", "length", "limits", "clock"]
    assert said["reach"].startswith("ok ")
    assert "none is given and none is wanted" in said["key"]
    assert "32 pieces in " in said["stream"]
    assert "output 32" in said["usage"]
    assert "the server's clock agrees with ours" in said["clock"]


def test_exact_length_clock_and_rate_limits_are_told(tmp_path: Path) -> None:
    with obedient() as url:
        found = looked_at(tmp_path, url)
    assert found["length"]["state"] == "ok"
    assert found["length"]["facts"] == {"asked": 32, "got": 32, "count_source": "usage", "unasked": 1}
    assert found["clock"]["state"] == "note"
    assert found["clock"]["facts"]["ahead_s_least"] < 120 < found["clock"]["facts"]["ahead_s_most"]
    assert "ahead of ours" in found["clock"]["words"]
    assert found["limits"]["facts"]["headers"] == {"x-ratelimit-remaining-requests": "41"}


def test_a_language_without_exact_length_says_so(tmp_path: Path) -> None:
    with VendorServer(vendor("anthropic"), first_s=FIRST_S, gap_s=GAP_S) as server:
        found = looked_at(tmp_path, server.url, "--dialect", "anthropic", "--model", MODEL)
    assert found["stream"]["state"] == "ok"
    assert found["stream"]["facts"]["ttft_ms"] >= FIRST_S * 1000
    assert found["usage"]["facts"]["prompt_tokens"] == vendor("anthropic").usage.prompt_tokens
    assert "cannot be asked for here" in found["length"]["words"]
    assert len(server.asked) == 2


def test_a_server_that_ignores_an_exact_length_is_found_out(tmp_path: Path) -> None:
    with VendorServer(vendor("openai-chat"), first_s=0.0, gap_s=0.0) as server:
        found = looked_at(tmp_path, server.url, "--model", MODEL)
    assert found["length"]["state"] == "note"
    assert "asked for exactly 32 tokens, got 4" in found["length"]["words"]


@pytest.mark.parametrize("name", ["openai-embeddings", "deepgram-live", "openai-speech", "triton"])
def test_other_kinds_of_endpoint(name: str, tmp_path: Path) -> None:
    with VendorServer(vendor(name), first_s=0.0, gap_s=GAP_S) as server:
        found = looked_at(tmp_path, server.url, "--dialect", name, "--model", MODEL)
    assert found["answer"]["state"] == "ok"
    assert found["stream"]["state"] == ("note" if name == "openai-embeddings" else "ok")
    assert ("audio_s" in found["usage"]["facts"]) == (name in ("deepgram-live", "openai-speech"))
    assert (found["usage"]["state"] == "note") == (name == "triton")


STOPPED: dict[str, tuple[dict[str, Any], str, str]] = {
    "a wrong key": ({"key": "right"}, "key", "check $THE_KEY"),
    "a temperature": ({"refuses": "temperature"}, "request", 'give fields = { temperature = "" }'),
    "no stream": ({"whole": True}, "stream", "does not stream"),
}


@pytest.mark.parametrize("case", STOPPED)
def test_what_stops_a_load_is_named(case: str, tmp_path: Path) -> None:
    settings, name, words = STOPPED[case]
    with VendorServer(vendor("openai-chat"), first_s=0.0, **settings) as server:
        flags = ("--model", MODEL, "--api-key-env", "THE_KEY")
        found = looked_at(tmp_path, server.url, *flags, code=3, env={"THE_KEY": "wrong"})
    assert found["reach"]["state"] == "ok"
    assert found[name]["state"] == "problem"
    assert words in found[name]["words"]
    assert "stream" not in found or name == "stream"


def test_an_accepted_key_is_named_and_not_shown(tmp_path: Path) -> None:
    with VendorServer(vendor("openai-chat"), first_s=0.0, key="sk-right") as server:
        flags = ("--model", MODEL, "--api-key-env", "THE_KEY")
        found = looked_at(tmp_path, server.url, *flags, env={"THE_KEY": "sk-right"})
    assert found["key"]["words"] == "the key in $THE_KEY is accepted"
    assert "sk-right" not in json.dumps(found)


def test_nobody_there_and_a_busy_server(tmp_path: Path, free_port: int) -> None:
    found = looked_at(tmp_path, f"http://127.0.0.1:{free_port}/v1", code=3)
    assert list(found) == ["reach"]
    assert "is the server up?" in found["reach"]["words"]
    with FaultyServer() as server:
        busy = looked_at(tmp_path, server.url("429"), code=3)
        cut = looked_at(tmp_path, server.url("ok", "ok", "truncated"))
    assert "http_429" in busy["answer"]["words"]
    assert busy["limits"]["facts"]["headers"] == {"retry-after": str(RETRY_AFTER_S)}
    assert cut["clock"]["words"] == "the server gives no usable Date header"
    assert "fails (truncated: " in cut["length"]["words"]


def test_targets_are_listed_with_what_they_lack(tmp_path: Path) -> None:
    (tmp_path / "loadlab.toml").write_text(
        '[targets.mine]\nurl = "http://127.0.0.1:8000/v1"\nmodel = "m"\napi_key_env = "NO_SUCH_KEY_SET"\n'
        '[targets.azure]\nprofile = "azure-openai"\n'
    )
    done = loadlab("targets", "list", cwd=tmp_path)
    mine, azure = done.stdout.splitlines()
    assert mine.split() == [
        "mine", "openai-chat", "http://127.0.0.1:8000/v1", "m", "$NO_SUCH_KEY_SET", "is", "NOT", "set",
    ]  # fmt: skip
    assert "wants to know the resource" in azure
    listed = document(loadlab("targets", "list", "--all", "--json", cwd=tmp_path))["targets"]
    assert {"mine", "azure", "groq", "ollama"} <= {row["name"] for row in listed}
    unknown = loadlab("targets", "test", "mime", cwd=tmp_path)
    assert (unknown.returncode, unknown.stdout) == (2, "")
    assert "did you mean 'mine'?" in unknown.stderr


def test_a_chat_prints_answer_and_timeline(sim: Sim, tmp_path: Path) -> None:
    done = loadlab("chat", "hello", "--url", sim.url, "--max-tokens", "12", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    answer, _, timeline = done.stdout.partition("\n\n")
    assert len(answer.split()) == 12
    rows = [line[:16].strip() for line in timeline.splitlines()]
    assert rows == [
        "connect", "sent", "first byte", "first event", "first token", "first answer", "last token", "done",
        "gaps", "usage", "cost",
    ]  # fmt: skip
    assert list(tmp_path.iterdir()) == []


def test_a_chat_as_json_is_priced_and_in_order(tmp_path: Path) -> None:
    (tmp_path / "loadlab.toml").write_text(
        '[prices.mine]\nas_of = 2026-11-01\nsource = "a test"\n'
        "input_usd_per_mtok = 1.0\noutput_usd_per_mtok = 1000.0\n"
    )
    with VendorServer(vendor("openai-chat"), first_s=FIRST_S, gap_s=GAP_S, words=6) as server:
        flags = ("--url", server.url, "--model", MODEL, "--price", "mine", "--json")
        said = document(loadlab("chat", "hello", *flags, cwd=tmp_path))
    assert len(server.asked) == 1
    assert said["output"]["answer"] == "word0 word1 word2 word3 word4 word5 "
    line = said["timeline"]
    assert line["first_byte_ms"] <= line["first_event_ms"] < line["first_token_ms"]
    assert line["first_token_ms"] >= FIRST_S * 1000
    assert line["first_token_ms"] == line["first_answer_ms"] < line["last_token_ms"] <= line["done_ms"]
    assert said["gaps"]["n"] == 5
    assert said["usage"]["output_tokens"] == 4
    assert said["cost_usd"] == pytest.approx((11 * 1.0 + 4 * 1000.0) / 1e6)


@pytest.mark.parametrize(
    ("fault", "words"),
    [("truncated", "truncated"), ("404", "there is no openai-chat at"), ("503", "http_503")],
)
def test_a_chat_that_fails_says_what_and_keeps_what_came(fault: str, words: str, tmp_path: Path) -> None:
    with FaultyServer() as server:
        done = loadlab("chat", "hello", "--url", server.url(fault), "--json", cwd=tmp_path)
    assert done.returncode == 3
    assert words in done.stderr
    assert done.stderr.count("\n") == 1
    said = document(done)
    assert said["error_kind"] == (fault if fault == "truncated" else f"http_{fault}")
    if fault == "truncated":
        half = "".join(f"word{number} " for number in range(WORDS // 2))
        assert said["output"]["answer"] == half
        assert TEXT.startswith(half)


def test_a_chat_that_is_stopped_keeps_what_came(tmp_path: Path) -> None:
    with FaultyServer() as server:
        command = [*LOADLAB, "chat", "hello", "--url", server.url("hang_midway")]
        with subprocess.Popen(
            command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout
            assert process.stdout.read(5) == "word0"
            process.send_signal(signal.SIGINT)
            _, error = process.communicate(timeout=30)
    assert (process.returncode, error) == (130, "error: stopped before the answer was complete.\n")


def test_a_chat_with_an_answer_in_one_piece_shows_it(tmp_path: Path) -> None:
    with VendorServer(vendor("openai-embeddings"), first_s=0.0) as server:
        flags = ("--url", server.url, "--model", MODEL, "--dialect", "openai-embeddings")
        done = loadlab("chat", "hello", *flags, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert '"embedding"' in done.stdout.partition("\n\n")[0]
