"""What `loadlab serve` was asked for, checked. Knows names and numbers, loads nothing heavy."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from importlib.util import find_spec
from ipaddress import ip_address
from typing import Literal

from loadlab.core.errors import UnknownNameError, UsageError
from loadlab.server.simulated import Simulated
from loadlab.server.timing import Timing

TORCH_MODELS = ("smollm2-135m", "tiny")
_EXTRA = ("torch", "tokenizers", "safetensors")
_DEVICES = ("auto", "cpu", "cuda")


@dataclass(frozen=True, slots=True)
class Settings:
    """One server. Zero means "what the engine finds best" for `max_num_seqs`, `context` and `threads`."""

    engine: str | None = None
    model: str | None = None
    host: str = "127.0.0.1"
    port: int = 8000
    device: Literal["auto", "cpu", "cuda"] | str = "auto"
    threads: int = 0
    max_num_seqs: int = 0
    max_num_batched_tokens: int = 512
    context: int = 0
    timing: Timing = field(default_factory=Timing)
    fail_rate: float = 0.0
    simulated: Simulated | None = None
    seed: int = 0
    api_key_env: str | None = None

    def resolved_engine(self) -> str:
        """The engine asked for, or the one that serves the model asked for."""
        simulated = self.simulated or "sim" in (self.model or "")
        return self.engine or ("sim" if simulated else "torch")

    def resolved_model(self) -> str:
        """The model asked for, or the engine's usual one."""
        if self.model is None and self.simulated:
            return self.simulated.served_name
        return self.model or ("sim" if self.resolved_engine() == "sim" else TORCH_MODELS[0])

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
        if self.api_key() is None and not _loopback(self.host):
            raise UsageError(
                f"--host {self.host} would open the server to the network without a key; "
                "name the key's environment variable with --api-key-env, or stay on 127.0.0.1."
            )

    def _check_engine(self) -> None:
        engine, model = self.resolved_engine(), self.resolved_model()
        if engine not in ("torch", "sim"):
            raise UnknownNameError("engine", engine, ("torch", "sim"))
        if self.simulated and engine != "sim":
            raise UsageError(f"--hardware {self.simulated.hardware} is simulated; it goes with --engine sim.")
        if engine == "sim":
            if "sim" not in model:
                raise UsageError(f"--model {model}: the sim engine only serves names with 'sim' in them.")
            return
        if model not in TORCH_MODELS:
            raise UnknownNameError("model", model, TORCH_MODELS)
        if self.device not in _DEVICES:
            raise UnknownNameError("device", self.device, _DEVICES)
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
        for name in ("threads", "max_num_seqs", "context"):
            if getattr(self, name) < 0:
                raise UsageError(f"{name} {getattr(self, name)} is negative; leave it out for the default.")
        if self.max_num_batched_tokens < 1:
            raise UsageError(f"--max-num-batched-tokens {self.max_num_batched_tokens} must be at least 1.")


def _loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
