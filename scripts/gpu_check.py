"""Checks and measures the torch engine on one machine: Markdown on stdout, progress on stderr.

    python scripts/gpu_check.py                        on a GPU: everything
    python scripts/gpu_check.py --device cpu --quick   what a machine without a GPU can do

Exit code 1 when tokens that must be equal are not. Every speed in the output was measured by this run; goals
and floors are arithmetic and say so. Goals are for one H200 and SmolLM2-135M.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean

os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # as in the engine process; read when torch is imported

import torch

from loadlab.core.errors import LoadlabError
from loadlab.server import weights
from loadlab.server.draft import Lookup
from loadlab.server.job import Sampling
from loadlab.server.kv import Pool
from loadlab.server.linear import Quant
from loadlab.server.placement import Precision, describe, device_for, place
from loadlab.server.plan import Sequence
from loadlab.server.runner import TorchRunner
from loadlab.server.schedule import Scheduler
from loadlab.server.switches import Switches

LOADLAB = [sys.executable, "-m", "loadlab"]
# Batch and context, and the tokens per second hoped for on one H200.
GOALS = {(1, 512): 1_200, (64, 512): 50_000, (256, 512): 120_000, (512, 512): 150_000, (512, 2048): 60_000}
QUICK = {(1, 64): 0, (8, 64): 0, (32, 64): 0}
STEPS = 50  # decoding steps that are timed
PREFILL_BUDGET = 8192
USE = ("GPU busy %", "memory busy %")


@dataclass(frozen=True, slots=True)
class Setting:
    """One way to run the engine."""

    name: str = "as served"
    dtype: Precision = "auto"
    quant: Quant = "none"
    block: int = 16
    graphs: bool | None = None
    kernel: bool | None = None
    compiled: bool = False
    budget: int = 512
    sequences: int = 64
    cache: bool = False
    speculate: bool = False


@dataclass(slots=True)
class Speed:
    """What one setting did: decode and prefill tokens per second, and the GPU's use meanwhile in percent."""

    decode: float
    prefill: float
    busy: list[tuple[float, float]] = field(default_factory=list)


class Bench:
    """One model on one device, run through the engine's own scheduler and runner."""

    def __init__(self, loaded: weights.Weights, device: str, setting: Setting, context: int) -> None:
        model = place(
            loaded, device, max_num_seqs=setting.sequences, context=context, dtype=setting.dtype,
            quant=setting.quant, block=setting.block, compiled=setting.compiled,
        )  # fmt: skip
        self._runner = TorchRunner(model, setting.sequences, kernel=setting.kernel, graphs=setting.graphs)
        switches = Switches(
            max_num_seqs=setting.sequences,
            max_num_batched_tokens=setting.budget,
            prefix_cache=setting.cache,
            speculate="ngram" if setting.speculate else "off",
        )
        pool = Pool(model.blocks, model.block, caching=setting.cache)
        self.scheduler = Scheduler(pool, switches, end=loaded.config.end, proposers={"ngram": Lookup()})

    def step(self) -> int:
        """Runs one step; returns how many tokens came out."""
        plan = self.scheduler.plan()
        outputs = self.scheduler.advance(plan, self._runner.step(plan))
        return sum(len(output.choices) for output in outputs)

    def generate(self, prompts: list[list[int]], tokens: int) -> list[list[int]]:
        """Greedy answers to all prompts at once."""
        sequences = [_sequence(i, prompt, tokens) for i, prompt in enumerate(prompts)]
        for sequence in sequences:
            self.scheduler.add(sequence)
        while self.scheduler.busy:
            self.step()
        return [sequence.tokens[sequence.prompt :] for sequence in sequences]

    def speed(self, batch: int, context: int, steps: int, device: str) -> Speed:
        """`batch` prompts of `context` tokens computed, then `steps` steps of all of them timed."""
        for i in range(batch):
            self.scheduler.add(_sequence(i, _prompt(i, context), 10 * steps))
        begun, prefilled = time.perf_counter(), 0
        while prefilled < batch:
            prefilled = self.step()
        prefill = batch * context / (time.perf_counter() - begun)
        for _ in range(3):
            self.step()
        with watched(device) as busy:
            begun = time.perf_counter()
            made = sum(self.step() for _ in range(steps))
            took = time.perf_counter() - begun
        for i in range(batch):
            self.scheduler.abort(str(i))
        return Speed(made / took, prefill, busy)


def _sequence(number: int, prompt: list[int], tokens: int) -> Sequence:
    return Sequence(str(number), list(prompt), tokens, Sampling(ignore_eos=True))


def _prompt(number: int, length: int) -> list[int]:
    """Token ids that every tokeniser has, no two prompts alike."""
    return [(7 * number + 3 * j + j * j % 11) % 200 + 32 for j in range(length)]


