"""Load from several hosts, as the controlling host sees it: who has come, what they say, who is lost.

The supervisor treats a host as it treats a load worker. A process of its own (`host_relay`) holds the
connections; nothing here knows a single request, and no password passes.
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from loadlab import __version__
from loadlab.core.errors import UsageError
from loadlab.core.nouns import Run
from loadlab.drive.crew import Child, Crew, Ledger, Part

DEFAULT_PORT = 5557


class Host(Part):
    """One load host: as many shares of the load as it has load workers alive."""

    notice_ns = 500_000_000
    patience_s = 600.0

    def __init__(self, name: str, workers: int, send: Callable[[Mapping[str, Any]], None]) -> None:
        super().__init__(name)
        self.workers = workers
        self._send = send
        self._how: str | None = "the connection process ended"

    def send(self, **message: Any) -> None:
        self._send(message)

    def fate(self) -> str | None:
        return self._how

    def hear(self, message: dict[str, Any]) -> None:
        match message["is"]:
            case "finished":
                self.lose(None)
            case "gone":
                self.lose(message["how"])
            case "error" if self.ready:
                self.lose(message["message"].rstrip("."))
            case _:
                self.workers = message.get("workers", self.workers)
                self.output_tokens = message.get("tokens", self.output_tokens)
                self.ledger = Ledger(*message["ledger"]) if "ledger" in message else self.ledger
                super().hear(message)

    def lose(self, how: str | None) -> None:
        """Takes it that the host is gone; None when it ended as told."""
        if not self.gone:
            self.gone, self._how = True, how


class Relay(Child):
    """The process that listens for load hosts and passes messages on."""

    def __init__(self, host: str, port: int, wanted: int) -> None:
        super().__init__(
            "connection to the load hosts", "loadlab.drive.host_relay", "master", host, str(port)
        )
        self._wanted = wanted
        self._known: dict[str, Host] = {}
        self.port: int | None = None

    @property
    def hosts(self) -> list[Host]:
        """The hosts that have come and are not gone, in the order they came."""
        return [host for host in self._known.values() if not host.gone]

    def receive(self) -> list[tuple[Part, dict[str, Any]]] | None:
        messages = self.channel.receive()
        if messages is None:
            for host in self.hosts:
                host.lose("the connection process ended")
            return None
        return [pair for message in messages if (pair := self._sort(message))]

    def _sort(self, message: dict[str, Any]) -> tuple[Part, dict[str, Any]] | None:
        if "host" not in message:
            return self, message
        identity, said = message["host"], message["said"]
        if identity in self._known:
            return self._known[identity], said
        if said["is"] == "hello":
            self._welcome(identity, said)
        return None

    def _welcome(self, identity: str, hello: Mapping[str, Any]) -> None:
        why = None
        if (theirs := hello["environment"]["loadlab"]) != __version__:
            why = f"it has loadlab {theirs}, the controlling host {__version__}; install the same"
        elif len(self.hosts) == self._wanted:
            why = f"the run has all of its {self._wanted} hosts already"
        if why:
            self.send(to=identity, say={"do": "refuse", "why": why})
            return
        name = f"load host {len(self._known) + 1} ({hello['host']})"
        host = Host(name, hello["processes"], lambda message: self.send(to=identity, say=message))
        host.about = hello["environment"]
        self._known[identity] = host

    def hear(self, message: dict[str, Any]) -> None:
        if message["is"] == "cut_off":
            raise UsageError(
                f"cannot listen for load hosts: {message['why']}; give another --bind HOST:PORT."
            )
        self.port = message["port"]


class Hosts:
    """The load hosts of a run: `count` of them, connecting to `bind` (HOST:PORT, port 0 for any).

    With `collect` each records for itself and hands its rows over at the end; otherwise all write to the one
    database. Raises UsageError for an address open to others without `allow_remote`.
    """

    def __init__(
        self, count: int, bind: str, *, allow_remote: bool, collect: bool, announce: Callable[[str], None]
    ) -> None:
        if count < 1:
            raise UsageError(f"--hosts {count} leaves nobody to send requests; it must be at least 1.")
        self._host, self._port = address(bind)
        if not allow_remote and not is_loopback(self._host):
            raise UsageError(
                f"--bind {bind} lets anyone who reaches it join the run or read what it sends: Locust's "
                "connection has no password and no encryption. Add --allow-remote if you trust that network."
            )
        self._count, self._collect, self._announce = count, collect, announce

    def gather(self, crew: Crew, go_on: Callable[[], None]) -> list[Host]:
        """The hosts, once all have come; `go_on` is called several times a second and may raise."""
        relay = Relay(self._host, self._port, self._count)
        crew.add(relay)
        told = -1
        while len(relay.hosts) < self._count:
            for part, message in crew.listen():
                part.hear(message)
            go_on()
            if relay.gone:
                raise UsageError(f"cannot listen for load hosts at {self._host}:{self._port}.")
            if relay.port and told != len(relay.hosts):
                told = len(relay.hosts)
                self._announce(
                    f"{told} of {self._count} load hosts are here; on the others: "
                    f"loadlab worker --master {self._host}:{relay.port}"
                )
        return relay.hosts

    def brief(self, run: Run) -> dict[str, Any]:
        """What a host must know of the run besides its share. Files do not travel, their digests do."""
        caps = [level.max_in_flight for level in run.levels if level.max_in_flight is not None]
        if caps and min(caps) < run.processes:
            raise UsageError(
                f"--max-in-flight {min(caps)} leaves some of the {run.processes} load workers with none."
            )
        paths = {run.scenario_path, *(level.trace for level in run.levels if level.trace)}
        files = {path: digest(Path(path)) for path in paths}
        return {"run": run.to_dict(), "collect": self._collect, "files": files}


def address(text: str) -> tuple[str, int]:
    """Host and port of HOST:PORT; the port may be left out. Raises UsageError."""
    host, colon, port = text.rpartition(":")
    if not colon or text.endswith("]"):
        host, port = text, str(DEFAULT_PORT)
    if not host or not port.isdecimal() or int(port) > 65535:
        raise UsageError(f"'{text}' is no address; write it like 127.0.0.1:{DEFAULT_PORT}.")
    return host, int(port)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the address."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def digest(path: Path) -> str:
    """What tells one version of a file from another."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
