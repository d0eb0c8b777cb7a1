"""Credentials that end: asked for at real token servers, renewed in time, and never seen in the store."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from aiohttp import web

from loadlab import store
from loadlab.core.errors import LoadlabError, TargetError, UsageError
from loadlab.core.nouns import Endpoint
from loadlab.testing.vendor_server import VendorServer
from loadlab.testing.vendors import MODEL, vendor
from loadlab.wire import auth, aws, entra, google
from tests.integration.conftest import LOADLAB
from tests.integration.token_server import TokenServer

AZURE = Endpoint("http://here", "m", name="mine", auth="entra")
VERTEX = Endpoint("http://here", "m", name="mine", auth="google")
AMAZON = Endpoint("http://here", "m", name="mine", auth="aws:sagemaker", params={"region": "eu-west-1"})
CLIENT = {"AZURE_TENANT_ID": "acme", "AZURE_CLIENT_ID": "us", "AZURE_CLIENT_SECRET": "very-secret"}
_OURS = ("AZURE_", "GOOGLE_", "AWS_", "IDENTITY_", "GCE_", "CLOUDSDK_")


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An environment in which nobody is known anywhere."""
    for name in os.environ:
        if name.startswith(_OURS):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    auth._asked.clear()


def given(monkeypatch: pytest.MonkeyPatch, variables: Mapping[str, str]) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


def service_account(folder: Path, token_url: str) -> Path:
    """A key file as Google gives them out, of a key made here."""
    rsa = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.rsa", reason="extra gcp")
    from cryptography.hazmat.primitives import serialization

    pem = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    about = {
        "type": "service_account", "project_id": "acme", "private_key_id": "1", "private_key": pem.decode(),
        "client_email": "load@acme.iam.gserviceaccount.com", "client_id": "1", "token_uri": token_url,
    }  # fmt: skip
    path = folder / "account.json"
    path.write_text(json.dumps(about))
    return path


def test_a_client_secret_gets_an_entra_token(monkeypatch: pytest.MonkeyPatch) -> None:
    with TokenServer() as server:
        given(monkeypatch, {**CLIENT, "AZURE_AUTHORITY_HOST": server.url})
        credential = entra.fetch(AZURE)
    path, form, _ = server.asked[0]
    assert path == "/acme/oauth2/v2.0/token"
    assert form == {
        "grant_type": "client_credentials", "client_id": "us", "client_secret": "very-secret",
        "scope": "https://cognitiveservices.azure.com/.default",
    }  # fmt: skip
    assert credential.parts == {"token": "token-1"}
    assert credential.expires_s == pytest.approx(time.time() + 3600, abs=30)
    assert "token-1" not in repr(credential)


def test_a_cluster_proves_itself_by_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "jwt").write_text("federated\n")
    with TokenServer() as server:
        given(monkeypatch, {**CLIENT, "AZURE_AUTHORITY_HOST": server.url})
        monkeypatch.delenv("AZURE_CLIENT_SECRET")
        monkeypatch.setenv("AZURE_FEDERATED_TOKEN_FILE", str(tmp_path / "jwt"))
        assert entra.fetch(AZURE).parts == {"token": "token-1"}
    assert server.asked[0][1]["client_assertion"] == "federated"


