"""The connection between hosts: one process at each end, Locust's master and worker runners as transport.

Run as `python -m loadlab.drive.host_relay CONTROL_FD master|worker HOST PORT`. It passes messages between the
process that started it and the other hosts, measures the clock between them and notices who is gone. No user
runs here and no request is known here.
"""

from __future__ import annotations

import logging
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import gevent
import locust  # noqa: F401  before the rest: it monkey-patches what they use
from gevent.event import Event
from locust.env import Environment
from locust.exception import RPCError
from zmq import ZMQError

from loadlab.core.errors import ExitCode
from loadlab.drive.channel import Channel

_SAY, _PIECE, _TAKEN, _PING, _PONG, _BYE = (
    f"loadlab-{name}" for name in ("say", "piece", "taken", "ping", "pong", "bye")
)
_PINGS = 9
_PIECE_BYTES = 4 << 20
_POLL_S = 0.5
_MASTER_SILENT_S = 6.0
_LAST_WORDS_S = 0.3


class MasterEnd:
    """On the controlling host: every message carries the host it is from or for."""

    def __init__(self, control: Channel, host: str, port: int) -> None:
        self._control = control
        self._runner = Environment(user_classes=[]).create_master_runner(host, port)
        for name, listener in (
            (_SAY, self._said), (_PIECE, self._piece), (_PING, self._pinged), (_BYE, self._left),
        ):  # fmt: skip
            self._runner.register_message(name, listener)
        self._files: dict[str, Path] = {}
        self._gone: set[str] = set()
        control.send(**{"is": "bound", "port": self._runner.server.port})
        gevent.spawn(self._watch)

    def obey(self) -> None:
        """Passes messages on until the controlling process is gone."""
        while (messages := self._control.receive()) is not None:
            for message in messages:
                self._runner.send_message(_SAY, message["say"], message["to"])
        self._runner.send_message(_BYE)
        gevent.sleep(_LAST_WORDS_S)

    def _said(self, environment: Any, msg: Any) -> None:
        self._control.send(host=msg.node_id, said=msg.data)

    def _pinged(self, environment: Any, msg: Any) -> None:
        self._runner.send_message(_PONG, {"at_ns": time.time_ns()}, msg.node_id)

    def _piece(self, environment: Any, msg: Any) -> None:
        """One piece of a file; acknowledged, so that no more than one is under way."""
        if msg.node_id not in self._files:
            descriptor, name = tempfile.mkstemp(suffix=".db", prefix="loadlab-")
            os.close(descriptor)
            self._files[msg.node_id] = Path(name)
        with self._files[msg.node_id].open("ab") as file:
            file.write(msg.data["bytes"])
        if msg.data["last"]:
            path = str(self._files.pop(msg.node_id))
            self._control.send(host=msg.node_id, said={"is": "file", "path": path})
        self._runner.send_message(_TAKEN, None, msg.node_id)

    def _left(self, environment: Any, msg: Any) -> None:
        self._lost(msg.node_id, "its agent ended")

    def _watch(self) -> None:
        while True:
            for client in list(self._runner.clients.missing):
                self._lost(client.id, "its heartbeat stopped")
            gevent.sleep(_POLL_S)

    def _lost(self, host: str, how: str) -> None:
        if host not in self._gone:
            self._gone.add(host)
            self._control.send(host=host, said={"is": "gone", "how": how})


class WorkerEnd:
    """On a load host: messages go to and come from the controlling host."""

    def __init__(self, control: Channel, host: str, port: int) -> None:
        self._control = control
        self._pong, self._taken = Event(), Event()
        self._pong_ns = 0
        self._runner = Environment(user_classes=[]).create_worker_runner(host, port)
        self._runner.register_message(_SAY, self._said)
        self._runner.register_message(_PONG, self._ponged)
        self._runner.register_message(_TAKEN, lambda **_: self._taken.set())
        self._runner.register_message(_BYE, lambda **_: self._end("the controlling process ended"))
        offset_ns, trip_ns = self._clock()
        control.send(**{"is": "joined", "offset_ns": offset_ns, "trip_ns": trip_ns})
        gevent.spawn(self._watch)

    def obey(self) -> None:
        """Passes messages on until the agent is gone."""
        while (messages := self._control.receive()) is not None:
            for message in messages:
                if "file" in message:
                    self._send_file(Path(message["file"]))
                else:
                    self._runner.send_message(_SAY, message)
        self._runner.send_message(_BYE)
        gevent.sleep(_LAST_WORDS_S)

    def _said(self, environment: Any, msg: Any) -> None:
        self._control.send(**msg.data)

    def _ponged(self, environment: Any, msg: Any) -> None:
        self._pong_ns = msg.data["at_ns"]
        self._pong.set()

    def _clock(self) -> tuple[int, int]:
        """How far this clock is ahead of the controlling host's, and the fastest round trip, in ns."""
        tries = []
        for _ in range(_PINGS):
            self._pong.clear()
            sent = time.time_ns()
            self._runner.send_message(_PING)
            if self._pong.wait(1.0):
                back = time.time_ns()
                tries.append((back - sent, (sent + back) // 2 - self._pong_ns))
        if not tries:
            self._end("the controlling host does not answer")
        trip_ns, offset_ns = min(tries)
        return offset_ns, trip_ns

    def _send_file(self, path: Path) -> None:
        size, sent = path.stat().st_size, 0
        with path.open("rb") as file:
            while sent < size:
                data = file.read(_PIECE_BYTES)
                sent += len(data)
                self._taken.clear()
                self._runner.send_message(_PIECE, {"bytes": data, "last": sent == size})
                if not self._taken.wait(_MASTER_SILENT_S):
                    self._end(f"the controlling host stopped taking the records; they are in {path}")
        self._control.send(**{"is": "handed_over"})

    def _watch(self) -> None:
        while True:
            heard = self._runner.last_heartbeat_timestamp
            if heard and time.time() - heard > _MASTER_SILENT_S:
                self._end(f"the controlling host gave no sign of life for {_MASTER_SILENT_S:g} s")
            gevent.sleep(_POLL_S)

    def _end(self, why: str) -> None:
        self._control.send(**{"is": "cut_off", "why": why})
        os._exit(ExitCode.OK)


def main() -> None:
    """Entry point of the process."""
    logging.getLogger("locust").setLevel(logging.CRITICAL)
    control = Channel.of(int(sys.argv[1]))
    end = MasterEnd if sys.argv[2] == "master" else WorkerEnd
    host, port = sys.argv[3], int(sys.argv[4])
    try:
        end(control, host, port).obey()
    except (RPCError, ZMQError, ConnectionError, SystemExit) as error:
        # Locust ends the process where the port is taken.
        why = "the address is in use" if isinstance(error, SystemExit) else str(error) or "no answer"
        control.send(**{"is": "cut_off", "why": f"{host}:{port}: {why}"})
    # Locust leaves greenlets and atexit hooks that have nothing more to do here.
    os._exit(ExitCode.OK)


if __name__ == "__main__":
    main()
