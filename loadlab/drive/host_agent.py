"""A load host's part in a run that another host controls: its own recorder and load workers, led by commands
that come over the connection. It imports neither locust nor SQL.
"""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import astuple, replace
from pathlib import Path
from types import FrameType
from typing import Any

from loadlab.core.clock import anchor
from loadlab.core.errors import (
    InterruptedRunError,
    LoadlabError,
    MeasurementError,
    UnknownNameError,
    UsageError,
)
from loadlab.core.nouns import Run
from loadlab.core.units import NS_PER_MS
from loadlab.drive import spec
from loadlab.drive.crew import Child, Crew, Part, deal, living, loss
from loadlab.drive.guard import Allowance
from loadlab.drive.hosts import digest

CLOCK_LIMIT_MS = 5.0
_PROGRESS_S = 0.25


class Agent:
    """Joins one run, carries a share of it per process and ends with it."""

    def __init__(
        self, host: str, port: int, processes: int, store_url: str, say: Callable[[str], None]
    ) -> None:
        self._processes, self._store_url, self._say = processes, store_url, say
        self._place = (host, port)
        self._crew = Crew()
        self._ahead_ns = 0
        self._level = 0
        self._own_store: Path | None = None
        self._allowance: Allowance | None = None
        self._busy = self._ready = self._leaving = self._over = self._signalled = False
        self._told_at = 0.0

    def serve(self) -> None:
        """Waits for the run, carries its share and returns once all is handed over. Raises LoadlabError."""
        previous = [
            (number, signal.signal(number, self._on_signal)) for number in (signal.SIGINT, signal.SIGTERM)
        ]
        host, port = self._place
        self._relay = self._crew.add(
            Child("connection", "loadlab.drive.host_relay", "worker", host, str(port))
        )
        self._say(f"joining {host}:{port} with {self._processes} load worker(s)")
        try:
            while not self._over:
                self._listen()
                self._look_after()
        except LoadlabError as error:
            self._relay.send(**{"is": "error", "message": str(error), "exit": int(error.exit_code)})
            raise
        finally:
            if not self._relay.ready:  # it waits for the controlling host and would not listen to us
                self._relay.process.terminate()
            self._crew.close()
            for number, handler in previous:
                signal.signal(number, handler)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._signalled = True

    def _listen(self) -> None:
        for part, message in self._crew.listen():
            if part is not self._relay:
                self._hear(part, message)
            elif "do" in message:
                self._obey(message)
            else:
                self._connected(message)

    def _connected(self, message: dict[str, Any]) -> None:
        match message["is"]:
            case "joined":
                self._relay.ready = True
                self._meet(message["offset_ns"], message["trip_ns"])
            case "cut_off":
                raise InterruptedRunError(f"{message['why']}; what was recorded here is saved.")
            case "handed_over":
                self._end()

    def _meet(self, offset_ns: int, trip_ns: int) -> None:
        """Introduces this host. Clocks kept by NTP agree better than a round trip can tell."""
        self._offset_ns, self._trip_ns = offset_ns, trip_ns
        if abs(offset_ns) > CLOCK_LIMIT_MS * NS_PER_MS:
            self._ahead_ns = offset_ns
        self._relay.send(
            **{
                "is": "hello",
                "host": socket.gethostname(),
                "processes": self._processes,
                "environment": spec.environment(),
            }
        )
        self._say("connected; waiting for the run")

    def _obey(self, message: dict[str, Any]) -> None:
        match message["do"]:
            case "refuse":
                raise UsageError(f"the controlling host refused this one: {message['why']}.")
            case "begin":
                self._begin(message)
            case "level":
                self._begin_level(message)
            case "allow":
                self._allow(message["level"], message["done"])
            case "drain" | "stop":
                self._tell(message["do"])
            case "exit":
                self._leaving = True
                self._tell("exit")

    def _allow(self, level: int, done: int) -> None:
        """What this host may finish of a level, shared among its load workers; said before it begins too."""
        if self._allowance is None or self._allowance.level != level:
            self._allowance = Allowance(level)
            for worker in self._crew.workers:
                worker.counts = (0, 0, 0)
        self._allowance.deal(done, self._crew.workers)

    def _tell(self, what: str) -> None:
        for worker in self._crew.workers:
            worker.send(do=what)

    def _begin(self, message: dict[str, Any]) -> None:
        asked = Run.from_dict(message["run"])
        self._say(f"run {asked.id}: {asked.scenario}")
        self._files = {path: str(_own_copy(Path(path), wanted)) for path, wanted in message["files"].items()}
        now_ns, wall_ns = anchor()
        run = replace(
            asked,
            scenario_path=self._files[asked.scenario_path],
            processes=self._processes,
            clock_ns=now_ns - (wall_ns - self._ahead_ns - asked.started_at_ns),
            metrics_url=None,  # the controlling host reads the server's page
        )
        self._clock_ns = run.clock_ns
        if message["collect"]:
            self._own_store = Path.cwd() / f"loadlab-{run.id}-{message['index']}.db"
        elif self._store_url.startswith("sqlite"):
            raise UsageError(
                f"{socket.gethostname()}: all hosts of this run write to one database, and a SQLite file is "
                "not shared; give --db postgresql://USER@HOST/NAME here, or start the run with --collect."
            )
        url = f"sqlite:///{self._own_store}" if self._own_store else self._store_url
        self._crew.start(self._processes)
        self._crew.recorder.send(
            do="begin", run=run.to_dict(), db=url, shared=not message["collect"], gpus=False
        )
        deal(self._crew.workers, message["index"], message["count"], do="begin", run=run.to_dict())

    def _begin_level(self, message: dict[str, Any]) -> None:
        """The common start comes as an offset from the start of the run: the same instant on every host."""
        message["start_ns"] = self._clock_ns + message["offset_ns"]
        message["level"]["trace"] = self._files.get(message["level"]["trace"])
        workers = living(self._crew.workers)
        for worker in workers:
            worker.counts = (0, 0, 0)
        self._crew.recorder.send(do="level", level=message["level"], start_ns=message["start_ns"])
        deal(workers, message.pop("index"), message.pop("count"), **message)
        self._level, self._busy = message["level"]["index"], True

    def _hear(self, part: Part, message: dict[str, Any]) -> None:
        if message["is"] != "finished":
            part.hear(message)
        elif self._own_store:
            self._relay.send(file=str(self._own_store))
        else:
            self._end()

    def _look_after(self) -> None:
        """What is to be done several times a second, whatever has been said."""
        if self._signalled:
            saved = "what was recorded here is saved" if self._crew.workers else "the run had not begun"
            raise InterruptedRunError(f"stopped by the user; {saved}.")
        if self._relay.gone and not self._over:
            raise InterruptedRunError("the connection process ended; what was recorded here is saved.")
        if not self._crew.workers:
            return
        everyone = [self._crew.recorder, *self._crew.workers]
        if not self._ready and all(part.ready for part in everyone):
            self._ready = True
            self._note_clock()
            self._relay.send(**{"is": "ready"})
        self._notice_losses()
        workers = living(self._crew.workers)
        if self._leaving:
            if not workers:
                self._crew.recorder.send(do="finish", state="finished", notes=[])
                self._leaving = False
            return
        done = self._busy and all(worker.level_done >= self._level for worker in workers)
        if done or time.monotonic() - self._told_at > _PROGRESS_S:
            self._tell_progress()
        if done:
            self._busy = False
            self._relay.send(**{"is": "level_done", "level": self._level})

    def _notice_losses(self) -> None:
        for part in (self._crew.recorder, *self._crew.workers):
            if part.gone and not part.loss_noted:
                part.loss_noted = True
                if fate := part.fate():
                    self._lose(part, fate)

    def _lose(self, part: Part, fate: str) -> None:
        if part is self._crew.recorder:
            raise MeasurementError(f"the recorder of this host was lost ({fate}).")
        self._relay.send(**{"is": "note", "note": loss(part, fate)})
        if not living(self._crew.workers) and not self._leaving:
            raise MeasurementError(f"its last load worker was lost ({fate}).")

    def _note_clock(self) -> None:
        if self._ahead_ns:
            ahead, trip = self._ahead_ns / NS_PER_MS, self._trip_ns / NS_PER_MS
            words = (
                f"its clock was {abs(ahead):.1f} ms {'ahead of' if ahead > 0 else 'behind'} the controlling "
                f"host's, which was allowed for to within {trip / 2:.1f} ms; keep both by NTP"
            )
            self._relay.send(**{"is": "note", "note": words})

    def _tell_progress(self) -> None:
        self._told_at = time.monotonic()
        sent, done, failed = (
            sum(column) for column in zip(*(worker.counts for worker in self._crew.workers), strict=True)
        )
        self._relay.send(
            **{"is": "progress", "sent": sent, "done": done, "failed": failed,
               "workers": len(living(self._crew.workers)), "tokens": self._crew.recorder.output_tokens,
               "ledger": astuple(self._crew.recorder.ledger)}
        )  # fmt: skip

    def _end(self) -> None:
        self._relay.send(**{"is": "finished"})
        self._over = True
        if self._own_store:
            self._own_store.unlink()


def _own_copy(path: Path, wanted: str) -> Path:
    """This host's copy of a file of the run. Raises UsageError when it has none or another version."""
    places = [path, Path.cwd() / path.name]
    with suppress(UnknownNameError):
        places.append(spec.find_scenario(path.stem))
    for place in places:
        if place.is_file() and digest(place) == wanted:
            return place
    raise UsageError(
        f"{socket.gethostname()}: {path.name} is not here as the controlling host has it; "
        f"copy {path} into {Path.cwd()}."
    )
