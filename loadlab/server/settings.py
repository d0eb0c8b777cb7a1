"""What `loadlab serve` was asked for, checked. Knows names and numbers, loads nothing heavy."""

from __future__ import annotations

import os
import re
import socket
from dataclasses import dataclass, field
from importlib.util import find_spec
from ipaddress import ip_address
from pathlib import Path

from loadlab.core.errors import UnknownNameError, UsageError
from loadlab.server import controls
from loadlab.server.simulated import Simulated
from loadlab.server.techniques import Techniques, flag
from loadlab.server.timing import Timing

TORCH_MODELS = ("smollm2-135m", "tiny")
_EXTRA = ("torch", "tokenizers", "safetensors")
_PLACES = {"torch": 64, "sim": 4096}
_DEVICES = ("auto", "cpu", "cuda", "cuda:0", "cuda:0,cuda:1")
_DEVICE = re.compile(r"auto|cpu|cuda(:\d+)?")
_NOT_NEGATIVE = (
    "threads", "max_num_seqs", "max_num_batched_tokens", "context", "route_tokens", "max_waiting",
    "max_new_tokens", "drain_s",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Settings:
    """One server. Zero means "what the engine finds best" for `max_num_seqs`, `context` and `threads`, and no
    limit for `max_waiting` and `max_new_tokens`.
    """

    engine: str | None = None
    model: str | None = None
    host: str = "127.0.0.1"
    port: int = 8000
    device: str = "auto"
    threads: int = 0
    max_num_seqs: int = 0
    max_num_batched_tokens: int = 512
    context: int = 0
    timing: Timing = field(default_factory=Timing)
    fail_rate: float = 0.0
    simulated: Simulated | None = None
    seed: int = 0
    api_key_env: str | None = None
    techniques: Techniques = field(default_factory=Techniques)
    frontends: int = 1
    route_model: str | None = None
    route_tokens: int = 256
    response_cache: bool = False
    response_cache_ttl_s: float = 300.0
    max_waiting: int = 0
    max_new_tokens: int = 0
    max_body_mib: int = 8
    files: Path | None = None
    drain_s: float = 20.0

    def resolved_engine(self) -> str:
        """The engine asked for, or the one that serves the model asked for."""
        simulated = self.simulated or is_simulated(self.model or "")
        return self.engine or ("sim" if simulated else "torch")

    def resolved_model(self) -> str:
        """The model asked for, or the engine's usual one."""
        if self.model is None and self.simulated:
            return self.simulated.served_name
        return self.model or ("sim" if self.resolved_engine() == "sim" else TORCH_MODELS[0])

    def devices(self) -> list[str]:
        """The devices asked for; each gets an engine of its own."""
        return self.device.split(",")

    def api_key(self) -> str | None:
        """The key, read from its environment variable. Raises UsageError when that is empty."""
        if self.api_key_env is None:
            return None
        if key := os.environ.get(self.api_key_env):
            return key
        raise UsageError(f"--api-key-env: environment variable '{self.api_key_env}' is not set or empty.")

    def check(self) -> None:
        """Raises UsageError for anything that cannot be served."""
        self._check_engine()
        self._check_numbers()
        self._check_techniques()
        if self.api_key() is None and not _loopback(self.host):
            raise UsageError(
                f"--host {self.host} would open the server to the network without a key; "
                "name the key's environment variable with --api-key-env, or stay on 127.0.0.1."
            )

    def models(self) -> tuple[str, ...]:
        """What is served: one model, or the main and the second one of a routed pair."""
        return (self.resolved_model(), *([self.route_model] if self.route_model else ()))

    def places(self, engine: str) -> int:
        """How many requests that engine serves at once."""
        return self.max_num_seqs or _PLACES[engine]

    def controls(self) -> dict[str, bool | int | float]:
        """The first values of what can be switched at run time on the HTTP side."""
        return {name: getattr(self, name) for name in controls.NAMES}

    def _check_engine(self) -> None:
        engine, model = self.resolved_engine(), self.resolved_model()
        if engine not in ("torch", "sim"):
            raise UnknownNameError("engine", engine, ("torch", "sim"))
        if self.simulated and engine != "sim":
            raise UsageError(f"--hardware {self.simulated.hardware} is simulated; it goes with --engine sim.")
        if engine == "sim" and "sim" not in model:
            raise UsageError(f"--model {model}: the sim engine only serves names with 'sim' in them.")
        if len(set(map(served_name, self.models()))) < len(self.models()):
            raise UsageError(f"--route-model {self.route_model} is the model served already; name another.")
        for name in self.models():
            self._check_model(name)

    def _check_model(self, model: str) -> None:
        if is_simulated(model):
            return
        if model not in TORCH_MODELS and not _is_path(model):
            raise UnknownNameError("model (or file, or folder)", model, TORCH_MODELS)
        for device in self.devices():
            if not _DEVICE.fullmatch(device):
                raise UnknownNameError("device", device, _DEVICES)
        if missing := [name for name in _EXTRA if find_spec(name) is None]:
            raise UsageError(
                f"the torch engine needs {', '.join(missing)}; install with: pip install 'loadlab[server]' "
                "(or use --engine sim)."
            )

    def _check_numbers(self) -> None:
        if not 0 <= self.port <= 65_535:
            raise UsageError(f"--port {self.port} is not a port; use 1 to 65535, or 0 for any free one.")
        if not 0 <= self.fail_rate <= 1:
            raise UsageError(f"--fail-rate {self.fail_rate:g} is not a share; use 0 to 1.")
        for name in _NOT_NEGATIVE:
            if getattr(self, name) < 0:
                message = f"--{flag(name)} {getattr(self, name):g} is negative; leave it out for the default."
                raise UsageError(message)
        for name in ("frontends", "max_body_mib"):
            if getattr(self, name) < 1:
                raise UsageError(f"--{flag(name)} {getattr(self, name)} must be at least 1.")
        if self.response_cache_ttl_s <= 0:
            raise UsageError("--response-cache-ttl must be longer than nothing.")
        self._check_fronts()

    def _check_techniques(self) -> None:
        self.techniques.check()
        changed = self.techniques.changed()
        if changed and self.resolved_engine() == "sim" and not self.simulated:
            raise UsageError(
                f"--{changed[0]}: the sim engine keeps the times of --ttft and --itl whatever the technique; "
                "simulate one with --hardware, or serve a torch model."
            )

    def _check_fronts(self) -> None:
        if self.frontends > 1 and any(map(is_simulated, self.models())):
            raise UsageError(
                f"--frontends {self.frontends}: the sim engine lives in the HTTP process and keeps one "
                "true schedule; several would each keep their own. Leave it out, or serve a torch model."
            )
        if self.frontends > 1 and not hasattr(socket, "SO_REUSEPORT"):
            raise UsageError(f"--frontends {self.frontends}: this system has no SO_REUSEPORT; leave it out.")


def is_simulated(model: str) -> bool:
    """Whether that name stands for no real model."""
    return "sim" in model and not _is_path(model)


def served_name(model: str) -> str:
    """What the API calls a model: a file or folder by its name."""
    return Path(model).stem if _is_path(model) else model


def _is_path(model: str) -> bool:
    return model not in TORCH_MODELS and Path(model).expanduser().exists()


def _loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
