"""The processes of one load host: a recorder and its load workers, joined by socket pairs.

It knows how they start, speak, are lost and end. What they are told is the business of whoever leads them:
the supervisor of a run, or the agent of one host of several. It imports neither locust nor SQL.
"""

from __future__ import annotations

import selectors
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from loadlab.core.errors import ExitCode, LoadlabError
from loadlab.drive.channel import Channel

_POLL_S = 0.1
_LINK_BUFFER = 4 << 20
_GRACE_S = 5.0


@dataclass(frozen=True, slots=True)
class Ledger:
    """What a recorder has priced: requests, what they cost (nano-USD), those of unknown cost, the dearest."""

    settled: int = 0
    nano_usd: int = 0
    unknown: int = 0
    dearest_nano_usd: int = 0

    def __add__(self, other: Ledger) -> Ledger:
        return Ledger(
            self.settled + other.settled,
            self.nano_usd + other.nano_usd,
            self.unknown + other.unknown,
            max(self.dearest_nano_usd, other.dearest_nano_usd),
        )


class Part:
    """Whoever carries a share of a run: a load worker here, or another host with load workers of its own.

    `workers` is how many load workers it has, `notice_ns` how far ahead it must know the start of a level,
    `patience_s` how long it may take to hand over what it still holds at the end. `about` describes its
    machine, unless that is this one.
    """

    notice_ns = 100_000_000
    patience_s = 60.0

    def __init__(self, name: str) -> None:
        self.name = name
        self.workers = 1
        self.ready = self.gone = self.loss_noted = False
        self.level_done = self.level_closed = -1
        self.written = 0
        self.counts = (0, 0, 0)
        self.output_tokens = 0
        self.ledger = Ledger()
        self.about: Mapping[str, Any] = {}

    def send(self, **message: Any) -> None:
        """Gives a command; a part that has gone is noticed by whoever listens."""
        raise NotImplementedError

    def fate(self) -> str | None:
        """Once it is gone: how it was lost, in words; None when it ended as told."""
        raise NotImplementedError

    def hear(self, message: dict[str, Any]) -> None:
        """Takes in what it says of itself. Raises the error it reports."""
        match message["is"]:
            case "ready":
                self.ready = True
            case "progress":
                self.counts = (message["sent"], message["done"], message["failed"])
            case "level_done":
                self.level_done = message["level"]
            case "level_closed":
                self.level_closed = message["level"]
            case "written":
                self.written = message["written"]
                self.output_tokens = message["output_tokens"]
                self.ledger = Ledger(*message["ledger"])
            case "error":
                raise as_error(message)


class Child(Part):
    """A process of this host and our end of its channel."""

    def __init__(self, name: str, module: str, *arguments: str, passed: Sequence[socket.socket] = ()) -> None:
        super().__init__(name)
        ours, theirs = socket.socketpair()
        self.channel = Channel(ours)
        descriptors = [theirs.fileno(), *(sock.fileno() for sock in passed)]
        self.process = subprocess.Popen(
            [sys.executable, "-m", module, *map(str, descriptors), *arguments],
            pass_fds=descriptors,
            stdin=subprocess.DEVNULL,
            stdout=2,
            # Its own group: the terminal's Ctrl-C is for the leading process alone.
            process_group=0,
        )
        theirs.close()
        for sock in passed:
            sock.close()

    def send(self, **message: Any) -> None:
        self.channel.send(**message)

    def fate(self) -> str | None:
        code = self.process.wait()
        return None if code == 0 else f"signal {-code}" if code < 0 else f"exit code {code}"

    def receive(self) -> list[tuple[Part, dict[str, Any]]] | None:
        """What has been said and by whom; None once the process is gone."""
        messages = self.channel.receive()
        return None if messages is None else [(self, message) for message in messages]

    def end(self, patience_s: float = _GRACE_S) -> None:
        """Waits for the process to end by itself, then insists."""
        try:
            self.process.wait(patience_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.channel.close()


class Crew:
    """The processes of this host. The recorder's death ends their work; a load worker's does not."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self.children: list[Child] = []
        self.workers: list[Child] = []

    def start(self, workers: int) -> None:
        """Starts the recorder and so many load workers, side by side."""
        pairs = [socket.socketpair() for _ in range(workers)]
        for ours, _ in pairs:
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _LINK_BUFFER)
        for index, (ours, _) in enumerate(pairs):
            worker = Child(f"load worker {index}", "loadlab.drive.worker", passed=[ours])
            self.workers.append(self.add(worker))
        links = [theirs for _, theirs in pairs]
        self.recorder = self.add(Child("recorder", "loadlab.recorder.process", passed=links))

    def add(self, child: Child) -> Child:
        """Listens to one more process from now on."""
        self.children.append(child)
        self._selector.register(child.channel, selectors.EVENT_READ, child)
        return child

    def listen(self) -> Iterator[tuple[Part, dict[str, Any]]]:
        """What is said within a tenth of a second, by whom; marks as gone whoever has hung up."""
        for key, _ in self._selector.select(_POLL_S):
            child: Child = key.data
            said = child.receive()
            if said is None:
                self._selector.unregister(child.channel)
                child.gone = True
            yield from said or ()

    def kill_workers(self) -> None:
        """Ends the load workers that did not end when told to."""
        for worker in self.workers:
            if not worker.gone:
                worker.process.kill()

    def close(self) -> None:
        """Hangs up on everyone and waits for them to save and end."""
        for child in self.children:
            child.channel.close()
        for child in self.children:
            child.end()
        self._selector.close()


def living(parts: Sequence[Part]) -> list[Part]:
    """The parts that are not gone."""
    return [part for part in parts if not part.gone]


def deal(parts: Sequence[Part], first: int, count: int, **message: Any) -> None:
    """Gives every part a command and its place: it carries shares `index`, `index` + 1, … of `count`."""
    for part in parts:
        part.send(**message, index=first, count=count)
        first += part.workers


def loss(part: Part, fate: str) -> str:
    """What the loss of a part means, for the notes of the run."""
    sent, done, _ = part.counts
    return (
        f"{part.name} was lost during the run ({fate}): what it had finished is kept, "
        f"{sent - done} requests it had under way are not; the rest of that level ran without its share"
    )


def as_error(message: dict[str, Any]) -> LoadlabError:
    """The error that a process reported."""
    error = LoadlabError(message["message"])
    error.exit_code = ExitCode(message["exit"])
    return error
