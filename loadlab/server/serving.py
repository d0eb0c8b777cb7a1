"""Runs one server from bind to clean stop: one front process here, several with `frontends`."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from loadlab.core.errors import UsageError
from loadlab.server import board, controls, front, fronts, loads, metrics
from loadlab.server.address import bind, bind_several, url
from loadlab.server.batches import fail_leftovers
from loadlab.server.board import private
from loadlab.server.controls import Controls
from loadlab.server.engines import all_options, build_engines
from loadlab.server.files import Folder
from loadlab.server.front import Shared, Stop
from loadlab.server.settings import Settings, served_name


@dataclass(frozen=True, slots=True)
class Ready:
    """Where the server answers and what it serves."""

    url: str
    engine: str
    model: str
    device: str
    pid: int

    def document(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)


def serve(settings: Settings, on_ready: Callable[[Ready], None]) -> None:
    """Serves until SIGINT or SIGTERM. Raises UsageError for a bad setting or a port in use."""
    settings.check()
    with _folder(settings.files) as folder:
        serve_on = _serve_alone if settings.frontends == 1 else _serve_shared
        asyncio.run(serve_on(settings, folder, on_ready))


@contextmanager
def _folder(asked: Path | None) -> Iterator[Path]:
    """Where files and batches lie; without a wish, for this server's life only."""
    if asked is None:
        with TemporaryDirectory(prefix="loadlab-files-") as name:
            yield Path(name)
        return
    try:
        asked.mkdir(parents=True, exist_ok=True)
        fail_leftovers(Folder(asked))
    except OSError as error:
        raise UsageError(f"--files {asked}: {error.strerror}; name a folder that can be written.") from error
    yield asked


async def _serve_alone(settings: Settings, folder: Path, on_ready: Callable[[Ready], None]) -> None:
    stop, engines = Stop(), build_engines(settings)
    models = len(engines)
    shared = Shared(
        private(metrics.WIDTH * models), private(loads.WIDTH * models), private(controls.WIDTH), folder
    )
    Controls(shared.controls.mine).set(settings.controls())

    def ready() -> None:
        engine = engines[0]
        on_ready(Ready(url(sock), engine.name, engine.model, engine.device, os.getpid()))

    with bind(settings.host, settings.port) as sock:
        await front.run(settings, engines, shared, sock, stop, ready)


async def _serve_shared(settings: Settings, folder: Path, on_ready: Callable[[Ready], None]) -> None:
    count, models = settings.frontends, settings.models()
    shared = Shared(
        board.shared(metrics.WIDTH * len(models), count, fronts.SPAWN),
        board.shared(loads.WIDTH * len(models), count, fronts.SPAWN),
        board.shared(controls.WIDTH, 1, fronts.SPAWN),
        folder,
    )
    Controls(shared.controls.mine).set(settings.controls())
    socks = bind_several(settings.host, settings.port, count)
    where = url(socks[0])

    def ready(device: str) -> None:
        on_ready(Ready(where, "torch", served_name(models[0]), device, os.getpid()))

    await fronts.run(settings, all_options(settings), shared, socks, ready)