@contextmanager
def watched(device: str) -> Iterator[list[tuple[float, float]]]:
    """Use of the GPU's processors and memory in percent, read every 50 ms by NVML while the block runs."""
    found: list[tuple[float, float]] = []
    if not device.startswith("cuda"):
        yield found
        return
    import pynvml

    pynvml.nvmlInit()
    gpu = pynvml.nvmlDeviceGetHandleByIndex(int(device.partition(":")[2] or 0))
    over = threading.Event()

    def read() -> None:
        while not over.wait(0.05):
            use = pynvml.nvmlDeviceGetUtilizationRates(gpu)
            found.append((use.gpu, use.memory))

    reader = threading.Thread(target=read)
    reader.start()
    try:
        yield found
    finally:
        over.set()
        reader.join()


def exactness(loaded: weights.Weights, device: str, quick: bool) -> bool:
    """Greedy tokens in float32 under every setting against one prompt at a time by torch's attention."""
    prompts = [_prompt(i, 5 + 9 * i) for i in range(8 if quick else 32)]
    tokens = 16 if quick else 48
    plain = Setting(dtype="fp32", graphs=False, kernel=False, budget=4096, sequences=32)
    alone = Bench(loaded, device, plain, 1024)
    expected = [alone.generate([prompt], tokens)[0] for prompt in prompts]
    settings = [
        replace(plain, name=f"batch of {len(prompts)}"),
        replace(plain, name="blocks of 4", block=4),
        replace(plain, name="prompts in pieces of 7", budget=7 + len(prompts)),
        replace(plain, name="n-gram speculation", speculate=True),
        replace(plain, name="prefix cache, second time", cache=True),
    ]
    if device.startswith("cuda"):
        settings += [
            replace(plain, name="our kernel", kernel=True),
            replace(plain, name="our kernel, CUDA graphs", kernel=True, graphs=True),
        ]
    print("\n## Exactness\n\nfloat32, greedy, against one request at a time.\n")
    head("setting", "tokens equal")
    whole = True
    for setting in settings:
        progress(f"exactness: {setting.name}")
        bench = Bench(loaded, device, setting, 1024)
        for _ in range(1 + setting.cache):
            found = bench.generate(prompts, tokens)
        same = sum(a == b for pair in zip(found, expected, strict=True) for a, b in zip(*pair, strict=True))
        print(f"| {setting.name} | {same} of {len(prompts) * tokens} |")
        whole &= same == len(prompts) * tokens
    return whole


def limits(loaded: weights.Weights, device: str, quick: bool) -> None:
    """Decode speed by batch and context, beside what the memory's bandwidth allows."""
    bandwidth = copy_bandwidth(device)
    print(f"\n## Speed by batch\n\nCopy bandwidth measured: {bandwidth / 1e9:.0f} GB/s (read and written).")
    print("Floor: weights and keys and values read once per step at that bandwidth (arithmetic).\n")
    head("batch", "context", "step ms", "floor ms", "decode tok/s", "goal (H200)", "prefill tok/s", *USE)
    for (batch, context), goal in (QUICK if quick else GOALS).items():
        progress(f"speed: batch {batch}, context {context}")
        setting = Setting(sequences=batch, budget=512 if quick else PREFILL_BUDGET)
        with in_words(f"| {batch} | {context} |"):
            bench = Bench(loaded, device, setting, context + 10 * STEPS)
            found = bench.speed(batch, context, 10 if quick else STEPS, device)
            floor = step_bytes(loaded, batch, context) / bandwidth * 1e3
            took = f"{batch / found.decode * 1e3:.2f} | {floor:.2f} | {found.decode:,.0f}"
            print(
                f"| {batch} | {context} | {took} | {goal or '–'} | {found.prefill:,.0f} | {use(found.busy)} |"
            )


def toggles(loaded: weights.Weights, device: str, quick: bool) -> None:
    """Each technique of the model against the engine as it is served, in tokens per second."""
    base = Setting()
    settings = [
        replace(base, name="int8", quant="int8"),
        replace(base, name="int4", quant="int4"),
        replace(base, name="float32", dtype="fp32"),
        replace(base, name="blocks of 4", block=4),
    ]
    if device.startswith("cuda"):
        settings += [
            replace(base, name="without CUDA graphs", graphs=False),
            replace(base, name="without our kernel", kernel=False),
            replace(base, name="torch.compile", compiled=True),
        ]
    batches = (1, 8) if quick else (1, 8, 64)
    context = 64 if quick else 512
    print(f'\n## Toggles\n\nContext {context}; × is against "as served" just before.\n')
    columns = [name for batch in batches for name in (f"decode tok/s at {batch}", "×")]
    head("setting", *columns, "prefill tok/s")
    for setting in settings:
        progress(f"toggles: {setting.name}")
        with in_words(f"| {setting.name} |"):
            pairs = [Bench(loaded, device, s, context + 10 * STEPS) for s in (base, setting)]
            cells, prefill = "", 0.0
            for batch in batches:
                was, now = (bench.speed(batch, context, 10 if quick else STEPS, device) for bench in pairs)
                cells += f" {now.decode:,.0f} | {now.decode / was.decode:.2f} |"
                prefill = now.prefill
            print(f"| {setting.name} |{cells} {prefill:,.0f} |")


