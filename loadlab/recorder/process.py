"""The recorder process, plain asyncio: takes batches, decodes, prices, writes; runs the collectors.

Run as `python -m loadlab.recorder.process CONTROL_FD LINK_FD...`. The first command carries the run and the
database URL. When the control channel ends before `finish` came, the supervisor is gone: what has come in is
written and the run marked interrupted.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from loadlab import collectors, dialects, pricing, store
from loadlab.collectors.for_run import for_run
from loadlab.core.clock import now_ns
from loadlab.core.errors import LoadlabError
from loadlab.core.nouns import Exchange, Level, Reading, Result, Run
from loadlab.core.units import NS_PER_MS
from loadlab.recorder.decode import decode
from loadlab.recorder.frames import LENGTH, unframe
from loadlab.recorder.tokens import counter

FLUSH_S = 0.25
_HEARTBEAT_S = 1.0
_WATCH_S = 0.5
_BATCH = 2000
_NICENESS = 5


class Recorder:
    """What has come in for one run and is not yet on disk, and the way there."""

    def __init__(self, run: Run, database: store.Store) -> None:
        self._run, self._store = run, database
        places = [(run.endpoint, run.price), *((route.endpoint, route.price) for route in run.routes)]
        self._dialects = [dialects.get(endpoint.dialect) for endpoint, _ in places]
        self._meters = [
            pricing.Meter(price) if price and price.kind == "token" else None for _, price in places
        ]
        self._reference = counter(run.reference) if run.reference else None
        # For the spend guard: requests priced, their cost, those of unknown cost, the dearest one.
        self.ledger = [0, 0, 0, 0]
        self._results: list[Result] = []
        self._readings: list[Reading] = []
        # One thread: SQL never blocks the loop, and writes keep their order.
        self._sql = ThreadPoolExecutor(1, "sql")
        self._closing = False
        self._taken = self._behind_ns = 0
        self.notes: list[str] = []
        self.written = self.failed = self.output_tokens = 0

    async def take(self, reader: asyncio.StreamReader) -> None:
        """Reads one worker's link until it ends."""
        try:
            while True:
                (length,) = LENGTH.unpack(await reader.readexactly(LENGTH.size))
                exchanges, readings = unframe(await reader.readexactly(length))
                self._readings.extend(readings)
                self._taken += len(exchanges)
                for exchange in exchanges:
                    self._results.append(self._priced(exchange))
                    self._behind_ns = max(self._behind_ns, now_ns() - (exchange.done_ns or now_ns()))
                    await asyncio.sleep(0)
        except (asyncio.IncompleteReadError, ConnectionError):
            return

    async def flush_forever(self) -> None:
        """Writes what has come in, several times a second, until the recorder is closed."""
        while not self._closing:
            await asyncio.sleep(FLUSH_S)
            await self._flush()

    def close(self) -> None:
        """Lets `flush_forever` end with a last write; cancelling it could lose the batch in its hands."""
        self._closing = True

    async def _flush(self) -> None:
        while self._results or self._readings:
            results, self._results = self._results[:_BATCH], self._results[_BATCH:]
            readings, self._readings = self._readings, []
            await self.sql(self._store.write, self._run.id, results, readings)
            self.written += len(results)
            self.failed += sum(result.error_kind is not None for result in results)
            self.output_tokens += sum(result.output_tokens or 0 for result in results)

    async def watch(self) -> None:
        """Reads how far the recorder itself is behind.

        `backlog` counts exchanges received and not yet written; `behind_ms` is the longest time from the end
        of an exchange to its decoding, so that what still waits in the socket shows too.
        """
        while True:
            await asyncio.sleep(_WATCH_S)
            now, waiting, behind = now_ns(), self._taken - self.written, self._behind_ns / NS_PER_MS
            self._behind_ns = 0
            self._readings += (
                Reading(now, "recorder", "recorder", "backlog", waiting),
                Reading(now, "recorder", "recorder", "behind_ms", behind),
            )

    async def heartbeat(self) -> None:
        """Shows readers of the store that the run is alive."""
        while True:
            await self.sql(self._store.heartbeat, self._run.id)
            await asyncio.sleep(_HEARTBEAT_S)

    async def open(self, found: list[collectors.Collector]) -> list[collectors.Collector]:
        """Makes collectors ready; gives those that work, and notes why the others do not."""
        # One from elsewhere may raise although it must not; that is a reason too, and no end of the run.
        reasons = await asyncio.gather(*(collector.open() for collector in found), return_exceptions=True)
        for collector, reason in zip(found, reasons, strict=True):
            if reason:
                self.notes.append(f"{collector.name}: {reason}")
        return [collector for collector, reason in zip(found, reasons, strict=True) if not reason]

    async def collect(self, collector: collectors.Collector) -> None:
        """Reads one open collector until cancelled, and once more then."""
        try:
            while True:
                self._readings.extend(await collector.read())
                await asyncio.sleep(collector.period_s)
        finally:
            self._readings.extend(await collector.read())
            await collector.close()
            self.notes.extend(collector.notes)

    async def sql(self, call: Callable[..., Any], *arguments: Any) -> None:
        """Runs a call of the store in its thread."""
        await asyncio.get_running_loop().run_in_executor(self._sql, call, *arguments)

    def _priced(self, exchange: Exchange) -> Result:
        result = decode(exchange, self._dialects[exchange.route], self._reference)
        if meter := self._meters[exchange.route]:
            sent_ns = result.planned_ns if result.sent_ns is None else result.sent_ns
            at_ns = sent_ns - self._run.clock_ns + self._run.started_at_ns
            cost = meter.billed_nano_usd(result, pricing.Use.of(result), at_ns)
            result.cost_nano_usd = cost
            settled, spent, unknown, dearest = self.ledger
            self.ledger = [
                settled + 1,
                spent + (cost or 0),
                unknown + (cost is None),
                max(dearest, cost or 0),
            ]
        return result