@pytest.mark.parametrize("kind", ["virtual machine", "app service"])
def test_a_machine_has_an_identity(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with TokenServer(epoch=True) as server:
        if kind == "app service":
            given(monkeypatch, {"IDENTITY_ENDPOINT": f"{server.url}/msi/token", "IDENTITY_HEADER": "proof"})
        else:
            monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", server.url)
        credential = entra.fetch(AZURE)
    path, query, headers = server.asked[0]
    assert query["resource"] == "https://cognitiveservices.azure.com"
    if kind == "app service":
        assert (path, headers["x-identity-header"]) == ("/msi/token", "proof")
    else:
        assert (path, headers["metadata"]) == ("/metadata/identity/oauth2/token", "true")
    assert credential.expires_s == pytest.approx(time.time() + 3600, abs=30)


def test_a_service_account_gets_a_google_token(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with TokenServer() as server:
        path = service_account(tmp_path, f"{server.url}/token")
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
        credential = google.fetch(VERTEX)
    assert credential.parts == {"token": "token-1"}
    assert credential.expires_s == pytest.approx(time.time() + 3600, abs=30)
    assert server.asked[0][1]["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"


def test_aws_keys_come_from_the_chain(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("botocore", reason="extra aws")
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "credentials").write_text(
        "[load]\naws_access_key_id = AKID\naws_secret_access_key = s\naws_session_token = t\n"
    )
    monkeypatch.setenv("AWS_PROFILE", "load")
    assert aws.given(AMAZON) is None
    assert aws.fetch(AMAZON).parts == {"key_id": "AKID", "secret": "s", "token": "t"}


def test_aws_keys_of_a_program_end_when_it_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("botocore", reason="extra aws")
    keys = {"Version": 1, "AccessKeyId": "AKID", "SecretAccessKey": "s", "SessionToken": "t",
            "Expiration": "2099-01-01T00:00:00Z"}  # fmt: skip
    (tmp_path / "keys.json").write_text(json.dumps(keys))
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "config").write_text(
        f"[profile load]\ncredential_process = cat {tmp_path}/keys.json\n"
    )
    monkeypatch.setenv("AWS_PROFILE", "load")
    assert aws.fetch(AMAZON).expires_s == 4070908800


def test_without_botocore_the_command_line_of_aws_exports(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    command = tmp_path / "aws"
    command.write_text('#!/bin/sh\necho \'{"Version": 1, "AccessKeyId": "AKID", "SecretAccessKey": "s"}\'\n')
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setitem(sys.modules, "botocore.session", None)
    assert aws.fetch(AMAZON).parts == {"key_id": "AKID", "secret": "s", "token": ""}


@pytest.mark.parametrize(
    ("source", "endpoint", "module", "extra"),
    [(google, VERTEX, "google.auth", "gcp"), (aws, AMAZON, "botocore.session", "aws")],
)
def test_a_missing_extra_says_what_to_install(
    source: Any, endpoint: Endpoint, module: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(UsageError, match=rf"pip install 'loadlab\[{extra}\]'") as refused:
        source.fetch(endpoint)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("source", "endpoint", "variables", "kind", "words"),
    [
        (entra, AZURE, {"AZURE_POD_IDENTITY_AUTHORITY_HOST": "http://127.0.0.1:9"}, UsageError,
         "export AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET"),
        (entra, AZURE, {**CLIENT, "AZURE_AUTHORITY_HOST": "http://example.com"}, UsageError, "is not https"),
        (google, VERTEX, {"GOOGLE_APPLICATION_CREDENTIALS": "/nowhere.json"}, UsageError, "gcloud auth"),
        (aws, AMAZON, {}, UsageError, "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"),
    ],
)  # fmt: skip
def test_what_is_not_there_is_said(
    source: Any, endpoint: Endpoint, variables: dict[str, str], kind: type[LoadlabError], words: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    given(monkeypatch, variables)
    with pytest.raises(kind, match=words) as refused:
        source.fetch(endpoint)
    assert "\n" not in str(refused.value)
    assert "very-secret" not in str(refused.value)


def test_a_refused_secret_is_said_in_the_servers_words(monkeypatch: pytest.MonkeyPatch) -> None:
    with TokenServer(refuses="AADSTS7000215: Invalid client secret provided.\r\nTrace ID: 1") as server:
        given(monkeypatch, {**CLIENT, "AZURE_AUTHORITY_HOST": server.url})
        with pytest.raises(TargetError, match=r"HTTP 401: AADSTS7000215: Invalid client secret provided\.\)"):
            entra.fetch(AZURE)


@dataclass(slots=True)
class Guarded(VendorServer):
    """A vendor that takes no token but one that is good now."""

    tokens: TokenServer | None = None

    def _refusal(self, request: web.Request, raw: bytes) -> web.Response | None:
        assert self.tokens
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if not self.tokens.good(token):
            return self._no(401, "the token has expired")
        return VendorServer._refusal(self, request, raw)


@pytest.mark.parametrize("kind", ["entra", "google"])
def test_a_load_runs_across_the_end_of_its_token(kind: str, tmp_path: Path) -> None:
    name = "openai-chat" if kind == "entra" else "gemini"
    with TokenServer(lasts_s=2.0) as tokens, Guarded(vendor(name), gap_s=0.02, tokens=tokens) as server:
        (tmp_path / "loadlab.toml").write_text(
            f'[targets.mine]\nurl = "{server.url}"\nmodel = "{MODEL}"\ndialect = "{name}"\nauth = "{kind}"\n'
        )
        variables = {**CLIENT, "AZURE_AUTHORITY_HOST": tokens.url}
        if kind == "google":
            account = service_account(tmp_path, f"{tokens.url}/token")
            variables = {"GOOGLE_APPLICATION_CREDENTIALS": str(account)}
        done = subprocess.run(
            [*LOADLAB, "run", "chat", "--target", "mine", "--users", "2", "--duration", "6s", "--db",
             "sqlite:///x.db", "--json"],
            cwd=tmp_path, capture_output=True, text=True, timeout=90, check=False,
            env={**os.environ, **variables},
        )  # fmt: skip
        rows = rows_of(tmp_path, done)
    assert list(rows.error_kind.dropna()) == []
    used = {headers["authorization"].removeprefix("Bearer ") for headers in server.asked}
    assert len(used) >= 3, used
    stored = (tmp_path / "x.db").read_bytes().decode("latin-1")
    assert not [secret for secret in (*used, "very-secret", "PRIVATE KEY") if secret in stored]


def test_a_token_that_cannot_be_renewed_is_told_with_the_run(tmp_path: Path) -> None:
    with TokenServer(lasts_s=3.0) as tokens, Guarded(vendor("openai-chat"), tokens=tokens) as server:
        (tmp_path / "loadlab.toml").write_text(
            f'[targets.mine]\nurl = "{server.url}"\nmodel = "{MODEL}"\nauth = "entra"\n'
        )
        process = subprocess.Popen(
            [*LOADLAB, "run", "chat", "--target", "mine", "--duration", "6s", "--db", "sqlite:///x.db",
             "--json"],
            cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, **CLIENT, "AZURE_AUTHORITY_HOST": tokens.url},
        )  # fmt: skip
        while len(tokens.given) < 2:  # the pre-flight's and the load's first
            assert process.poll() is None
            time.sleep(0.01)
        tokens.refuses = "AADSTS7000222: the client secret has expired"
        out, _ = process.communicate(timeout=90)
    document = json.loads(out)
    assert document["levels"][0]["requests"]["errors"]["http_401"] > 0
    assert any("AADSTS7000222" in note for note in document["notes"])


def rows_of(folder: Path, done: subprocess.CompletedProcess[str]) -> pd.DataFrame:
    assert done.stdout, done.stderr
    with store.open(f"sqlite:///{folder}/x.db") as database:
        return database.requests(json.loads(done.stdout)["run"]["id"])
