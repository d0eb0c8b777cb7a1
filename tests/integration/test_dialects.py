"""Every dialect end to end: a server that speaks it over real sockets, and `loadlab run` against it."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from loadlab import dialects, store
from loadlab.testing.vendor_server import VendorServer
from loadlab.testing.vendors import MODEL, vendor
from tests.integration.conftest import LOADLAB

REQUESTS, WORDS, FIRST_S, GAP_S = 4, 6, 0.06, 0.01
LISTENING = ("openai-transcription", "deepgram-listen", "deepgram-live")
SHORT = ("--requests", "3", "--db", "sqlite:///x.db", "--json")


def run(
    folder: Path, url: str, dialect: str, *flags: str, key: str | None = None
) -> subprocess.CompletedProcess[str]:
    scenario = "transcribe" if dialect in LISTENING else "chat"
    return subprocess.run(
        [
            *LOADLAB, "run", scenario, "--url", url, "--dialect", dialect, "--model", MODEL, "--requests",
            str(REQUESTS), "--users", "2", "--db", "sqlite:///x.db", "--json", *flags,
        ],
        cwd=folder, capture_output=True, text=True, timeout=60, check=False,
        env={**os.environ, **({"THE_KEY": key} if key else {})},
    )  # fmt: skip


def rows_of(folder: Path, done: subprocess.CompletedProcess[str]) -> pd.DataFrame:
    assert done.stdout, done.stderr
    run_id = json.loads(done.stdout)["run"]["id"]
    with store.open(f"sqlite:///{folder}/x.db") as database:
        return database.requests(run_id)


@pytest.mark.parametrize("name", dialects.DIALECTS)
def test_a_run_end_to_end(name: str, tmp_path: Path) -> None:
    known = vendor(name)
    with VendorServer(known, first_s=FIRST_S, gap_s=GAP_S, words=WORDS) as server:
        rows = rows_of(tmp_path, run(tmp_path, server.url, name))
    assert list(rows.error_kind.dropna()) == []
    assert len(rows) == REQUESTS
    for counted, value in known.usage._asdict().items():
        if counted != "output_tokens":
            _all(rows, counted, value)
    if known.usage.output_tokens is not None:
        _all(rows, "output_tokens", known.usage.output_tokens)
        assert set(rows.count_source) == {"usage"}
    if known.timings and known.answers:
        assert all(kept == known.timings for kept in rows.server_timings)
    if known.sound or name in LISTENING:
        assert (rows.audio_s > 0).all()
    if known.answers is None:
        assert rows.first_token_ns.isna().all()
        assert ((rows.done_ns - rows.sent_ns) / 1e9 >= FIRST_S).all()
        return
    # What was sent before the first output is no output: it is there, and the first token is still to come.
    assert ((rows.first_token_ns - rows.sent_ns) / 1e9 >= FIRST_S).all()
    assert ((rows.last_token_ns - rows.sent_ns) / 1e9 >= FIRST_S + (WORDS - 1) * GAP_S).all()
    assert (rows.chunks == WORDS).all()


def _all(rows: pd.DataFrame, column: str, value: Any) -> None:
    assert rows[column].isna().all() if value is None else (rows[column] == value).all(), column


BAD = {
    "a wrong key": (
        {"key": "right"},
        (),
        "refused the key (HTTP 401: this key is not known); check $THE_KEY",
    ),
    "a wrong model": ({}, ("--model", "other"), "does not serve model 'other'"),
    "a wrong path": ({}, ("--url", "URL/nowhere"), "there is no DIALECT at"),
    "a temperature": ({"refuses": "temperature"}, (), 'give fields = { temperature = "" } in [targets.'),
    "no stream": ({"whole": True}, (), "does not stream: it answered in one piece"),
}


@pytest.mark.parametrize("name", ["openai-chat", "anthropic", "ollama"])
@pytest.mark.parametrize("case", BAD)
def test_bad_input_ends_with_one_clear_line(case: str, name: str, tmp_path: Path) -> None:
    settings, flags, words = BAD[case]
    with VendorServer(vendor(name), first_s=0.0, **settings) as server:
        flags = tuple(flag.replace("URL", server.url) for flag in flags)
        done = run(tmp_path, server.url, name, "--api-key-env", "THE_KEY", *flags, key="wrong")
    assert (done.returncode, done.stdout) == (3, ""), done.stderr
    assert words.replace("DIALECT", name) in done.stderr
    assert done.stderr.count("\n") == 1, done.stderr


def test_an_endpoint_that_does_not_stream_is_measured_whole(tmp_path: Path) -> None:
    with VendorServer(vendor("openai-chat"), first_s=FIRST_S, whole=True) as server:
        (tmp_path / "loadlab.toml").write_text(
            f'[targets.batch]\nurl = "{server.url}"\nmodel = "{MODEL}"\nstream = false\n'
        )
        done = subprocess.run(
            [*LOADLAB, "run", "chat", "--target", "batch", *SHORT],
            cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        rows = rows_of(tmp_path, done)
    assert list(rows.error_kind.dropna()) == []
    assert rows.first_token_ns.isna().all()
    assert ((rows.done_ns - rows.sent_ns) / 1e9 >= FIRST_S).all()


def test_a_profile_sends_the_key_in_the_vendors_header(tmp_path: Path) -> None:
    with VendorServer(vendor("anthropic"), first_s=0.0, words=2, key="sk-1") as server:
        (tmp_path / "loadlab.toml").write_text(
            f'[targets.mine]\nprofile = "anthropic"\nurl = "{server.url}"\nmodel = "{MODEL}"\n'
            'api_key_env = "THE_KEY"\n'
        )
        done = subprocess.run(
            [*LOADLAB, "run", "chat", "--target", "mine", *SHORT],
            cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
            env={**os.environ, "THE_KEY": "sk-1"},
        )  # fmt: skip
        rows = rows_of(tmp_path, done)
    assert list(rows.error_kind.dropna()) == []
    assert {headers.get("x-api-key") for headers in server.asked} == {"sk-1"}
    assert "sk-1" not in (tmp_path / "x.db").read_bytes().decode("latin-1")


def test_an_exact_length_is_asked_for_in_the_servers_words(tmp_path: Path) -> None:
    with VendorServer(vendor("sglang"), first_s=0.0, words=2) as server:
        done = run(tmp_path, server.url, "sglang", "--exact-length", "--max-tokens", "9")
    assert list(rows_of(tmp_path, done).error_kind.dropna()) == []
    load = [json.loads(body) for body in server.bodies[1:]]  # the first was the pre-flight's
    assert {body["sampling_params"]["min_new_tokens"] for body in load} == {9}
    assert all(body["sampling_params"]["ignore_eos"] for body in load)


def test_a_call_to_aws_is_signed(tmp_path: Path) -> None:
    with VendorServer(vendor("sagemaker"), first_s=0.0, words=2, key="AWS4-HMAC-SHA256") as server:
        (tmp_path / "loadlab.toml").write_text(
            f'[targets.mine]\nprofile = "sagemaker"\nurl = "{server.url}"\nmodel = "{MODEL}"\n'
            'params = { region = "eu-west-1" }\n'
        )
        keys = {"AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "very-secret"}
        done = subprocess.run(
            [*LOADLAB, "run", "chat", "--target", "mine", *SHORT],
            cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False, env={**os.environ, **keys},
        )  # fmt: skip
        rows = rows_of(tmp_path, done)
    assert list(rows.error_kind.dropna()) == []
    scope = "/eu-west-1/sagemaker/aws4_request, SignedHeaders="
    assert all(scope in headers["authorization"] for headers in server.asked)
    assert all(headers["x-amz-date"] for headers in server.asked)
    assert "very-secret" not in (tmp_path / "x.db").read_bytes().decode("latin-1")
