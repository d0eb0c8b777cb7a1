"""What `loadlab serve --hardware` was asked to simulate, in the user's words, made into a deployment."""

from __future__ import annotations

from dataclasses import dataclass

from loadlab.core.errors import UsageError
from loadlab.server import presets
from loadlab.server.faults import parse_faults
from loadlab.server.roofline import Hardware
from loadlab.server.simulation import Deployment
from loadlab.server.switches import Switches

DEFAULT_MODEL = "llama-8b"


@dataclass(frozen=True, slots=True)
class Simulated:
    """A model of `presets` on hardware of `presets` or of a file; `faults` as `parse_faults` reads them."""

    hardware: str
    model: str = DEFAULT_MODEL
    tensor_parallel: int = 1
    acceptance: float = 0.7
    noise: float = 0.0
    faults: tuple[str, ...] = ()

    @property
    def served_name(self) -> str:
        """What the API calls it: "sim-llama-8b-h100", so that it cannot pass for the model."""
        return f"sim-{self.model}-{presets.device(self.hardware).name}"

    def deployment(
        self, switches: Switches, *, quant: str = "bf16", block: int = 16, blocks: int = 0, context: int = 0
    ) -> Deployment:
        """How it is set up. Raises UsageError for names and numbers that make no sense."""
        for name, value in (("acceptance", self.acceptance), ("noise", self.noise)):
            if not 0 <= value <= 1:
                raise UsageError(f"--{name} {value:g} is out of range; use 0 to 1.")
        hardware = Hardware(
            presets.device(self.hardware),
            presets.model(self.model),
            quant=quant,
            tensor_parallel=self.tensor_parallel,
        )
        return Deployment(
            hardware,
            switches,
            block=block,
            blocks=blocks,
            context=context,
            acceptance=self.acceptance,
            noise=self.noise,
            faults=parse_faults(self.faults),
        )
