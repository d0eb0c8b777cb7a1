"""Runs one server from bind to clean stop. Knows sockets and signals; API and engines know neither."""

from __future__ import annotations

import asyncio
import errno
import gc
import os
import signal
import socket
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from aiohttp import web

from loadlab.core.errors import UsageError
from loadlab.server.api import create_app
from loadlab.server.arrival import listen
from loadlab.server.engine import Options
from loadlab.server.job import Engine
from loadlab.server.settings import Settings
from loadlab.server.sim import SimEngine
from loadlab.server.simulated import Simulated, switches_of
from loadlab.server.step_engine import StepEngine
from loadlab.server.torch_engine import TorchEngine

_STOP_GRACE_S = 1.0


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
    with bind(settings.host, settings.port) as sock:
        asyncio.run(_serve(settings, sock, on_ready))


def bind(host: str, port: int) -> socket.socket:
    """A bound, not yet listening socket. Raises UsageError when the address cannot be had."""
    try:
        family, kind, proto, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        sock = socket.socket(family, kind, proto)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
    except OSError as error:
        raise _bind_error(host, port, error) from error
    return sock


def _bind_error(host: str, port: int, error: OSError) -> UsageError:
    if error.errno == errno.EADDRINUSE:
        return UsageError(f"port {port} is already in use; choose another with --port.")
    return UsageError(f"cannot listen on {host}:{port}: {error.strerror or error}; check --host and --port.")


def build_engine(settings: Settings) -> Engine:
    """The engine asked for, not yet started."""
    if settings.simulated:
        return _simulated(settings, settings.simulated)
    if settings.resolved_engine() == "sim":
        return SimEngine(
            settings.resolved_model(),
            settings.timing,
            seed=settings.seed,
            fail_rate=settings.fail_rate,
            max_num_seqs=settings.max_num_seqs or 4096,
            context=settings.context or 131_072,
        )
    return TorchEngine(
        Options(
            model=settings.resolved_model(),
            device=settings.device,
            threads=settings.threads,
            max_num_seqs=settings.max_num_seqs or 64,
            budget=settings.max_num_batched_tokens,
            context=settings.context,
            seed=settings.seed,
        )
    )


def _simulated(settings: Settings, simulated: Simulated) -> Engine:
    switches = switches_of(settings.max_num_seqs, settings.max_num_batched_tokens)
    deployment = simulated.deployment(switches, context=settings.context)
    return StepEngine(settings.resolved_model(), deployment, seed=settings.seed)


async def _serve(settings: Settings, sock: socket.socket, on_ready: Callable[[Ready], None]) -> None:
    stop = _stop_signal()
    engine = build_engine(settings)
    starting = asyncio.ensure_future(engine.start())
    runner = web.AppRunner(
        create_app(engine, settings.api_key()),
        handler_cancellation=True,
        access_log=None,
        shutdown_timeout=_STOP_GRACE_S,
    )
    try:
        await asyncio.wait((starting, stop), return_when=asyncio.FIRST_COMPLETED)
        if stop.done():
            return
        await starting
        await runner.setup()
        listener = await _listen(runner, sock, settings)
        _settle_memory()
        on_ready(_ready(engine, sock))
        await stop
        listener.close()
    finally:
        starting.cancel()
        await runner.cleanup()
        await engine.stop()


def _stop_signal() -> asyncio.Future[None]:
    loop = asyncio.get_running_loop()
    stop: asyncio.Future[None] = loop.create_future()

    def ask() -> None:
        if not stop.done():
            stop.set_result(None)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ask)
    return stop


async def _listen(runner: web.AppRunner, sock: socket.socket, settings: Settings) -> asyncio.Server:
    try:
        return await listen(runner, sock, backlog=1024)
    except OSError as error:  # two starters may both have bound; only one can listen
        raise _bind_error(settings.host, settings.port, error) from error


def _settle_memory() -> None:
    """A full collection stops every stream for milliseconds: take what is alive now out of its sight."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 50)


def _ready(engine: Engine, sock: socket.socket) -> Ready:
    host, port = sock.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    return Ready(f"http://{shown}:{port}", engine.name, engine.model, engine.device, os.getpid())
