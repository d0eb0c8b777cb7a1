"""One request before any load, by plain urllib: what came back, or in words why nothing did."""

from __future__ import annotations

import http.client
import socket
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple
from urllib.parse import SplitResult, urlsplit

from loadlab.core.errors import TargetError
from loadlab.core.nouns import Endpoint
from loadlab.wire.route import Origin, proxy_for
from loadlab.wire.trust import Trust

TIMEOUT_S = 10.0


About = Literal["reach", "key", "model", "request", "stream"]


class Answer(NamedTuple):
    """What came back: `kind` is its content type; names of `headers` are in small letters.

    It was asked for at `sent_ns`, and its head was here at `answered_ns`, in ns UTC since 1970.
    """

    status: int
    kind: str
    body: bytes
    headers: Mapping[str, str] = {}
    sent_ns: int = 0
    answered_ns: int = 0


class PreflightError(TargetError):
    """What stands in the way of a first request; `about` says what is wrong with it."""

    def __init__(self, about: About, words: str) -> None:
        super().__init__(words)
        self.about = about


class TimeoutTargetError(PreflightError):
    """It is there, and did not answer in time."""


def ask(
    endpoint: Endpoint,
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: bytes | None = None,
    timeout_s: float = TIMEOUT_S,
    most_bytes: int = 1 << 20,
) -> Answer:
    """What is answered, its first `most_bytes`, over the way and with the trust that the load will have.

    Raises PreflightError when nothing is, TimeoutTargetError when nothing was in time.
    """
    parts = urlsplit(url)
    sent_ns = time.time_ns()
    try:
        with _opener(endpoint, url).open(
            urllib.request.Request(url, body, dict(headers), method=method), timeout=timeout_s
        ) as response:
            return _answer(response.status, response, sent_ns, most_bytes)
    except urllib.error.HTTPError as refusal:
        with refusal:
            return _answer(refusal.code, refusal, sent_ns, most_bytes)
    except urllib.error.URLError as error:
        raise _failure(parts, error.reason) from error
    except (http.client.HTTPException, OSError) as error:
        raise _failure(parts, error) from error


def _answer(status: int, response: Any, sent_ns: int, most_bytes: int) -> Answer:
    answered_ns = time.time_ns()
    headers = {name.lower(): value for name, value in response.headers.items()}
    kind = headers.get("content-type", "")
    return Answer(status, kind, response.read(most_bytes), headers, sent_ns, answered_ns)


def _opener(endpoint: Endpoint, url: str) -> urllib.request.OpenerDirector:
    origin = Origin.of(urlsplit(url))
    handlers: list[urllib.request.BaseHandler] = []
    if proxy_for(origin) is None:
        handlers.append(urllib.request.ProxyHandler({}))
    if origin.scheme == "https":
        handlers.append(urllib.request.HTTPSHandler(context=Trust.of(endpoint).context()))
    return urllib.request.build_opener(*handlers)


def _failure(parts: SplitResult, reason: object) -> PreflightError:
    kind = TimeoutTargetError if isinstance(reason, TimeoutError) else PreflightError
    return kind("reach", _why(parts.netloc, parts.hostname or "", reason))


def _why(place: str, host: str, reason: object) -> str:
    """What stands between us and the endpoint, and what to look at."""
    match reason:
        case ssl.SSLError():
            return f"TLS with {place} failed: {reason}; --ca-file names a private authority."
        case socket.gaierror():
            return f"host name '{host}' cannot be resolved; check the URL."
        case TimeoutError():
            return f"{place} did not answer in time; is the server up?"
        case http.client.HTTPException():
            return f"{place} does not speak HTTP ({reason!r}); check the URL."
        case OSError():
            return f"{place} cannot be reached ({reason.strerror or reason}); is the server up?"
        case _:
            return f"{place} cannot be reached ({reason})."
