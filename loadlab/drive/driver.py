"""What the users of one load worker share: endpoint, client, workload streams, admission and the sink."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count

from loadlab import __version__, dialects
from loadlab.core.clock import now_ns
from loadlab.core.nouns import Endpoint, Exchange, Request, Timeouts
from loadlab.drive.admission import Admission
from loadlab.wire.auth import auth_headers
from loadlab.wire.client import Client
from loadlab.wire.trust import Trust
from loadlab.workloads import Synthetic, Workload, share


class Driver:
    """Sends requests for users and hands every exchange to `sink`, failed ones too."""

    def __init__(
        self,
        endpoint: Endpoint,
        sink: Callable[[Exchange], None],
        *,
        seed: int,
        timeouts: Timeouts,
        max_tokens: int | None = None,
        prompt_tokens: int | None = None,
        worker: int = 0,
        workers: int = 1,
    ) -> None:
        self.endpoint = endpoint
        self.dialect = dialects.get(endpoint.dialect)
        headers = {"User-Agent": f"loadlab/{__version__}", **auth_headers(endpoint)}
        self.client = Client(headers, tls=Trust.of(endpoint))
        self.seed, self.worker, self.workers = seed, worker, workers
        self.admission: Admission | None = None
        self._sink = sink
        self._timeouts = timeouts
        self._max_tokens = max_tokens
        self._synthetic = Synthetic(prompt_tokens) if prompt_tokens else None
        self._streams: dict[int, Iterator[Request]] = {}
        self._numbers = count()

    def next_request(self, workload: Workload) -> Request:
        """The next request of `workload`, with what the command line overrides."""
        chosen = self._synthetic or workload
        stream = self._streams.get(id(chosen))
        if stream is None:
            stream = self._streams[id(chosen)] = share(chosen.requests(self.seed), self.worker, self.workers)
        request = next(stream)
        return request if self._max_tokens is None else replace(request, max_tokens=self._max_tokens)

    def send(self, request: Request, planned_ns: int | None) -> Exchange:
        """Sends `request`, due at `planned_ns` (now, when None), and returns its finished exchange."""
        exchange = self._begin(request, now_ns() if planned_ns is None else planned_ns)
        try:
            self.client.send(self.dialect.encode(self.endpoint, request), exchange, self._timeouts)
        finally:
            self._end(exchange)
        return exchange

    def _begin(self, request: Request, planned_ns: int) -> Exchange:
        level, warmup = 0, False
        if self.admission:
            self.admission.enter()
            level, warmup = self.admission.level.index, self.admission.warming(planned_ns)
        return Exchange(
            level, self.worker, next(self._numbers), planned_ns, warmup=warmup, max_tokens=request.max_tokens
        )

    def _end(self, exchange: Exchange) -> None:
        if exchange.done_ns is None:  # the greenlet was killed before there was a connection
            exchange.done_ns = now_ns()
            exchange.error_kind, exchange.error_detail = "cancelled", "stopped before it was sent"
        if self.admission:
            self.admission.leave(exchange)
        self._sink(exchange)
