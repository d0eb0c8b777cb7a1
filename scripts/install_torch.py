"""Installs the pinned torch into the Python that runs this, in the smallest build that uses the hardware.

    python scripts/install_torch.py [auto|cpu|cuda]

Without an NVIDIA GPU that is the CPU build (about 0.2 GB); PyPI's plain Linux wheel brings several GB of CUDA
libraries, so it is the last resort there. Standard library only: it runs before anything is installed.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

CONSTRAINTS = Path(__file__).resolve().parent.parent / "constraints.txt"
CPU_INDEX = "https://download.pytorch.org/whl/cpu"


def main() -> int:
    """Tries each build in turn; 0 when one is installed."""
    wanted = sys.argv[1] if len(sys.argv) > 1 else "auto"
    if wanted not in ("auto", "cpu", "cuda"):
        sys.exit(f"loadlab: '{wanted}' is not a build of torch; give auto, cpu or cuda.")
    version = pinned()
    if installed() == version:
        return 0
    said = ""
    for sentence, arguments in builds(version, cuda=wanted == "cuda" or (wanted == "auto" and has_gpu())):
        print(f"torch {version}: {sentence}", file=sys.stderr, flush=True)
        code, said = pip(arguments)
        if code == 0:
            return 0
    print(said, file=sys.stderr)
    print(
        f"loadlab: torch {version} could not be installed; check the network and pip's index.",
        file=sys.stderr,
    )
    return 1


def builds(version: str, *, cuda: bool) -> list[tuple[str, list[str]]]:
    """What to try, best first: a sentence for the user, and pip's arguments."""
    plain = [f"torch=={version}"]
    if cuda:
        return [("the CUDA build, for an NVIDIA GPU (several GB)", plain)]
    cpu = [f"torch=={version}+cpu"]
    return [
        ("the CPU build: no NVIDIA GPU is here", cpu),
        (f"not on the configured index; trying {CPU_INDEX}", [*cpu, "--extra-index-url", CPU_INDEX]),
        ("no CPU build to be had; PyPI's plain wheel (on x86 with several GB of CUDA libraries)", plain),
    ]


def pip(arguments: list[str]) -> tuple[int, str]:
    """Exit code and output of `pip install`; downloads are shown. A dead network ends it within a minute."""
    patience = ["--timeout", "15", "--retries", "1"]
    command = [sys.executable, "-m", "pip", "install", "--no-compile", "--disable-pip-version-check"]
    with subprocess.Popen(
        [*command, *patience, "-c", str(CONSTRAINTS), *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        lines = [_show(line) for line in process.stdout]
    return process.returncode, "".join(lines[-15:])


def _show(line: str) -> str:
    if line.lstrip().startswith("Downloading "):
        print(f"  {line.split()[1]} {line[line.find('(') :].strip()}", file=sys.stderr, flush=True)
    return line


def has_gpu() -> bool:
    """Whether an NVIDIA driver shows a device."""
    if Path("/dev/nvidia0").exists():
        return True
    tool = shutil.which("nvidia-smi")
    return tool is not None and b"GPU " in subprocess.run([tool, "-L"], capture_output=True).stdout


def pinned() -> str:
    """The version in constraints.txt."""
    found = re.search(r"^torch==([\d.]+)$", CONSTRAINTS.read_text(encoding="utf-8"), re.MULTILINE)
    if not found:
        sys.exit(f"loadlab: {CONSTRAINTS} pins no torch; make it again with scripts/lock.sh.")
    return found[1]


def installed() -> str | None:
    """The installed version without its build tag, or None."""
    try:
        return metadata.version("torch").partition("+")[0]
    except metadata.PackageNotFoundError:
        return None


if __name__ == "__main__":
    sys.exit(main())
