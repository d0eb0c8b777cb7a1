"""The server's own numbers from its Prometheus page, under one set of names whatever the server.

Known: vLLM (and `loadlab serve`), SGLang, text-generation-inference, llama.cpp. Other metrics are ignored.
"""

from __future__ import annotations

import asyncio
import math
from urllib.parse import urlsplit

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from loadlab.core.clock import now_ns
from loadlab.core.nouns import Reading

# Ours: running, waiting (requests), kv_cache_use (0..1), prompt_tokens, generation_tokens (counters).
_NAMES = {
    "vllm:num_requests_running": "running",
    "vllm:num_requests_waiting": "waiting",
    "vllm:kv_cache_usage_perc": "kv_cache_use",
    "vllm:gpu_cache_usage_perc": "kv_cache_use",
    "vllm:prompt_tokens_total": "prompt_tokens",
    "vllm:generation_tokens_total": "generation_tokens",
    "sglang:num_running_reqs": "running",
    "sglang:num_queue_reqs": "waiting",
    "sglang:token_usage": "kv_cache_use",
    "sglang:prompt_tokens_total": "prompt_tokens",
    "sglang:generation_tokens_total": "generation_tokens",
    "tgi_batch_current_size": "running",
    "tgi_queue_size": "waiting",
    "tgi_request_input_length_sum": "prompt_tokens",
    "tgi_request_generated_tokens_sum": "generation_tokens",
    "llamacpp:requests_processing": "running",
    "llamacpp:requests_deferred": "waiting",
    "llamacpp:kv_cache_usage_ratio": "kv_cache_use",
    "llamacpp:prompt_tokens_total": "prompt_tokens",
    "llamacpp:tokens_predicted_total": "generation_tokens",
}
_SOURCE = "server"
_TIMEOUT = aiohttp.ClientTimeout(total=2.0)
_ADVICE = "so there are no server readings; is --metrics-url right?"


class Scrape:
    """One server's Prometheus page, read every second."""

    name = "scrape"
    period_s = 1.0

    def __init__(self, url: str) -> None:
        self.notes: list[str] = []
        self._url, self._device = url, urlsplit(url).netloc.rpartition("@")[2]
        self._session: aiohttp.ClientSession | None = None
        self._seen_any = False

    async def open(self) -> str | None:
        """Reads the page once, so that a wrong address is known at once."""
        self._session = aiohttp.ClientSession(timeout=_TIMEOUT)
        try:
            await self._page(self._session)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            await self.close()
            return f"{_in_words(error)} at {self._url}, {_ADVICE}"
        return None

    async def read(self) -> list[Reading]:
        """The known metrics; nothing while the server does not answer."""
        if self._session is None:
            return []
        try:
            values = parse(await self._page(self._session))
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            self._note_gap(error)
            return []
        self._seen_any = self._seen_any or bool(values)
        at_ns = now_ns()
        return [Reading(at_ns, _SOURCE, self._device, name, value) for name, value in values.items()]

    async def close(self) -> None:
        """Ends the connection."""
        if self._session is None:
            return
        if not self._seen_any and not self.notes:
            self.notes.append(f"{self._url} named no metric of a known server.")
        await self._session.close()
        self._session = None

    async def _page(self, session: aiohttp.ClientSession) -> str:
        async with session.get(self._url) as response:
            response.raise_for_status()
            return await response.text()

    def _note_gap(self, error: Exception) -> None:
        if not self.notes:
            self.notes.append(f"{_in_words(error)} at {self._url}: the server readings have a gap.")


def parse(page: str) -> dict[str, float]:
    """The known metrics of a Prometheus page under our names: summed over labels, the KV cache's fullest.

    Raises ValueError for a page that is not in Prometheus' text format.
    """
    # A page is mostly histograms that nobody here asks for; leaving them out first is 20 times quicker.
    known = "\n".join(line for line in page.splitlines() if line.startswith(tuple(_NAMES)))
    values: dict[str, float] = {}
    for family in text_string_to_metric_families(known + "\n"):
        for sample in family.samples:
            name = _NAMES.get(sample.name)
            if name and math.isfinite(sample.value):
                merge = max if name == "kv_cache_use" else _plus
                values[name] = merge(values.get(name, 0.0), sample.value)
    return values


def _plus(left: float, right: float) -> float:
    return left + right


def _in_words(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientResponseError):
        return f"HTTP {error.status}"
    if isinstance(error, asyncio.TimeoutError):
        return f"no answer within {_TIMEOUT.total:g} s"
    if isinstance(error, aiohttp.ClientError):
        return "no connection"
    return f"not a Prometheus page ({error})"
