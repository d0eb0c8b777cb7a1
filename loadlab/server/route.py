"""Which model answers: the one that was named, or for `auto` the second one where the question is short.

A request overrules the rule with the header `x-loadlab-route: main` or `second`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from loadlab.server.bodies import ApiError, Ask
from loadlab.server.controls import Controls
from loadlab.server.job import Engine
from loadlab.server.metrics import Tally

AUTO = "auto"
HEADER = "x-loadlab-route"
_SIDES = ("main", "second")


@dataclass(frozen=True, slots=True)
class Lane:
    """One served model: its engine and its numbers in this process.

    `under_way` counts its requests that are not of a batch, at all front processes.
    """

    engine: Engine
    tally: Tally
    under_way: Callable[[], int]

    def waiting(self) -> int:
        """How many requests have no place; those of a step that has not begun yet do not count as waiting."""
        return max(self.engine.load().waiting, self.under_way() - self.engine.places)


class Router:
    """Chooses among one lane or two; the first is the main one."""

    def __init__(self, lanes: Sequence[Lane], controls: Controls) -> None:
        self.lanes = tuple(lanes)
        self._controls = controls

    def names(self) -> list[tuple[str, int]]:
        """What can be asked for, each with its context in tokens."""
        names = [(lane.engine.model, lane.engine.context) for lane in self.lanes]
        return [*names, (AUTO, min(context for _, context in names))] if len(names) > 1 else names

    def choose(self, ask: Ask, side: str | None = None) -> tuple[Lane, list[int]]:
        """The lane for `ask` and its prompt in that model's tokens. Raises ApiError for an unknown model."""
        if ask.model != AUTO or len(self.lanes) == 1:
            lane = self.named(ask.model)
            return lane, encode(lane, ask)
        if side is not None and side not in _SIDES:
            raise ApiError(400, f"{HEADER} must be 'main' or 'second', not '{side}'.")
        main, second = self.lanes
        prompt = encode(main, ask)
        if side == "second" or (side is None and len(prompt) <= self._controls.route_tokens):
            return second, encode(second, ask)
        return main, prompt

    def named(self, model: str | None) -> Lane:
        """The lane of a model by name; the main one without a name. Raises ApiError."""
        if model is None:
            return self.lanes[0]
        for lane in self.lanes:
            if lane.engine.model == model:
                return lane
        served = ", ".join(f"'{name}'" for name, _ in self.names())
        message = f"The model '{model}' does not exist here; this server serves {served}."
        raise ApiError(404, message, "model", "model_not_found")


def encode(lane: Lane, ask: Ask) -> list[int]:
    """The prompt in the tokens of that lane's model."""
    if ask.turns:
        return lane.engine.encode_chat(ask.turns)
    return lane.engine.encode(ask.prompt) if isinstance(ask.prompt, str) else list(ask.prompt)
