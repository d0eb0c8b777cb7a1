"""What the users of one load worker share: endpoint, client, workload streams, admission and the sink."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import count, islice
from typing import NamedTuple

from gevent.lock import Semaphore

from loadlab import __version__, dialects
from loadlab.core.clock import now_ns
from loadlab.core.nouns import Endpoint, Exchange, Request, Timeouts
from loadlab.dialects import Call, Dialect
from loadlab.dialects.audio import seconds_of
from loadlab.drive.admission import Admission, share_of
from loadlab.drive.punctual import Waiter
from loadlab.wire.auth import Sign, kept_signer_of
from loadlab.wire.client import Client
from loadlab.wire.trust import Trust
from loadlab.workloads import Nonces, Replay, Synthetic, Workload, share


class Lane(NamedTuple):
    """The way to one endpoint: its language, its connections, and how a call to it is signed."""

    endpoint: Endpoint
    dialect: Dialect
    client: Client
    sign: Sign

    @classmethod
    def of(cls, endpoint: Endpoint, sign: Sign) -> Lane:
        """The way to that endpoint, nothing connected yet."""
        client = Client({"User-Agent": f"loadlab/{__version__}"}, tls=Trust.of(endpoint))
        return cls(endpoint, dialects.get(endpoint.dialect), client, sign)

    @property
    def trouble(self) -> str | None:
        """Why calls will soon be signed with what has ended; None while all is well."""
        said: str | None = getattr(self.sign, "trouble", None)
        return said

    def carry_out(self, call: Call, exchange: Exchange, timeouts: Timeouts) -> None:
        """Sends the call, signed already, and fills the exchange."""
        if call.messages:
            over = call.last
            self.client.talk(
                call, call.messages, exchange, timeouts, lambda message: any(m in message for m in over)
            )
        else:
            self.client.send(call, exchange, timeouts)

    def close(self) -> None:
        """Closes every connection, and ends who keeps credentials fresh."""
        self.client.close()
        if close := getattr(self.sign, "close", None):
            close()


class Driver:
    """Sends requests for users and hands every exchange to `sink`, failed ones too.

    A run that goes on numbers its requests from `first`, and has `drawn` so many from its workload before.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        sink: Callable[[Exchange], None],
        *,
        seed: int,
        timeouts: Timeouts,
        max_tokens: int | None = None,
        exact_length: bool = False,
        prompt_tokens: int | None = None,
        worker: int = 0,
        workers: int = 1,
        routes: Sequence[Endpoint] = (),
        fresh_prompts: bool = False,
        first: int = 0,
        drawn: int = 0,
        workload: Workload | None = None,
    ) -> None:
        self.endpoint = endpoint
        self._lanes = [Lane.of(place, kept_signer_of(place)) for place in (endpoint, *routes)]
        self.seed, self.worker, self.workers = seed, worker, workers
        self._number = worker
        self.admission: Admission | None = None
        self._places: Semaphore | None = None
        self._sink = sink
        self._timeouts = timeouts
        self._max_tokens, self._exact_length = max_tokens, exact_length
        self._instead = workload or (Synthetic(prompt_tokens) if prompt_tokens else None)
        self._replay: Replay | None = None
        self._streams: dict[Workload, Iterator[Request]] = {}
        self._numbers = count(first)
        self._drawn = drawn
        self._nonces = Nonces(seed, worker, first) if fresh_prompts else None
        self._waiters: list[Waiter] = []

    def enter(self, admission: Admission) -> None:
        """Begins a level."""
        level = admission.level
        cap = share_of(level.max_in_flight, self.worker, self.workers)
        self.admission = admission
        self._places = None if cap is None else Semaphore(cap)
        self._replay = Replay(level.trace) if level.trace else None

    def next_request(self, workload: Workload) -> Request:
        """The next request of `workload`, with what the command line overrides."""
        chosen = self._instead or self._replay or workload
        stream = self._streams.get(chosen)
        if stream is None:
            stream = share(chosen.requests(self.seed), self.worker, self.workers)
            stream = self._streams[chosen] = islice(stream, self._drawn, None)
        request = next(stream)
        if self._nonces and chosen is workload:
            request = self._nonces.before(request)
        if self._exact_length:
            request = replace(request, ignore_eos=True)
        return request if self._max_tokens is None else replace(request, max_tokens=self._max_tokens)

    def send(self, request: Request, planned_ns: int | None, route: int = 0) -> Exchange:
        """Sends `request`, due at `planned_ns` (now, when None), and returns its finished exchange.

        `route` is the place of its endpoint: 0 is the run's own.
        """
        lane = self._lanes[route]
        request = request if lane.endpoint.stream else replace(request, stream=False)
        call = lane.sign(lane.dialect.encode(lane.endpoint, request))
        if planned_ns is not None:
            self._await(planned_ns)
        exchange = self._begin(request, now_ns() if planned_ns is None else planned_ns)
        exchange.route = route
        try:
            with self._place(exchange):
                lane.carry_out(call, exchange, self._timeouts)
        finally:
            self._end(exchange)
        return exchange

    def _await(self, due_ns: int) -> None:
        """Returns at `due_ns`. Each greenlet that waits has a timer of its own, and leaves it to the next."""
        if now_ns() >= due_ns:
            return
        waiter = self._waiters.pop() if self._waiters else Waiter()
        waiter.until(due_ns)
        self._waiters.append(waiter)

    def close(self) -> None:
        """Closes every connection."""
        for lane in self._lanes:
            lane.close()

    def troubles(self) -> list[str]:
        """What will soon make endpoints refuse us, in words."""
        return [trouble for lane in self._lanes if (trouble := lane.trouble)]

    @contextmanager
    def _place(self, exchange: Exchange) -> Iterator[None]:
        """One of the places that a cap on requests in flight leaves; the wait for it is kept."""
        if self._places is None:
            yield
            return
        full, asked_ns = self._places.locked(), now_ns()
        with self._places:
            exchange.queued_ns = now_ns() - asked_ns if full else 0
            yield

    def _begin(self, request: Request, planned_ns: int) -> Exchange:
        level, warmup = 0, False
        if self.admission:
            self.admission.enter()
            level, warmup = self.admission.level.index, self.admission.warming(planned_ns)
        audio_s = None if request.audio is None else seconds_of(request.audio)
        return Exchange(
            level, self._number, next(self._numbers), planned_ns, warmup=warmup,
            max_tokens=request.max_tokens, audio_s=audio_s,
        )  # fmt: skip

    def _end(self, exchange: Exchange) -> None:
        if exchange.done_ns is None:  # the greenlet was killed before there was a connection
            exchange.done_ns = now_ns()
            exchange.error_kind, exchange.error_detail = "cancelled", "stopped before it was sent"
        if self.admission:
            self.admission.leave(exchange)
        self._sink(exchange)
