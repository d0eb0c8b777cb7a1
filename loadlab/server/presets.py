"""Devices and models that can be simulated, read from `presets.toml` or a file of the user's own.

Knows numbers and where each comes from. It refuses to know how long a step takes: that is `roofline`.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

from loadlab.core.errors import UnknownNameError, UsageError

BASES = ("datasheet", "measured", "assumed", "calibrated")


@dataclass(frozen=True, slots=True)
class Losses:
    """How far real steps stay behind the datasheet. Shares are of the peak, times in seconds.

    Projections reach `bandwidth_share` and `math_share`, half of the latter with `half_tokens` tokens in a
    step; attention `kv_share` of bandwidth and `attention_share` of math. A kernel costs `launch_s` in a CUDA
    graph, `eager_launch_s` outside; the host takes `host_s` per step and `host_seq_s` per sequence in it.
    """

    bandwidth_share: float
    math_share: float
    half_tokens: float
    kv_share: float
    attention_share: float
    launch_s: float
    eager_launch_s: float
    host_s: float
    host_seq_s: float
    basis: str = "assumed"
    source: str = ""


@dataclass(frozen=True, slots=True)
class Device:
    """One accelerator, or one machine's CPU. Units are decimal: GB, GB/s, 10¹² operations per second.

    `link_gb_per_s` is one direction to its peers, `price` a name of the price book.
    """

    name: str
    memory_gb: float
    bandwidth_gb_per_s: float
    tflops: float
    link_gb_per_s: float
    link_latency_s: float
    graphs: bool
    losses: Losses
    price: str
    basis: str
    source: str

    @property
    def label(self) -> str:
        """Name and where its numbers come from: "h100 (datasheet, losses assumed)"."""
        return f"{self.name} ({self.basis}, losses {self.losses.basis})"


@dataclass(frozen=True, slots=True)
class Shape:
    """A Llama-family model in numbers; `tied` models use their embedding as the head."""

    name: str
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    ffn: int
    vocabulary: int
    tied: bool
    context: int
    source: str

    @property
    def body(self) -> int:
        """Parameters that every token is multiplied with."""
        attention = self.hidden * self.head_dim * (2 * self.heads + 2 * self.kv_heads)
        return self.layers * (attention + 3 * self.hidden * self.ffn)

    @property
    def head(self) -> int:
        """Parameters that only sampled positions are multiplied with."""
        return self.vocabulary * self.hidden

    @property
    def stored(self) -> int:
        """Parameters in memory."""
        return self.body + self.head * (1 if self.tied else 2)

    @property
    def kv_per_token(self) -> int:
        """Numbers kept per token: keys and values of all layers."""
        return 2 * self.layers * self.kv_heads * self.head_dim


def devices() -> dict[str, Device]:
    """The bundled devices by name."""
    return _bundled()[0]


def models() -> dict[str, Shape]:
    """The bundled models by name."""
    return _bundled()[1]


def device(name: str) -> Device:
    """The bundled device of that name, or the only one of a TOML file. Raises UsageError."""
    if name.endswith(".toml"):
        return _only(name)
    if name not in devices():
        raise UnknownNameError("hardware", name, devices())
    return devices()[name]


def model(name: str) -> Shape:
    """The bundled model of that name. Raises UnknownNameError."""
    if name not in models():
        raise UnknownNameError("model to simulate", name, models())
    return models()[name]


def write(found: Device, path: Path) -> None:
    """Writes a device and its losses as a file that `device` reads."""
    path.write_text(
        "\n".join([*_table("losses.fit", found.losses), "", *_table_of(found), ""]), encoding="utf-8"
    )


@cache
def _bundled() -> tuple[dict[str, Device], dict[str, Shape]]:
    document = tomllib.loads(Path(__file__).with_name("presets.toml").read_text(encoding="utf-8"))
    shapes = {name: Shape(name=name, **entry) for name, entry in document["models"].items()}
    return _devices(document), shapes


def _devices(document: Mapping[str, Any]) -> dict[str, Device]:
    losses = {name: Losses(**entry) for name, entry in document["losses"].items()}
    return {
        name: Device(name=name, **{**entry, "losses": losses[entry["losses"]]})
        for name, entry in document["devices"].items()
    }


def _only(name: str) -> Device:
    try:
        (found,) = _devices(tomllib.loads(Path(name).read_text(encoding="utf-8"))).values()
    except OSError as error:
        raise UsageError(
            f"--hardware {name}: {error.strerror}; `loadlab hardware fit` writes one."
        ) from error
    except (ValueError, TypeError, KeyError) as error:
        raise UsageError(
            f"--hardware {name} does not hold one device and its losses as `loadlab hardware fit` writes "
            f"them: {error}."
        ) from error
    return found


def _table_of(found: Device) -> list[str]:
    entry = {field.name: getattr(found, field.name) for field in fields(found)}
    del entry["name"]
    return _lines(f'devices."{found.name}"', {**entry, "losses": "fit"})


def _table(name: str, losses: Losses) -> list[str]:
    return _lines(name, {field.name: getattr(losses, field.name) for field in fields(losses)})


def _lines(name: str, entry: Mapping[str, Any]) -> list[str]:
    return [f"[{name}]", *(f"{key} = {_toml(value)}" for key, value in entry.items())]


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)
