"""Before any load: is the endpoint there, does it accept us, does it know the model? Plain urllib.

Asks GET <base>/models, which costs nothing. Where a server does not offer that, the pre-flight only proves
that something answers HTTP there.
"""

from __future__ import annotations

import difflib
import http.client
import json
import socket
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from loadlab import dialects
from loadlab.core.errors import TargetError, UsageError
from loadlab.core.nouns import Endpoint, Request
from loadlab.dialects.openai import base_url
from loadlab.wire.route import Origin, proxy_for
from loadlab.wire.trust import Trust

TIMEOUT_S = 10.0


def check(endpoint: Endpoint, headers: dict[str, str]) -> Endpoint:
    """The endpoint with its model filled in. Raises UsageError or TargetError, in one line what to change."""
    parts = urlsplit(endpoint.url)
    try:
        parts.port  # noqa: B018  reading it is the check
    except ValueError as error:
        raise UsageError(f"URL '{endpoint.url}' has no usable port: {error}.") from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError(
            f"URL '{endpoint.url}' is not an http(s) URL; write it like http://127.0.0.1:8000/v1."
        )
    if parts.username or parts.password:
        raise UsageError("the URL carries a user or password; give the key by --api-key-env NAME instead.")
    status, body = _ask(endpoint, "GET", base_url(endpoint.url) + "/models", headers)
    if status in (401, 403):
        raise TargetError(f"{endpoint.url} refused the key (HTTP {status}); set it with --api-key-env NAME.")
    models = _models(body) if status == 200 else []
    if not endpoint.model:
        return replace(endpoint, model=_only(models, endpoint))
    if models and endpoint.model not in models:
        _probe(endpoint, headers, models)
    return endpoint


def _only(models: list[str], endpoint: Endpoint) -> str:
    if len(models) == 1:
        return models[0]
    offered = f"it offers {', '.join(models)}" if models else "it does not list its models"
    raise UsageError(f"no model is named for {endpoint.url}; {offered}; give --model NAME.")


def _probe(endpoint: Endpoint, headers: dict[str, str], models: list[str]) -> None:
    """One real request for a model that is not listed: some servers answer to any name."""
    call = dialects.get(endpoint.dialect).encode(endpoint, Request(prompt="Hi", max_tokens=1, stream=False))
    status, body = _ask(endpoint, call.method, call.url, {**call.headers, **headers}, call.body)
    if status < 400:
        return
    near = difflib.get_close_matches(endpoint.model, models, n=1)
    hint = f"did you mean '{near[0]}'? " if near else ""
    raise TargetError(
        f"{endpoint.url} does not serve model '{endpoint.model}' (HTTP {status}: {_words(body)}); {hint}"
        f"It offers: {', '.join(models)}."
    )


def _ask(
    endpoint: Endpoint, method: str, url: str, headers: Mapping[str, str], body: bytes | None = None
) -> tuple[int, bytes]:
    """Status and body, over the way and with the trust that the load will have."""
    parts = urlsplit(url)
    try:
        with _opener(endpoint, url).open(
            urllib.request.Request(url, body, dict(headers), method=method), timeout=TIMEOUT_S
        ) as response:
            return response.status, response.read(1 << 20)
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code, refusal.read(1 << 20)
    except urllib.error.URLError as error:
        raise TargetError(_why(parts.netloc, parts.hostname or "", error.reason)) from error
    except (http.client.HTTPException, OSError) as error:
        raise TargetError(_why(parts.netloc, parts.hostname or "", error)) from error


def _opener(endpoint: Endpoint, url: str) -> urllib.request.OpenerDirector:
    origin = Origin.of(urlsplit(url))
    handlers: list[urllib.request.BaseHandler] = []
    if proxy_for(origin) is None:
        handlers.append(urllib.request.ProxyHandler({}))
    if origin.scheme == "https":
        handlers.append(urllib.request.HTTPSHandler(context=Trust.of(endpoint).context()))
    return urllib.request.build_opener(*handlers)


def _why(place: str, host: str, reason: object) -> str:
    """What stands between us and the endpoint, and what to look at."""
    match reason:
        case ssl.SSLError():
            return f"TLS with {place} failed: {reason}; --ca-file names a private authority."
        case socket.gaierror():
            return f"host name '{host}' cannot be resolved; check the URL."
        case TimeoutError():
            return f"{place} did not answer within {TIMEOUT_S:g} s; is the server up?"
        case http.client.HTTPException():
            return f"{place} does not speak HTTP ({reason!r}); check the URL."
        case OSError():
            return f"{place} cannot be reached ({reason.strerror or reason}); is the server up?"
        case _:
            return f"{place} cannot be reached ({reason})."


def _models(body: bytes) -> list[str]:
    try:
        return [str(entry["id"]) for entry in json.loads(body)["data"]]
    except (ValueError, KeyError, TypeError):
        return []


def _words(body: bytes) -> str:
    try:
        document: Any = json.loads(body)
        return str(document["error"]["message"])[:200]
    except (ValueError, KeyError, TypeError):
        return body.decode("utf-8", "replace")[:200]
