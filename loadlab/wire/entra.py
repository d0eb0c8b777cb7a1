"""Tokens of Microsoft Entra ID: a client secret, a federated token, or the identity of the machine.

Which one follows from the environment, in the names and in the order of Microsoft's own SDK: a token in
AZURE_OPENAI_AD_TOKEN; AZURE_TENANT_ID and AZURE_CLIENT_ID with AZURE_CLIENT_SECRET or with
AZURE_FEDERATED_TOKEN_FILE; IDENTITY_ENDPOINT with IDENTITY_HEADER (App Service); else the metadata service of
a virtual machine, whose address AZURE_POD_IDENTITY_AUTHORITY_HOST replaces.
Source: learn.microsoft.com, "OAuth 2.0 client credentials flow", "How to use managed identities", 2026-11.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from loadlab.core.errors import TargetError, UsageError
from loadlab.core.nouns import Endpoint
from loadlab.wire.credentials import Credential, ask, from_variable, scope_of

_SCOPE = "https://cognitiveservices.azure.com/.default"
_AUTHORITY = "https://login.microsoftonline.com"
_METADATA = "http://169.254.169.254"
_METADATA_S = 3.0  # where there is no such service, nobody answers
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


def given(endpoint: Endpoint) -> Credential | None:
    """See Source."""
    return from_variable("AZURE_OPENAI_AD_TOKEN")


def fetch(endpoint: Endpoint) -> Credential:
    """See Source."""
    scope = scope_of(endpoint, _SCOPE)
    if os.environ.get("AZURE_TENANT_ID") and os.environ.get("AZURE_CLIENT_ID") and (proof := _proof()):
        return _of_client(endpoint, scope, proof)
    return _of_machine(endpoint, scope.removesuffix("/.default"))


def _proof() -> dict[str, str]:
    """What shows that we are the client: its secret, or a token that a cluster put into a file."""
    if secret := os.environ.get("AZURE_CLIENT_SECRET", "").strip():
        return {"client_secret": secret}
    if file := os.environ.get("AZURE_FEDERATED_TOKEN_FILE"):
        try:
            token = Path(file).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise UsageError(
                f"AZURE_FEDERATED_TOKEN_FILE '{file}' cannot be read: {error.strerror}."
            ) from error
        return {"client_assertion_type": _ASSERTION, "client_assertion": token}
    return {}


def _of_client(endpoint: Endpoint, scope: str, proof: dict[str, str]) -> Credential:
    authority = os.environ.get("AZURE_AUTHORITY_HOST", _AUTHORITY).rstrip("/")
    parts = urlsplit(authority if "://" in authority else f"https://{authority}")
    if parts.scheme != "https" and parts.hostname not in _LOOPBACK:
        raise UsageError(f"AZURE_AUTHORITY_HOST '{authority}' is not https; a secret is sent there.")
    form = {"grant_type": "client_credentials", "client_id": os.environ["AZURE_CLIENT_ID"], "scope": scope}
    url = f"{parts.geturl()}/{os.environ['AZURE_TENANT_ID']}/oauth2/v2.0/token"
    try:
        return _credential(ask(url, {**form, **proof}, proxied=parts.hostname not in _LOOPBACK))
    except TargetError as error:
        raise TargetError(
            f"target '{endpoint.name}': {error}; check AZURE_TENANT_ID, AZURE_CLIENT_ID and what "
            "proves it, such as AZURE_CLIENT_SECRET."
        ) from error


def _of_machine(endpoint: Endpoint, resource: str) -> Credential:
    """The token of the machine's managed identity; AZURE_CLIENT_ID chooses one of several."""
    chosen = {"client_id": client} if (client := os.environ.get("AZURE_CLIENT_ID")) else {}
    url, header = os.environ.get("IDENTITY_ENDPOINT"), os.environ.get("IDENTITY_HEADER")
    query = {"api-version": "2019-08-01", "resource": resource, **chosen}
    headers = {"X-IDENTITY-HEADER": header or ""}
    if not (url and header):
        host = os.environ.get("AZURE_POD_IDENTITY_AUTHORITY_HOST", _METADATA).rstrip("/")
        url, headers = f"{host}/metadata/identity/oauth2/token", {"Metadata": "true"}
        query["api-version"] = "2018-02-01"
    try:
        return _credential(
            ask(f"{url}?{urlencode(query)}", None, headers, proxied=False, timeout_s=_METADATA_S)
        )
    except TargetError as error:
        raise UsageError(
            f"target '{endpoint.name}' wants an Entra token: export AZURE_TENANT_ID, AZURE_CLIENT_ID "
            "and AZURE_CLIENT_SECRET, or AZURE_OPENAI_AD_TOKEN; this machine has no identity of its own: "
            f"{error}."
        ) from error


def _credential(said: dict[str, Any]) -> Credential:
    """The token of an answer. A virtual machine says when it ends, a login server how long it lasts."""
    token = said.get("access_token")
    if not isinstance(token, str) or not token:
        raise TargetError("the answer holds no access_token")
    try:
        ends = float(said["expires_on"]) if "expires_on" in said else time.time() + float(said["expires_in"])
    except (KeyError, TypeError, ValueError):
        return Credential({"token": token})
    return Credential({"token": token}, ends)
