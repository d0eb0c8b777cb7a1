"""One request before any load, by plain urllib: what came back, or in words why nothing did."""

from __future__ import annotations

import http.client
import socket
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit

from loadlab.core.errors import TargetError
from loadlab.core.nouns import Endpoint
from loadlab.wire.route import Origin, proxy_for
from loadlab.wire.trust import Trust

TIMEOUT_S = 10.0


class Answer(NamedTuple):
    """What came back: `kind` is its content type."""

    status: int
    kind: str
    body: bytes


class TimeoutTargetError(TargetError):
    """It is there, and did not answer in time."""


def ask(
    endpoint: Endpoint, method: str, url: str, headers: Mapping[str, str], body: bytes | None = None
) -> Answer:
    """What is answered, over the way and with the trust that the load will have.

    Raises TargetError when nothing is, TimeoutTargetError when nothing was in time.
    """
    parts = urlsplit(url)
    try:
        with _opener(endpoint, url).open(
            urllib.request.Request(url, body, dict(headers), method=method), timeout=TIMEOUT_S
        ) as response:
            return Answer(response.status, response.headers.get("Content-Type", ""), response.read(1 << 20))
    except urllib.error.HTTPError as refusal:
        with refusal:
            return Answer(refusal.code, refusal.headers.get("Content-Type", ""), refusal.read(1 << 20))
    except urllib.error.URLError as error:
        raise _failure(parts, error.reason) from error
    except (http.client.HTTPException, OSError) as error:
        raise _failure(parts, error) from error


def _opener(endpoint: Endpoint, url: str) -> urllib.request.OpenerDirector:
    origin = Origin.of(urlsplit(url))
    handlers: list[urllib.request.BaseHandler] = []
    if proxy_for(origin) is None:
        handlers.append(urllib.request.ProxyHandler({}))
    if origin.scheme == "https":
        handlers.append(urllib.request.HTTPSHandler(context=Trust.of(endpoint).context()))
    return urllib.request.build_opener(*handlers)


def _failure(parts: SplitResult, reason: object) -> TargetError:
    kind = TimeoutTargetError if isinstance(reason, TimeoutError) else TargetError
    return kind(_why(parts.netloc, parts.hostname or "", reason))


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
