"""Hardware: were the GPUs the bottleneck? Their readings on the run's clock, beside what came out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import dash_mantine_components as dmc
import pandas as pd
from dash import Dash, Input, Output, State, html, no_update

from loadlab.analysis.devices import device_table, devices, power_points
from loadlab.core.metrics import METRICS
from loadlab.core.units import number
from loadlab.figures import Theme, gpu_lanes, lane_statistics, lanes, power_scatter, served
from loadlab.figures.axes import quantity

from .. import url
from ..choosing import chips
from ..components import Column, chart, empty, page, section, table
from ..empty import no_runs
from ..links import run_link
from ..source import Source, Trace, run_name
from ..words import counted
from .hardware_table import hardware_by_level

PATH = "/hardware"
TITLE = "Hardware"
OFFERED_RUNS, LOOKED_AT, DRAWN = 100, 20, 4
_TOLD = {
    "gpu_utilisation_percent": "GPUs busy",
    "gpu_power_w": "drawing",
    "j_per_output_token": "at",
}
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_GPUS = (
    Column("GPU", "device", number=False),
    Column("Busy, mean", "busy"),
    Column("p95", "busy_p95"),
    Column("Power, mean", "power"),
    Column("max", "power_max"),
    Column("Limit", "limit"),
    Column("Memory, most", "memory"),
    Column("Hottest", "temperature"),
    Column("SM clock, mean", "clock"),
    Column("Held back", "held", help="Clock lowered by power, heat or another limit"),
    Column("Energy", "energy", help="Over the whole time of the readings"),
    Column("n", "n", help="Readings of the busy share"),
)
_READINGS = (
    Column("Reading", "lane", number=False),
    Column("Of", "series", number=False),
    Column("n", "n"),
    Column("mean", "mean"),
    Column("p95", "p95"),
    Column("max", "max"),
)
_POINTS = (
    Column("Load", "label", number=False),
    Column("Power", "power_w"),
    Column("Output", "output_tokens_per_s"),
)


def layout(source: Source, theme: Theme, query: Mapping[str, str]) -> Any:
    """The readings of `run`; `gpu` keeps to one GPU."""
    offered = source.runs(limit=OFFERED_RUNS)
    if not offered:
        return page(TITLE, None, no_runs(source, "run", "--gpu-url local --users 8 --requests 96"))
    run = source.run(query["run"]).id if "run" in query else _usual(source, offered)
    trace, summary = source.trace(run), source.summary(run)
    known = devices(trace.readings)
    shown = [query["gpu"]] if query.get("gpu") in known else known[:DRAWN]
    return page(
        TITLE,
        _answer(summary, trace, known),
        html.Div([_picker(offered, run), _gpu_chips(run, known, query)], className="choices-wide"),
        None if known else _no_gpu(source, run),
        *_sections(summary, trace, shown, known, theme),
        html.P(run_link(run, "Everything about this run")),
        about=f"run {run}, {counted(len(trace.readings), 'reading')}",
    )


def register(app: Dash, source: Source) -> None:
    """Choosing a run writes the URL."""

    @app.callback(  # type: ignore[untyped-decorator]
        Output("url", "search", allow_duplicate=True),
        Input("hardware-run", "value"),
        State("url", "search"),
        prevent_initial_call=True,
    )
    def choose(run: str | None, search: str) -> Any:
        asked = url.read(search).get("run")
        shown = source.run(asked).id if asked else _usual(source, source.runs(limit=OFFERED_RUNS))
        return no_update if run in (None, shown) else url.write({"run": run})


def _usual(source: Source, offered: Sequence[Mapping[str, Any]]) -> str:
    """The newest run with readings of a GPU, else the newest with any, else the newest."""
    newest = [str(run["id"]) for run in offered[:LOOKED_AT]]
    read = source.store.sources(newest)
    with_gpu = (ref for ref in newest if "nvml" in read[ref])
    return next(with_gpu, next((ref for ref in newest if read[ref]), newest[0]))


def _picker(offered: Sequence[dict[str, Any]], run: str) -> Any:
    names = {each["id"]: run_name(each) for each in offered}
    options = [{"value": ref, "label": names.get(ref, ref)} for ref in dict.fromkeys((*names, run))]
    return dmc.Select(
        id="hardware-run", label="Run", data=options, value=run, searchable=True, allowDeselect=False
    )


def _gpu_chips(run: str, known: Sequence[str], query: Mapping[str, str]) -> Any:
    if len(known) < 2:
        return None
    most = "all" if len(known) <= DRAWN else f"first {DRAWN}"
    kept = {"run": run, "gpu": query.get("gpu")}
    return chips("GPU", PATH, kept, "gpu", [("", most), *((device, device) for device in known)])


def _answer(summary: Any, trace: Trace, known: Sequence[str]) -> str:
    busiest = _busiest(summary)
    if not known:
        host = _highest(trace.readings, "host", "busiest_core_percent")
        words = f" The load host's busiest core reached {number(host)} %." if host is not None else ""
        return f"No GPU was read during this run, so whether one was the bottleneck is not known.{words}"
    if busiest is None:
        return f"{counted(len(known), 'GPU')} read, and no level was measured."
    hardware = busiest.hardware
    parts = [
        f"{words} {quantity(hardware.get(name), METRICS[name].unit)}"
        for name, words in _TOLD.items()
        if hardware.get(name) is not None
    ]
    held = hardware.get("gpu_throttled_percent")
    told = f" The worst of them was held back in {number(held)} % of the readings." if held else ""
    return f"At {busiest.label}: {', '.join(parts) or 'nothing told'}.{told}"


def _busiest(summary: Any) -> Any:
    known = [level for level in summary.levels if level.rates["output_tokens_per_s"] is not None]
    return max(known, key=lambda level: level.rates["output_tokens_per_s"], default=None)


def _highest(readings: pd.DataFrame, source: str, metric: str) -> float | None:
    own = readings[(readings["source"] == source) & (readings["metric"] == metric)]
    return float(own["value"].max()) if len(own) else None


def _no_gpu(source: Source, run: str) -> html.Div:
    stored = source.run(run)
    why = [note for note in stored.notes if note.startswith(("nvml", "gpu"))]
    local = (urlsplit(stored.spec.endpoint.url).hostname or "") in _LOOPBACK
    reasons = html.Ul([html.Li(note) for note in why]) if why else None
    if local:
        return empty(
            "No NVML on this host told anything: there is no NVIDIA driver, or the server runs elsewhere. "
            "Where it runs, the agent reads its GPUs:",
            ("loadlab gpu agent --port 9401", "loadlab run chat --target NAME --gpu-url http://HOST:9401"),
            reasons,
        )
    return empty(
        f"Not applicable to a hosted API: the hardware behind {stored.spec.endpoint.url} cannot be read from "
        "here. If it is yours, say where its GPUs are read:",
        ("loadlab run chat --target NAME --gpu-url http://HOST:9401",),
        reasons,
    )


def _sections(
    summary: Any, trace: Trace, shown: Sequence[str], known: Sequence[str], theme: Theme
) -> list[Any]:
    parts = [section("Over time", *_lanes(trace, shown, known, theme), note=_GAPS)]
    if known:
        parts += [
            section("GPU by GPU", table(_GPUS, map(_gpu, device_table(trace.readings)), "Each GPU")),
            section("Output against power", _scatter(trace, theme)),
        ]
    if by_level := hardware_by_level(summary):
        parts.append(section("Level by level", *by_level))
    return parts


_GAPS = "One clock for all lanes. A pause in the readings is a gap. Shaded stretches are every second level."


def _lanes(trace: Trace, shown: Sequence[str], known: Sequence[str], theme: Theme) -> list[Any]:
    wanted = gpu_lanes(shown)
    drawn = [served(trace.timeline), trace.readings]
    readings = (
        pd.concat([each for each in drawn if len(each)], ignore_index=True)
        if any(map(len, drawn))
        else trace.readings
    )
    figure = lanes(readings, trace.bands, theme, wanted)
    if not figure.data:
        return [empty("Nothing was recorded of this run: no request, and no reading of a device.")]
    rows = [
        {**row, "n": f"{row['n']:,}", **{key: number(row[key]) for key in ("mean", "p95", "max")}}
        for row in lane_statistics(readings, wanted)
    ]
    titles = ", ".join(dict.fromkeys(row["lane"] for row in rows))
    more = len(known) - len(shown)
    note = html.P(f"{counted(more, 'more GPU')} above.", className="note") if more > 0 else None
    data = table(_READINGS, rows, "Readings, each over the whole run")
    return [chart("lanes", figure, f"Readings over time: {titles}.", data), note]


def _gpu(row: Mapping[str, Any]) -> dict[str, Any]:
    busy, power = row["utilisation_percent"], row["power_w"]
    held = row["held_s"]
    memory = row["memory_used_bytes"]["max"]
    return {
        "device": row["device"],
        "busy": quantity(busy["mean"], "%"),
        "busy_p95": quantity(busy["p95"], "%"),
        "power": quantity(power["mean"], "W"),
        "power_max": quantity(power["max"], "W"),
        "limit": quantity(row["power_limit_w"]["max"], "W"),
        "memory": quantity(None if memory is None else memory / 1e9, "GB"),
        "temperature": quantity(row["temperature_c"]["max"], "°C"),
        "clock": quantity(row["sm_clock_mhz"]["mean"], "MHz"),
        "held": "–" if held is None else f"{quantity(held, 's')} ({number(row['held_percent'])} %)",
        "energy": quantity(row["energy_j"], "J"),
        "n": f"{busy['n']:,}",
    }


def _scatter(trace: Trace, theme: Theme) -> Any:
    levels = [(band.label, band.start_s, band.end_s) for band in trace.bands]
    points = power_points(trace.timeline, trace.readings, levels)
    if points.empty:
        return empty("No power was read while requests ran.")
    best = points.iloc[int((points["output_tokens_per_s"] / points["power_w"]).argmax())]
    finding = (
        f"Output against power, {counted(len(points), 'bin')}: at best "
        f"{quantity(best['output_tokens_per_s'], 'tok/s')} at {quantity(best['power_w'], 'W')}."
    )
    rows = [
        {
            "label": row["label"],
            "power_w": quantity(row["power_w"], "W"),
            "output_tokens_per_s": quantity(row["output_tokens_per_s"], "tok/s"),
        }
        for row in points.to_dict("records")
    ]
    return chart(
        "power", power_scatter(points, theme), finding, table(_POINTS, rows, "Each bin of time"), points
    )
