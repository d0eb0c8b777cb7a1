"""`loadlab hardware`: what the simulator knows of devices and models, and a device fitted on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from loadlab.cli import options
from loadlab.cli.output import emit_json, say
from loadlab.core.units import number

if TYPE_CHECKING:
    from loadlab.server.fitting import Fit

_BASIS = "bf16, one device, contexts of 512 tokens; on several (--tensor-parallel) larger models fit."
app = typer.Typer(
    help="Devices and models that can be simulated.", no_args_is_help=True, rich_markup_mode=None
)


@app.command("list")
def list_(json: options.Json = False) -> None:
    """List devices and models for `loadlab serve --hardware`."""
    from loadlab.server import presets
    from loadlab.server.roofline import Hardware, Roofline, decoding

    shapes, found = presets.models(), []
    for device in presets.devices().values():
        for shape in shapes.values():
            hardware = Hardware(device, shape)
            fits = hardware.fits()
            step_s = Roofline(hardware).seconds(decoding(1, 512))
            found.append(
                {
                    "hardware": device.name, "basis": device.basis, "losses": device.losses.basis,
                    "memory_gb": device.memory_gb, "model": shape.name,
                    "kv_tokens": hardware.kv_tokens() if fits else None,
                    "itl_alone_ms": step_s * 1e3 if fits else None,
                }
            )  # fmt: skip
    if json:
        emit_json({"hardware": found})
        return
    typer.echo(_table(found))


def _table(found: list[dict[str, Any]]) -> str:
    heads = ("hardware", "numbers from", "losses", "model", "KV tokens", "ms/token alone")
    rows = [
        (
            each["hardware"], each["basis"], each["losses"], each["model"],
            f"{each['kv_tokens']:,}" if each["kv_tokens"] else "does not fit",
            number(each["itl_alone_ms"]),
        )
        for each in found
    ]  # fmt: skip
    widths = [max(len(row[at]) for row in (heads, *rows)) for at in range(len(heads))]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in (heads, *rows)]
    return "\n".join([*lines, "", _BASIS])


@app.command("fit")
def fit(
    like: Annotated[
        str, typer.Option(help="The listed device whose datasheet holds; losses are shares of it.")
    ] = "cpu2",
    model: Annotated[str, typer.Option(help="The model to time.")] = "smollm2-135m",
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    threads: Annotated[int, typer.Option(help="On CPU: threads; 0 means one per core.")] = 0,
    repeats: Annotated[int, typer.Option(help="How often each kind of step is timed.")] = 5,
    name: Annotated[str, typer.Option(help="What to call it.")] = "mine",
    out: Annotated[
        Path, typer.Option(help="The file for `loadlab serve --hardware FILE`.", metavar="FILE")
    ] = Path("hardware.toml"),
    json: options.Json = False,
) -> None:
    """Time this machine's steps and fit a device to them.

    Runs the torch engine for about a minute; the machine should be quiet. A third of the steps is kept back:
    the error on those is how far off a simulation of this device may be.
    """
    from datetime import UTC, datetime

    from loadlab.server import fitting, presets
    from loadlab.server.engine import Options
    from loadlab.server.roofline import Hardware
    from loadlab.server.step_samples import timed_steps

    hardware = Hardware(presets.device(like), presets.model(model))
    samples = timed_steps(Options(model=model, device=device, threads=threads), repeats, say)
    source = f"loadlab hardware fit, {model}, {datetime.now(UTC).date()}"
    found = fitting.fit(hardware, samples, name=name, source=source)
    presets.write(found.device, out)
    say(f"written: {out}")
    if json:
        emit_json(_document(found))
    else:
        typer.echo(_words(found))


def _document(found: Fit) -> dict[str, Any]:
    from dataclasses import asdict

    kept, used = found.held_back._asdict(), found.fitted._asdict()
    return {"device": asdict(found.device), "fitted": used, "held_back": kept}


def _words(found: Fit) -> str:
    losses, kept, used = found.device.losses, found.held_back, found.fitted
    return (
        f"reached: {losses.bandwidth_share:.0%} of bandwidth, {losses.math_share:.0%} of math, half that at "
        f"{losses.half_tokens:.1f} tokens in a step\n"
        f"host {losses.host_s * 1e6:.0f} µs per step and {losses.host_seq_s * 1e6:.1f} µs per sequence, "
        f"{losses.eager_launch_s * 1e6:.1f} µs per kernel\n"
        f"error on {kept.n} steps kept back: median {kept.median:.1%}, worst {kept.worst:.1%} "
        f"(on {used.n} fitted to: {used.median:.1%}, {used.worst:.1%})"
    )
