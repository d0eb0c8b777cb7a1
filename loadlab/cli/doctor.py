"""`loadlab doctor`: what this machine, database and target can do, each in one line."""

from __future__ import annotations

import os
import resource
import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from typing import Literal

import typer

from loadlab.cli import options
from loadlab.core.errors import ExitCode, LoadlabError

_MARKS = {"ok": "ok  ", "note": "note", "problem": "FAIL"}
_ENOUGH_FILES = 4096


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at. A note limits what can be done; a problem stops it."""

    name: str
    state: Literal["ok", "note", "problem"]
    words: str


def doctor(
    url: options.Url = None,
    target: options.Target = None,
    model: options.Model = None,
    api_key_env: options.KeyEnv = None,
    db: options.Db = None,
    json: options.Json = False,
) -> None:
    """Check machine, database and endpoint.

    The endpoint is looked at when --url or --target names one.
    """
    from loadlab.cli.output import emit_json

    checks = [_python(), _cores(), _files(), _gpu(), _torch(), _browser(), _database(db)]
    if url or target:
        checks.extend(_endpoint(url, target, model, api_key_env))
    if json:
        emit_json({"checks": [asdict(check) for check in checks]})
    else:
        for check in checks:
            typer.echo(f"{_MARKS[check.state]}  {check.name:<10} {check.words}")
    if any(check.state == "problem" for check in checks):
        raise typer.Exit(
            ExitCode.TARGET if checks[-1].state == "problem" and (url or target) else ExitCode.USAGE
        )


def _python() -> Check:
    from loadlab import __version__

    return Check("python", "ok", f"{sys.version.split()[0]}, loadlab {__version__}")


def _cores() -> Check:
    cores = os.cpu_count() or 1
    if cores < 2:
        return Check("cores", "note", "1 core: generator and recorder share it, so timings will be rough")
    return Check("cores", "ok", f"{cores}; one load worker drives one, --processes uses more")


def _files() -> Check:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < _ENOUGH_FILES:
        return Check(
            "files",
            "note",
            f"{soft} open files allowed: about {soft - 100} streams; `ulimit -n {hard}` raises it",
        )
    return Check("files", "ok", f"{soft} open files allowed")


def _gpu() -> Check:
    import pynvml

    try:
        pynvml.nvmlInit()
        count = pynvml.nvmlDeviceGetCount()
        name = pynvml.nvmlDeviceGetName(pynvml.nvmlDeviceGetHandleByIndex(0)) if count else "none"
        pynvml.nvmlShutdown()
    except pynvml.NVMLError as error:
        return Check("gpu", "note", f"no NVIDIA GPU to read here ({error})")
    return Check("gpu", "ok", f"{count} × {name}")


def _torch() -> Check:
    missing = [name for name in ("torch", "tokenizers", "safetensors") if find_spec(name) is None]
    if missing:
        return Check("server", "note", "engine 'sim' only; pip install 'loadlab[server]' adds the real model")
    return Check("server", "ok", "engines 'torch' and 'sim'")


def _browser() -> Check:
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    return (
        Check("browser", "ok", found)
        if found
        else Check("browser", "note", "none found; only tests need one here")
    )


def _database(db: str | None) -> Check:
    from loadlab import store
    from loadlab.core.config import store_url

    try:
        database = store.open(store_url(db))
        info = database.info()
        database.close()
    except LoadlabError as error:
        return Check("database", "problem", str(error))
    return Check("database", "ok", f"{info['url']}, schema {info['revision']}")


def _endpoint(url: str | None, target: str | None, model: str | None, key: str | None) -> Iterator[Check]:
    from loadlab.cli.run import endpoint, override
    from loadlab.drive import preflight
    from loadlab.wire.auth import signer_of

    try:
        where = override(endpoint(url, target), model=model, auth_env=key)
        found = preflight.check(where, signer_of(where))
    except LoadlabError as error:
        yield Check("endpoint", "problem", str(error))
    else:
        yield Check("endpoint", "ok", f"{found.url} serves {found.model}")
