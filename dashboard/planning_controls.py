"""The controls of the capacity page. Knows what is asked, plans nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import dash_mantine_components as dmc
from dash import html

from loadlab.core import slos
from loadlab.core.errors import LoadlabError

from .planning import Choice, own_slo, usual_peak
from .source import Source, run_name


def controls(source: Source, runs: Sequence[dict[str, Any]], choice: Choice) -> html.Section:
    """The controls of the capacity page; an empty one says what it stands for."""
    names = {run["id"]: run_name(run) for run in runs}
    options = [{"value": ref, "label": names.get(ref, ref)} for ref in dict.fromkeys((*names, *choice.runs))]
    unit, peak, slo = _usual(source, choice)
    return html.Section(
        [
            dmc.MultiSelect(
                id="capacity-runs", label="Sweep of one replica; several runs are repeats", data=options,
                value=list(choice.runs), searchable=True, hidePickedOptions=True,
            ),
            _number("peak", "Peak traffic", choice.peak, placeholder=f"{peak:g} (example)", min=0),
            dmc.Select(
                id="capacity-unit", label="Counted in", data=["req/s", "users"], value=choice.unit or unit,
                allowDeselect=False,
            ),
            dmc.Autocomplete(
                id="capacity-slo", label="SLO", value=choice.slo, placeholder=slo,
                data=[name for name in slos.SLOS if ":" not in name], debounce=600,
            ),
            _number("headroom", "Headroom", choice.headroom, suffix=" %", min=0, max=95),
            _number("spare", "Spare replicas", choice.spare, min=0, max=1000),
            _number("growth", "Growth", choice.growth, suffix=" %", min=-90),
            _text("price", "Price of a replica", choice.price, "as recorded, or 2.50/h"),
            _text("api", "Compare with API", choice.api, "such as openai/gpt-5-mini"),
            _number("gpus", "GPUs per replica", choice.gpus, placeholder="as seen", min=1),
            _number("node", "GPUs per node", choice.node, placeholder="any number", min=1),
            _text("cold", "Cold start", choice.cold, "5m"),
            _text("day", "Day: 24 rates (req/s)", choice.day, "2,1,1,3,… or none"),
        ],
        className="card what-if",
        **{"aria-label": "What to plan for"},
    )  # fmt: skip


def _usual(source: Source, choice: Choice) -> tuple[str, float, str]:
    """What empty controls stand for: unit, peak and SLO."""
    try:
        measured = source.measured(choice.runs)
    except LoadlabError:
        return "req/s", 10.0, ""
    unit = choice.unit or measured.unit
    return measured.unit, usual_peak(measured, unit), own_slo(measured)


def _number(name: str, label: str, value: float | None, **more: Any) -> dmc.NumberInput:
    return dmc.NumberInput(
        id=f"capacity-{name}", label=label, value="" if value is None else value, debounce=500,
        hideControls=True, thousandSeparator=",", **more,
    )  # fmt: skip


def _text(name: str, label: str, value: str, placeholder: str) -> dmc.TextInput:
    return dmc.TextInput(
        id=f"capacity-{name}", label=label, value=value, placeholder=placeholder, debounce=600
    )
