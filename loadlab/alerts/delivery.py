"""From the store to the channels: what is new is written down, and what is due is sent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from loadlab.alerts import channels, occasions
from loadlab.alerts.channels import Alerts
from loadlab.alerts.nouns import Alert, UndeliveredError
from loadlab.core.errors import LoadlabError
from loadlab.store.outbox import Letter, Outbox
from loadlab.store.schedule_log import ScheduleLog
from loadlab.store.store import Store

FIRST_S, FACTOR, LONGEST_S, MOST_TRIES = 2.0, 4.0, 3600.0, 10
_GATES, _ENTRIES = 100, 300


def collect(store: Store, about: Alerts) -> int:
    """Writes down what is new and nobody was told of; gives how many letters."""
    outbox = Outbox(store)
    return sum(_post(outbox, about, alert) for alert in _new(store, outbox.last_events(), about))


def _post(outbox: Outbox, about: Alerts, alert: Alert) -> int:
    return outbox.add(alert.to_dict(), [each.name for each in about.channels if alert.kind in each.on])


def _new(store: Store, last: Mapping[str, str], about: Alerts) -> Iterator[Alert]:
    untold = [
        each for each in store.incidents.all(["open"], untold=True) if occasions.recent(each.opened_at_ns)
    ]
    yield from occasions.of_incidents(untold, about)
    gates = [
        gate
        for gate in store.gates(limit=_GATES).to_dict("records")
        if occasions.recent(gate["judged_at_ns"])
    ]
    yield from occasions.of_gates(gates, last, about)
    entries = [
        each for each in ScheduleLog(store).entries(limit=_ENTRIES) if occasions.recent(each.booked_at_ns)
    ]
    yield from occasions.of_jobs(entries, last, about)


def send_due(store: Store, about: Alerts, environ: Mapping[str, str]) -> tuple[list[Letter], list[str]]:
    """Sends every letter that is due: those that arrived, and a sentence for each that did not."""
    outbox, sent, troubles = Outbox(store), [], []
    names = [channel.name for channel in about.channels]
    while letter := outbox.claim(names):
        try:
            channels.deliver(about.channel(letter.channel), Alert.from_dict(letter.document), environ)
        except LoadlabError as error:
            again_in_s = pause_s(letter.attempts + 1, error)
            outbox.failed(letter, str(error), again_in_s)
            when = "given up" if again_in_s is None else f"again in {again_in_s:g} s"
            troubles.append(f"alert '{letter.occasion}' to {letter.channel}: {error} ({when})")
        else:
            outbox.sent(letter)
            sent.append(letter)
            _told(store, letter)
    return sent, troubles


def pause_s(attempt: int, error: LoadlabError) -> float | None:
    """Until the next try: 2 s, 8 s, 32 s, … at most an hour; None where it is given up."""
    lasting = isinstance(error, UndeliveredError) and error.lasting
    return None if lasting or attempt >= MOST_TRIES else min(LONGEST_S, FIRST_S * FACTOR ** (attempt - 1))


def _told(store: Store, letter: Letter) -> None:
    kind, _, incident = letter.occasion.partition(" ")
    if kind == "incident":
        store.incidents.mark_notified(incident)