def served(model: str, device: str, quick: bool) -> None:
    """Requests per minute through HTTP, at a rate and against an SLO, with loadlab itself as the client."""
    rate, seconds = (2, 5) if quick else (10_000 / 60, 60)
    slo = "ttft_ms=500,tpot_ms=50"
    print(f"\n## Served\n\n{rate:.1f} requests per second for {seconds} s, 48 tokens each, SLO {slo}.\n")
    progress(f"served: {rate:.0f} requests per second for {seconds} s")
    flags = [] if quick else ["--max-num-seqs", "512", "--max-num-batched-tokens", "4096", "--frontends", "4"]
    with (
        tempfile.TemporaryDirectory() as folder,
        server(model, device, *flags) as url,
        watched(device) as busy,
    ):
        command = [
            *LOADLAB, "run", "chat", "--url", f"{url}/v1", "--model", Path(model).stem,
            "--rate", f"{rate:.3f}", "--duration", f"{seconds}s", "--max-tokens", "48",
            "--slo", slo, "--db", f"sqlite:///{folder}/x.db", "--gpu-url", "none", "--json",
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True)
    try:
        level = json.loads(done.stdout)["levels"][0]
    except (ValueError, LookupError):
        print(f"not measured: loadlab run ended with {done.returncode}: {done.stderr.strip()[-300:]}")
        return
    head("", "")
    print(f"| verdict | {level['verdict']} {'; '.join(map(str, level['reasons']))} |")
    print(f"| requests per minute, complete | {60 * level['requests']['ok'] / level['window_s']:,.0f} |")
    print(f"| failed | {level['requests']['failed']} |")
    for name, value in level["rates"].items():
        print(f"| {name} | {value if value is None else format(value, ',.4g')} |")
    for name in ("ttft_ms", "tpot_ms", "itl_ms"):
        found = level["metrics"][name]
        print(f"| {name} p50, p99 | {found['p50']:.2f}, {found['p99']:.2f} |")
    print(f"| GPU busy %, memory busy % | {use(busy).replace(' |', ',')} |")


@contextmanager
def server(model: str, device: str, *flags: str) -> Iterator[str]:
    """The URL of a server of its own."""
    command = [*LOADLAB, "serve", "--model", model, "--device", device, "--port", "0", "--json", *flags]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout
        try:
            yield json.loads("".join(iter(process.stdout.readline, "}\n")) + "}")["url"]
        finally:
            process.terminate()


def copy_bandwidth(device: str) -> float:
    """Bytes per second, read and written, of a large copy: the best of five."""
    source = torch.ones(2**28 if device.startswith("cuda") else 2**26, device=device)
    target = torch.empty_like(source)
    best = 0.0
    for _ in range(6):
        _wait(device)
        begun = time.perf_counter()
        target.copy_(source)
        _wait(device)
        best = max(best, 2 * source.nbytes / (time.perf_counter() - begun))
    return best


def _wait(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)


def step_bytes(loaded: weights.Weights, batch: int, context: int) -> float:
    """What one step must read: all weights, and the keys and values of every sequence."""
    config, size = loaded.config, loaded.tensors["embed"].itemsize
    numbers = sum(tensor.numel() for tensor in loaded.tensors.values())
    return size * (numbers + batch * context * 2 * config.layers * config.kv_heads * config.head_dim)


def use(busy: list[tuple[float, float]]) -> str:
    """Mean use of processors and memory as two cells of a table."""
    return f"{fmean(b[0] for b in busy):.0f} | {fmean(b[1] for b in busy):.0f}" if busy else "– | –"


@contextmanager
def in_words(row: str) -> Iterator[None]:
    """What cannot be had here becomes a row that says so."""
    try:
        yield
    except LoadlabError as error:
        print(f"{row} not measured: {error} |")


def head(*columns: str) -> None:
    """The head of a table."""
    print(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}")


def progress(text: str) -> None:
    """Where it is, on stderr."""
    print(text, file=sys.stderr, flush=True)


def main() -> int:
    """Runs what was asked for; 1 when the exactness check failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--model", default="smollm2-135m", help="also a GGUF file or a Hugging Face folder")
    parser.add_argument("--quick", action="store_true", help="few small cases, to see that it works")
    parser.add_argument("--only", choices=["exactness", "limits", "toggles", "served"])
    options = parser.parse_args()
    try:
        device = device_for(options.device)
        loaded = weights.load(options.model)
    except LoadlabError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"# Engine check, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC\n")
    print(f"{options.model} on {describe(device)}; torch {torch.__version__}; {sys.argv[1:]}")
    checks: dict[str, Callable[[], bool | None]] = {
        "exactness": lambda: exactness(loaded, device, options.quick),
        "limits": lambda: limits(loaded, device, options.quick),
        "toggles": lambda: toggles(loaded, device, options.quick),
        "served": lambda: served(options.model, device, options.quick),
    }
    with torch.inference_mode():
        done = [check() for name, check in checks.items() if options.only in (None, name)]
    return 1 if False in done else 0


if __name__ == "__main__":
    sys.exit(main())
