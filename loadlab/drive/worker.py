"""The load worker: one process, a real Locust environment with a local runner, driven over a channel.

Run as `python -m loadlab.drive.worker CONTROL_FD LINK_FD`. The first command carries the run; once the
worker is ready come level, drain (admit nothing more), stop (cut what is in flight) and exit. It never
decodes and never talks SQL.
"""

from __future__ import annotations

import gc
import logging
import os
import signal
import sys
import traceback
from typing import Any

import gevent
import locust  # noqa: F401  before the rest: it monkey-patches what they use
from gevent import socket
from locust.env import Environment
from locust.util.load_locustfile import load_locustfile

from loadlab.core.clock import now_ns
from loadlab.core.errors import ExitCode, LoadlabError, UsageError
from loadlab.core.nouns import Exchange, Level, Run
from loadlab.core.units import NS_PER_MS, NS_PER_S
from loadlab.drive import health, plain
from loadlab.drive.admission import Admission, share_of
from loadlab.drive.channel import Channel
from loadlab.drive.driver import Driver
from loadlab.drive.user import StreamUser
from loadlab.recorder.link import RecorderLink

_POLL_S = 0.02
_PROGRESS_S = 0.25


class Worker:
    """Part `index` of `count` of a run's load."""

    def __init__(self, run: Run, index: int, count: int, control: Channel, link: RecorderLink) -> None:
        self._control, self._link = control, link
        self._index, self._count = index, count
        self._driver = Driver(
            run.endpoint,
            self._sink,
            seed=run.seed,
            timeouts=run.timeouts,
            max_tokens=run.max_tokens,
            prompt_tokens=run.prompt_tokens,
            worker=index,
            workers=count,
        )
        self._environment = Environment(user_classes=_users(run), host=run.endpoint.url)
        self._environment.loadlab_driver = self._driver
        self._environment.events.user_error.add_listener(self._scenario_broke)
        self._runner = self._environment.create_local_runner()

    def obey(self) -> None:
        """Carries out commands until `exit`, or until the supervisor is gone."""
        gevent.spawn(health.watch, f"worker{self._index}", self._link.read)
        gevent.spawn(self._report_forever)
        self._control.send(**{"is": "ready"})
        while (messages := self._control.receive()) is not None:
            for message in messages:
                if message["do"] == "exit":
                    return
                self._carry_out(message)
        self._cut()

    def close(self) -> None:
        """Hands over what is left."""
        self._cut()
        self._driver.client.close()
        self._link.close()

    def _carry_out(self, message: dict[str, Any]) -> None:
        if message["do"] == "level":
            gevent.spawn(self._run_level, Level(**message["level"]), message["start_ns"])
        elif message["do"] == "drain" and self._driver.admission:
            self._driver.admission.drain()
        elif message["do"] == "stop":
            self._cut()

    def _run_level(self, level: Level, start_ns: int) -> None:
        share = share_of(level.requests, self._index, self._count)
        users = 1 if level.users is None else share_of(level.users, self._index, self._count) or 0
        admission = self._driver.admission = Admission(level, start_ns, share)
        # A collection of the whole heap takes longer than a token: none while the level runs.
        gc.collect()
        gc.freeze()
        gc.disable()
        gevent.sleep(max(0.0, (start_ns - now_ns()) / NS_PER_S))
        if users:
            self._runner.start(users, spawn_rate=users)
            while not admission.over:
                gevent.sleep(_POLL_S)
            self._runner.stop()
        gc.enable()
        gc.unfreeze()
        self._report(admission)
        self._control.send(**{"is": "level_done", "level": level.index})

    def _cut(self) -> None:
        if self._driver.admission:
            self._driver.admission.drain()
            self._runner.stop()

    def _sink(self, exchange: Exchange) -> None:
        self._link.put(exchange)
        start = exchange.planned_ns if exchange.sent_ns is None else exchange.sent_ns
        failure = Exception(exchange.error_kind) if exchange.error_kind else None
        plain.fire(
            self._environment, exchange, "POST", ((exchange.done_ns or start) - start) / NS_PER_MS, failure
        )

    def _report_forever(self) -> None:
        while True:
            gevent.sleep(_PROGRESS_S)
            if self._driver.admission:
                self._report(self._driver.admission)

    def _report(self, admission: Admission) -> None:
        self._control.send(
            **{
                "is": "progress",
                "level": admission.level.index,
                "sent": admission.sent,
                "done": admission.done,
                "failed": admission.failed,
                "recorder_lost": self._link.lost,
            }
        )

    def _scenario_broke(self, user_instance: Any, exception: Exception, tb: Any) -> None:
        place = traceback.extract_tb(tb)[-1]
        words = f"{type(exception).__name__}: {exception} ({place.filename}:{place.lineno})"
        _complain(self._control, UsageError(f"the scenario raised {words}."))
        self._cut()


def _users(run: Run) -> list[type[StreamUser]]:
    """The scenario's user classes. Raises UsageError when it cannot be imported or has none of ours."""
    try:
        classes = load_locustfile(run.scenario_path)[0]
    except Exception as error:
        raise UsageError(
            f"scenario '{run.scenario_path}' cannot be loaded: {type(error).__name__}: {error}."
        ) from error
    users = [user for user in classes.values() if issubclass(user, StreamUser)]
    if not users:
        raise UsageError(
            f"scenario '{run.scenario_path}' has no StreamUser; subclass loadlab.drive.StreamUser in it."
        )
    return users


def _complain(control: Channel, error: LoadlabError) -> None:
    control.send(**{"is": "error", "message": str(error), "exit": int(error.exit_code)})


def main() -> None:
    """Entry point of the process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    logging.getLogger("locust").setLevel(logging.CRITICAL)
    control = Channel.of(int(sys.argv[1]))
    link = RecorderLink(socket.socket(fileno=int(sys.argv[2])))
    first = control.receive()
    if not first:
        return
    command = first[0]
    try:
        worker = Worker(Run.from_dict(command["run"]), command["index"], command["count"], control, link)
    except LoadlabError as error:
        _complain(control, error)
        sys.exit(int(error.exit_code))
    worker.obey()
    worker.close()
    # Locust leaves greenlets and atexit hooks that have nothing more to do here.
    os._exit(ExitCode.OK)


if __name__ == "__main__":
    main()
