"""A thread beside a scheduler that tells what is new: after each job, and every half minute what is left."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from threading import Event, Thread
from typing import Self

from loadlab.alerts import delivery
from loadlab.alerts.channels import Alerts
from loadlab.core.errors import StoreError
from loadlab.store.store import Store

EVERY_S = 30.0


class Poster:
    """Works as long as the `with` block lasts, and once more at its end. Without channels it does nothing."""

    def __init__(
        self, store: Store, about: Alerts, environ: Mapping[str, str], announce: Callable[[str], None]
    ) -> None:
        self._store, self._about, self._environ, self._announce = store, about, environ, announce
        self._due, self._over = Event(), False
        self._thread = Thread(target=self._go, name="alerts", daemon=True)

    def nudge(self) -> None:
        """Something may be new."""
        self._due.set()

    def __enter__(self) -> Self:
        if self._about.channels:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over = True
        self.nudge()
        if self._about.channels:
            self._thread.join()

    def _go(self) -> None:
        while True:
            self._due.wait(EVERY_S)
            self._due.clear()
            over = self._over
            try:
                self._round()
            except StoreError as error:  # the next round tries again
                self._announce(str(error))
            if over:
                return

    def _round(self) -> None:
        delivery.collect(self._store, self._about)
        sent, troubles = delivery.send_due(self._store, self._about, self._environ)
        for words in (*(f"told {each.channel}: {each.document['title']}" for each in sent), *troubles):
            self._announce(words)