class Control:
    """The recorder's end of the supervisor's channel."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def receive(self) -> dict[str, Any] | None:
        """The next command; None once the supervisor is gone."""
        try:
            line = await self._reader.readline()
        except ConnectionError:
            return None
        return json.loads(line) if line else None

    def send(self, **message: Any) -> None:
        """Tells the supervisor; one that is gone is noticed by `receive`."""
        if not self._writer.is_closing():
            self._writer.write(json.dumps(message).encode() + b"\n")

    async def close(self) -> None:
        """Ends the channel once everything has been sent."""
        try:
            await self._writer.drain()
        except ConnectionError:
            return
        self._writer.close()


async def record(
    control: Control,
    links: list[asyncio.StreamReader],
    run: Run,
    database: store.Store,
    gpus: bool,
    resumed: bool,
) -> None:
    """Records `run` until it is finished or the supervisor is gone."""
    recorder = Recorder(run, database)
    await recorder.sql(database.resume_run if resumed else database.begin_run, run)
    takers = asyncio.gather(*(recorder.take(link) for link in links))
    flusher = asyncio.create_task(recorder.flush_forever())
    found, recorder.notes = for_run(run, gpus)
    working = await recorder.open(found)
    facts = [fact for collector in working for fact in getattr(collector, "facts", {}).items()]
    if facts:
        await recorder.sql(database.describe_server, run.id, dict(facts))
    rounds = [
        asyncio.create_task(work)
        for work in (
            recorder.heartbeat(),
            recorder.watch(),
            _report(recorder, control),
            *(recorder.collect(collector) for collector in working),
        )
    ]
    # Nothing has been asked yet: what GPUs use now, they use for standing there.
    await asyncio.sleep(max((collector.idle_s for collector in working), default=0.0))
    control.send(**{"is": "ready"})
    books = asyncio.create_task(_obey(recorder, control, run))
    # A write that fails (a full disk, a vanished database) ends the recording; the supervisor says why.
    await asyncio.wait({flusher, books}, return_when=asyncio.FIRST_COMPLETED)
    if books.done():
        state, notes = books.result()
        await takers
        for task in rounds:
            task.cancel()
        await asyncio.gather(*rounds, return_exceptions=True)
        recorder.close()
    await flusher
    await recorder.sql(database.finish_run, run.id, state, [*notes, *recorder.notes])


async def _obey(recorder: Recorder, control: Control, run: Run) -> tuple[str, list[str]]:
    """Carries out commands until the run ends; gives its state and notes."""
    while message := await control.receive():
        if message["do"] == "level":
            level = Level(**message["level"])
            await recorder.sql(recorder._store.begin_level, run.id, level, message["start_ns"])
        elif message["do"] == "level_end":
            end = message["level"], message["end_ns"], message["ended"]
            await recorder.sql(recorder._store.finish_level, run.id, *end)
            control.send(**{"is": "level_closed", "level": message["level"]})
        elif message["do"] == "merge":
            await recorder.sql(_merge, message["path"], recorder._store, run.id)
        elif message["do"] == "finish":
            return message["state"], message["notes"]
    return "interrupted", ["the supervising process stopped before the run was finished"]


def _merge(path: str, database: store.Store, run_id: str) -> None:
    """Takes over what another host recorded in a file of its own, then removes the file."""
    with store.open(f"sqlite:///{path}", create=False) as source:
        store.take_over(source, database, run_id)
    Path(path).unlink()


async def _report(recorder: Recorder, control: Control) -> None:
    while True:
        control.send(
            **{
                "is": "written",
                "at_ns": now_ns(),
                "written": recorder.written,
                "failed": recorder.failed,
                "output_tokens": recorder.output_tokens,
                "ledger": recorder.ledger,
            }
        )
        await asyncio.sleep(FLUSH_S)


async def _stream(descriptor: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection(sock=socket.socket(fileno=descriptor), limit=1 << 26)


async def serve(control_fd: int, link_fds: list[int]) -> None:
    """Entry point inside the event loop."""
    control = Control(*await _stream(control_fd))
    links = [(await _stream(descriptor)) for descriptor in link_fds]
    command = await control.receive()
    if command is None:
        return
    try:
        run = Run.from_dict(command["run"])
        database = store.open(command["db"])
        if command.get("shared"):  # the host that controls the run keeps its books
            database = store.SharedStore.of(database)
        readers = [reader for reader, _ in links]
        options = command.get("gpus", True), command.get("resumed", False)
        await record(control, readers, run, database, *options)
        database.close()
        control.send(**{"is": "finished"})
    except LoadlabError as error:
        control.send(**{"is": "error", "message": str(error), "exit": int(error.exit_code)})
    await control.close()


def main() -> None:
    """Entry point of the process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Where cores are few, measuring comes before writing down.
    os.nice(_NICENESS)
    asyncio.run(serve(int(sys.argv[1]), [int(argument) for argument in sys.argv[2:]]))


if __name__ == "__main__":
    main()
