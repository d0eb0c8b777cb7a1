"""The Locust user that a scenario subclasses. Importing this module imports locust."""

from __future__ import annotations

from typing import Any

import gevent
from gevent.pool import Group
from locust import User, constant
from locust.exception import StopUser
from locust.user.task import DefaultTaskSet

from loadlab.core.clock import now_ns
from loadlab.core.errors import UnknownNameError
from loadlab.core.nouns import Exchange, Level, Request
from loadlab.core.units import NS_PER_S
from loadlab.drive.admission import Admission
from loadlab.drive.driver import Driver
from loadlab.drive.plain import driver_for
from loadlab.drive.punctual import Waiter
from loadlab.shapes import arrivals, schedule_seed
from loadlab.workloads import Prompts, Workload

_POLL_S = 0.02
# Making a user and its request takes longer than sending it: an arrival is made ready before it is due.
_AHEAD_NS = 5_000_000


class StreamUser(User):  # type: ignore[misc]
    """One person or program that asks a model and reads its whole answer.

    Tasks call `self.send(self.next_request())`. In a closed loop each user repeats its tasks; in an open loop
    every planned arrival is a fresh user that carries out one task. `dialect` counts under plain `locust`
    only; `loadlab run` takes it from the target.
    """

    abstract = True
    wait_time = constant(0)
    dialect = "openai-chat"
    workload: Workload = Prompts()

    def __init__(self, environment: Any) -> None:
        super().__init__(environment)
        self.driver: Driver = driver_for(environment, self)
        self._planned_ns: int | None = None
        if (level := self._level) and level.think_s is not None:
            think_s = level.think_s
            self.wait_time = lambda: think_s

    def next_request(self) -> Request:
        """The next request of this user's workload."""
        return self.driver.next_request(self.workload)

    def send(self, request: Request, to: str | None = None) -> Exchange:
        """Sends and waits for the whole answer, from the target or from the route of that name.

        Raises StopUser once the level is over, and UnknownNameError for a route that the run does not have.
        """
        route = self._route(to) if to else 0
        planned_ns, self._planned_ns = self._planned_ns, None
        admission = self.driver.admission
        if planned_ns is None and admission:
            self._await_leave(admission)
            if not admission.open:
                raise StopUser
        return self.driver.send(request, planned_ns, route)

    def _route(self, name: str) -> int:
        routes = getattr(self.environment, "loadlab_routes", {})
        if name not in routes:
            raise UnknownNameError("route (--route NAME=TARGET)", name, routes)
        return int(routes[name])

    def _await_leave(self, admission: Admission) -> None:
        """Waits while a cap on the rate or the spend guard holds requests back."""
        if admission.gap_ns:
            gevent.sleep(max(0.0, (admission.next_slot() - now_ns()) / NS_PER_S))
        while admission.paused and admission.open:
            gevent.sleep(_POLL_S)

    def start(self, group: Group) -> gevent.Greenlet:
        """Locust's way of starting a user; in an open loop the one user it starts dispatches arrivals."""
        level = self._level
        if level is None or (level.rate is None and level.spread_s is None):
            return super().start(group)
        self._group = group
        begin = StreamUser._take_turn if level.rate is None else StreamUser._dispatch
        # Locust finds the user of a greenlet, to stop it, as the first argument of its function.
        self._greenlet = group.spawn(begin, self)
        return self._greenlet

    @property
    def _level(self) -> Level | None:
        return self.driver.admission.level if self.driver.admission else None

    def _take_turn(self) -> None:
        """Users that start one after the other, spread over a time."""
        admission = self.driver.admission
        assert admission
        assert admission.level.spread_s
        assert admission.level.users
        turn = admission.next_turn() * self.driver.workers + self.driver.worker
        wait_ns = round(admission.level.spread_s * NS_PER_S * turn / admission.level.users)
        gevent.sleep(max(0.0, (admission.started_ns + wait_ns - now_ns()) / NS_PER_S))
        self.run()

    def _dispatch(self) -> None:
        """Makes every arrival ready just before its planned time, late ones at once and none skipped.

        The arrival itself waits out the rest, in `Driver.send`.
        """
        driver, admission = self.driver, self.driver.admission
        assert admission is not None
        seed = schedule_seed(driver.seed, admission.level.index)
        visitors, clock = Group(), Waiter()
        try:
            for number, offset in enumerate(arrivals(admission.level, seed)):
                if number % driver.workers != driver.worker:
                    continue
                due = admission.started_ns + offset
                clock.until(due - _AHEAD_NS)
                self._await_leave(admission)
                if not admission.open:
                    break
                visitors.spawn(self._visit, due)
            visitors.join()
        finally:
            visitors.kill()
            admission.drain()
            clock.close()

    def _visit(self, planned_ns: int) -> None:
        visitor = type(self)(self.environment)
        visitor._planned_ns = planned_ns
        tasks = DefaultTaskSet(visitor)
        try:
            visitor.on_start()
            tasks.execute_task(tasks.get_next_task())
            visitor.on_stop()
        except StopUser:
            visitor.on_stop()
        except Exception as error:
            self.environment.events.user_error.fire(
                user_instance=visitor, exception=error, tb=error.__traceback__
            )
