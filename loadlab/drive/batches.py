"""A batch at its vendor: handed in, looked at until it is over, its answers fetched. Plain urllib, no clock.

In scope: what is said, and what to say when it is refused. Out of scope: rows, prices, who waits how long.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from loadlab.core.errors import TargetError
from loadlab.core.nouns import Endpoint
from loadlab.dialects import Call
from loadlab.dialects.batches import BatchLanguage, Line, State
from loadlab.drive.ask import Answer, ask
from loadlab.drive.preflight import refusal
from loadlab.wire.auth import signer_of

_UPLOAD_S = 600.0
_MOST_BYTES = 4 << 30


class BusyError(TargetError):
    """It could not be asked just now; later it may."""


class Vendor:
    """One endpoint's batches. Every method raises TargetError, BusyError where asking again may help."""

    def __init__(self, endpoint: Endpoint, language: BatchLanguage) -> None:
        self._endpoint, self._language = endpoint, language

    def hand_in(self, asked: Mapping[str, Call], run_id: str) -> State:
        """Begins the batch of these calls by custom id."""
        uploaded = ""
        if upload := self._language.upload(self._endpoint, asked):
            uploaded = str(self._document(upload).get("id"))
        return self._state(self._language.create(self._endpoint, asked, uploaded, run_id))

    def begun(self, run_id: str) -> str | None:
        """The id of a batch that was handed in for this run, where the vendor's list tells."""
        listing = self._language.listing(self._endpoint)
        return self._language.begun(self._document(listing), run_id) if listing else None

    def look(self, batch_id: str) -> State:
        """How far it is."""
        return self._state(self._language.look(self._endpoint, batch_id))

    def cancel(self, batch_id: str) -> State:
        """Asks for its end."""
        return self._state(self._language.cancel(self._endpoint, batch_id))

    def lines(self, state: State) -> Iterator[Line]:
        """Every answer, in the vendor's order."""
        for call in self._language.results(self._endpoint, state):
            for raw in self._ask(call).body.splitlines():
                if raw.strip():
                    yield self._line(raw)

    def _line(self, raw: bytes) -> Line:
        try:
            return self._language.line(raw)
        except (ValueError, KeyError, TypeError) as error:
            raise TargetError(f"{self._endpoint.url} gave a result that is none: {error}") from error

    def _state(self, call: Call) -> State:
        try:
            return self._language.state(self._document(call))
        except ValueError as error:
            raise TargetError(f"{call.url} does not answer as a batch API does ({error}).") from error

    def _document(self, call: Call) -> dict[str, Any]:
        answer = self._ask(call)
        try:
            document = json.loads(answer.body)
        except ValueError as error:
            raise TargetError(f"{call.url} did not answer in JSON ({answer.body[:80]!r}).") from error
        return document if isinstance(document, dict) else {}

    def _ask(self, call: Call) -> Answer:
        signed = signer_of(self._endpoint)(call)
        body = call.body if call.method == "POST" else None
        try:
            answer = ask(self._endpoint, call.method, call.url, signed.headers, body, _UPLOAD_S, _MOST_BYTES)
        except TargetError as error:
            raise BusyError(str(error)) from error
        if answer.status == 429 or answer.status >= 500:
            said = answer.body[:200].decode("utf-8", "replace")
            raise BusyError(f"{call.url} answered with HTTP {answer.status}: {said}")
        if answer.status >= 300:
            if answer.status in (404, 405) and call.method == "POST":
                raise TargetError(
                    f"there are no batches at {call.url} (HTTP {answer.status}); check --url and --dialect."
                )
            raise refusal(self._endpoint, call, answer, [])
        return answer
