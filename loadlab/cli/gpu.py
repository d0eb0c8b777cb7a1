"""`loadlab gpu`: the GPUs of this host, for a run on another one."""

from __future__ import annotations

import asyncio
import ipaddress
import os
from typing import Annotated, Any

import typer

from loadlab.cli import options
from loadlab.cli.output import emit_json, say
from loadlab.core.errors import UsageError

app = typer.Typer(no_args_is_help=True, help="The GPUs of this host, for a run on another one.")


@app.callback()
def root() -> None:
    """The GPUs of this host, for a run on another one."""


@app.command("agent")
def agent(
    host: Annotated[
        str, typer.Option(help="Address to listen on; other than loopback needs --token-env.")
    ] = ("127.0.0.1"),
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes any free one.")] = 9401,
    token_env: Annotated[
        str | None,
        typer.Option(help="Environment variable with the token that a caller must show.", metavar="NAME"),
    ] = None,
    gpus: options.Gpus = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout when ready.")] = False,
) -> None:
    """Hand out the readings of this host's GPUs until Ctrl-C.

    Run it beside the server; a run elsewhere reads it with --gpu-url.
    """
    from loadlab import collectors
    from loadlab.collectors.agent import GpuAgent

    token = secret("--token-env", token_env)
    if token is None and not loopback(host):
        raise UsageError(
            f"--host {host} is not a loopback address: name a token that callers must show "
            "(--token-env NAME), or listen on 127.0.0.1 and forward it: ssh -L 9401:127.0.0.1:9401 HOST"
        )
    try:
        asyncio.run(_serve(GpuAgent(collectors.nvml(gpus=gpus), token), host, port, json))
    except OSError as error:
        raise UsageError(f"cannot listen on {host}:{port}: {error.strerror or error}.") from error
    except KeyboardInterrupt:
        say("stopped.")


def secret(flag: str, name: str | None) -> str | None:
    """The value of the environment variable that a flag names. Raises UsageError where it is not set."""
    if name is None:
        return None
    if value := os.environ.get(name):
        return value
    raise UsageError(f"{flag}: environment variable '{name}' is not set or empty.")


async def _serve(agent: Any, host: str, port: int, as_json: bool) -> None:
    from aiohttp import web

    runner = web.AppRunner(agent.app(), access_log=None)
    try:
        await runner.setup()
        site = web.TCPSite(runner, host, port)
        await site.start()
        where = runner.addresses[0]
        url = f"http://[{where[0]}]:{where[1]}" if ":" in where[0] else f"http://{where[0]}:{where[1]}"
        say(f"GPU agent: {url} · {agent.absent or 'reading'} · Ctrl-C stops it")
        if as_json:
            emit_json({"url": url, "absent": agent.absent or None})
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()


def loopback(host: str) -> bool:
    """Whether an address is one that only this host reaches."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
