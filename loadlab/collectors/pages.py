"""Pages over HTTP: fetched with aiohttp, failures told in words, Prometheus text cut to what is asked for."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from loadlab.core.clock import now_ns

TIMEOUT = aiohttp.ClientTimeout(total=2.0)
FAILURES = (aiohttp.ClientError, TimeoutError, ValueError)
_LARGEST = 16 << 20


@dataclass(frozen=True, slots=True)
class Sample:
    """One line of a page. `series` is its name with its labels: the same thing at every reading."""

    name: str
    labels: dict[str, str]
    value: float

    @property
    def series(self) -> tuple[str, ...]:
        """What identifies the line."""
        return (self.name, *(f"{key}={self.labels[key]}" for key in sorted(self.labels)))


@dataclass(frozen=True, slots=True)
class Answer:
    """A body, and when the question left and the answer was here (ns)."""

    text: str
    sent_ns: int
    received_ns: int

    @property
    def middle_ns(self) -> int:
        """The likeliest instant of what the page says, off by half the round trip at most."""
        return (self.sent_ns + self.received_ns) // 2


class Page:
    """One HTTP address read again and again over one connection."""

    def __init__(self, url: str, token: str | None = None) -> None:
        self.url, self.device = url, host_of(url)
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._session: aiohttp.ClientSession | None = None

    async def get(self, path: str = "") -> Answer:
        """The page, or one below it. Raises one of FAILURES."""
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=TIMEOUT, headers=self._headers)
        sent_ns = now_ns()
        async with self._session.get(self.url + path) as response:
            response.raise_for_status()
            body = bytearray()
            async for part in response.content.iter_any():
                body += part
                if len(body) > _LARGEST:
                    raise ValueError(f"larger than {_LARGEST >> 20} MiB")
            return Answer(body.decode("utf-8", "replace"), sent_ns, now_ns())

    async def close(self) -> None:
        """Ends the connection."""
        if self._session is not None:
            await self._session.close()
            self._session = None


def host_of(url: str) -> str:
    """Host and port of a URL, without a password."""
    return urlsplit(url).netloc.rpartition("@")[2]


def shown(url: str) -> str:
    """A URL as it may be printed: without a password."""
    parts = urlsplit(url)
    return parts._replace(netloc=host_of(url)).geturl()


def samples(page: str, wanted: Callable[[str], bool]) -> Iterator[Sample]:
    """The finite samples whose line is wanted. Raises ValueError for what is not Prometheus' text format."""
    # A page is mostly histograms that nobody here asks for; leaving them out first is 20 times quicker.
    known = "\n".join(line for line in page.splitlines() if wanted(line))
    for family in text_string_to_metric_families(known + "\n"):
        for sample in family.samples:
            if math.isfinite(sample.value):
                yield Sample(sample.name, sample.labels, sample.value)


def document(text: str) -> Any:
    """A JSON body. Raises ValueError."""
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def in_words(error: Exception) -> str:
    """What went wrong with a page."""
    if isinstance(error, aiohttp.ClientResponseError):
        hint = ": the token is not accepted" if error.status in (401, 403) else ""
        return f"HTTP {error.status}{hint}"
    if isinstance(error, asyncio.TimeoutError):
        return f"no answer within {TIMEOUT.total:g} s"
    if isinstance(error, aiohttp.ClientError):
        return "no connection"
    return f"not a page of that kind ({error})"
