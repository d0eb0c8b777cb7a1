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
from collections.abc import Mapping
from typing import Any

import gevent
from gevent import socket
from locust import LoadTestShape  # before the rest: locust monkey-patches what they use
from locust.env import Environment
from locust.util.load_locustfile import load_locustfile

from loadlab.core.clock import now_ns
from loadlab.core.errors import ExitCode, LoadlabError, MeasurementError, UsageError
from loadlab.core.nouns import Exchange, Level, Run
from loadlab.core.units import NS_PER_MS, NS_PER_S
from loadlab.drive import plain
from loadlab.drive.admission import Admission, share_of
from loadlab.drive.channel import Channel
from loadlab.drive.driver import Driver
from loadlab.drive.health import Health
from loadlab.drive.user import StreamUser
from loadlab.recorder.link import RecorderLink
from loadlab.workloads import asked

_POLL_S = 0.02
_SHAPE_S = 1.0
_PROGRESS_S = 0.25


class Worker:
    """Part `index` of `count` of a run's load."""

    def __init__(
        self,
        run: Run,
        index: int,
        count: int,
        control: Channel,
        link: RecorderLink,
        reached: Mapping[str, Any],
    ) -> None:
        self._control, self._link = control, link
        self._health = Health(f"worker{index}", link.read)
        self._index, self._count = index, count
        self._timeout_s = run.timeout_s
        self._max_rate = run.max_rate
        self._allowed: int | None = None
        self._told: set[str] = set()
        self._driver = Driver(
            run.endpoint,
            self._sink,
            seed=run.seed,
            timeouts=run.timeouts,
            max_tokens=run.max_tokens,
            exact_length=run.exact_length,
            prompt_tokens=run.prompt_tokens,
            worker=index,
            workers=count,
            routes=[route.endpoint for route in run.routes],
            fresh_prompts=run.fresh_prompts,
            first=reached.get("seq", 0),
            drawn=reached.get("sent", {}).get(str(index), 0),
            workload=asked(run.workload) if run.workload else None,
        )
        users, self._shapes = _load(run)
        self._environment = Environment(user_classes=users, host=run.endpoint.url)
        self._environment.loadlab_driver = self._driver
        self._environment.loadlab_routes = {route.name: at for at, route in enumerate(run.routes, 1)}
        self._environment.events.user_error.add_listener(self._scenario_broke)
        self._runner = self._environment.create_local_runner()

    def obey(self) -> None:
        """Carries out commands until `exit`, or until the supervisor is gone."""
        gevent.spawn(self._health.watch)
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
        self._driver.close()
        self._link.close()

    def _carry_out(self, message: dict[str, Any]) -> None:
        if message["do"] == "level":
            # The place of a level closes the gaps that lost workers left; rows keep this worker's number.
            self._index = self._driver.worker = message["index"]
            self._count = self._driver.workers = message["count"]
            level = gevent.spawn(self._run_level, Level(**message["level"]), message["start_ns"])
            level.link_exception(self._broke)
        elif message["do"] == "drain" and self._driver.admission:
            self._driver.admission.drain()
        elif message["do"] == "allow":
            self._allow(message["done"])
        elif message["do"] == "stop":
            self._cut()

    def _allow(self, done: int) -> None:
        """How many requests of a level may be done before the spend guard is asked again."""
        self._allowed = done
        if self._driver.admission:
            self._driver.admission.allowed = done

    def _run_level(self, level: Level, start_ns: int) -> None:
        share = share_of(level.requests, self._index, self._count)
        admission = Admission(level, start_ns, share)
        admission.allowed = self._allowed
        if self._max_rate and level.rate is None:
            admission.gap_ns = round(NS_PER_S * self._count / self._max_rate)
        self._driver.enter(admission)
        # A collection of the whole heap takes longer than a token: none while the level runs.
        gc.collect()
        gc.freeze()
        gc.disable()
        self._health.restart()
        if level.arrivals == "shape":
            self._follow_shape(admission)
        else:
            self._start_users(admission)
        gc.enable()
        gc.unfreeze()
        self._report(admission)
        self._control.send(**{"is": "level_done", "level": level.index})

    def _start_users(self, admission: Admission) -> None:
        level = admission.level
        if level.rate is None:
            users = share_of(level.users, self._index, self._count)
            self._await_start(admission)
        else:
            # One user a worker, who sends no request but lets the arrivals in, and is ready when they come.
            users = 1
        if users:
            self._runner.start(users, spawn_rate=users)
            self._wait_until_over(admission)
            self._runner.stop()

    def _await_start(self, admission: Admission) -> None:
        gevent.sleep(max(0.0, (admission.started_ns - now_ns()) / NS_PER_S))

    def _wait_until_over(self, admission: Admission) -> None:
        while not admission.over:
            gevent.sleep(_POLL_S)

    def _follow_shape(self, admission: Admission) -> None:
        """Asks the scenario's shape every second for its users, of which this worker starts its part."""
        shape = self._shapes[0]
        shape.runner = self._runner
        self._await_start(admission)
        shape.reset_time()
        # A user whom the shape takes away reads its answer to the end first.
        self._environment.stop_timeout = self._timeout_s
        while admission.open and (tick := shape.tick()):
            users, rate = share_of(tick[0], self._index, self._count) or 0, tick[1]
            if users != self._runner.target_user_count:
                self._runner.start(users, spawn_rate=max(1, users, rate))
            gevent.sleep(_SHAPE_S)
        admission.drain()
        self._wait_until_over(admission)
        self._environment.stop_timeout = 0
        self._runner.stop()

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
            self._tell_troubles()
            if self._driver.admission:
                self._report(self._driver.admission)

    def _tell_troubles(self) -> None:
        """Says once what will soon make an endpoint refuse us."""
        for trouble in self._driver.troubles():
            if trouble not in self._told:
                self._told.add(trouble)
                self._control.send(**{"is": "note", "note": trouble})

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

    def _broke(self, level: gevent.Greenlet) -> None:
        """A defect of ours; the traceback is on stderr already."""
        _complain(self._control, MeasurementError(f"a load worker failed: {level.exception!r}."))

    def _scenario_broke(self, user_instance: Any, exception: Exception, tb: Any) -> None:
        place = traceback.extract_tb(tb)[-1]
        words = f"{type(exception).__name__}: {exception} ({place.filename}:{place.lineno})"
        _complain(self._control, UsageError(f"the scenario raised {words}."))
        self._cut()


def _load(run: Run) -> tuple[list[type[StreamUser]], list[LoadTestShape]]:
    """The scenario's users and shapes. Raises UsageError when it cannot be loaded or lacks what is asked."""
    path = run.scenario_path
    try:
        classes, shapes = load_locustfile(path)
    except Exception as error:
        words = f"{type(error).__name__}: {error}"
        raise UsageError(f"scenario '{path}' cannot be loaded: {words}.") from error
    users = [user for user in classes.values() if issubclass(user, StreamUser)]
    if not users:
        raise UsageError(f"scenario '{path}' has no StreamUser; subclass loadlab.drive.StreamUser in it.")
    if not shapes and any(level.arrivals == "shape" for level in run.levels):
        raise UsageError(f"scenario '{path}' has no LoadTestShape; define one in it, or give --users.")
    return users, shapes


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
        run, place = Run.from_dict(command["run"]), (command["index"], command["count"])
        worker = Worker(run, *place, control, link, command.get("reached", {}))
    except LoadlabError as error:
        _complain(control, error)
        sys.exit(int(error.exit_code))
    worker.obey()
    worker.close()
    # Locust leaves greenlets and atexit hooks that have nothing more to do here.
    os._exit(ExitCode.OK)


if __name__ == "__main__":
    main()
