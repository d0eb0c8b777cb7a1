"""Starts `loadlab serve` as its users do and talks to it over real sockets."""

from __future__ import annotations

import asyncio
import io
import json
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import psutil

SERVE = [sys.executable, "-m", "loadlab", "serve"]
PATIENCE_S = 30.0


@dataclass(frozen=True, slots=True)
class Server:
    """A running server: its ready document and its process."""

    ready: dict[str, Any]
    process: subprocess.Popen[str]

    @property
    def url(self) -> str:
        return str(self.ready["url"])

    @property
    def model(self) -> str:
        return str(self.ready["model"])


@dataclass(slots=True)
class Stream:
    """What came out of one event stream."""

    events: list[dict[str, Any]] = field(default_factory=list)
    done: bool = False

    @property
    def choices(self) -> list[dict[str, Any]]:
        return [event["choices"][0] for event in self.events if event.get("choices")]

    @property
    def text(self) -> str:
        return "".join(
            choice.get("text") or choice.get("delta", {}).get("content", "") for choice in self.choices
        )

    @property
    def finish(self) -> str | None:
        return next((choice["finish_reason"] for choice in self.choices if choice["finish_reason"]), None)

    @property
    def usage(self) -> dict[str, int] | None:
        return next((event["usage"] for event in self.events if event.get("usage")), None)


@contextmanager
def serving(*flags: str, env: Mapping[str, str] | None = None) -> Iterator[Server]:
    """A server for as long as the block lasts; its stderr is ours."""
    command = [*SERVE, "--port", "0", "--json", *flags]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) as process:
        try:
            yield Server(_ready(process), process)
        finally:
            process.terminate()
            process.wait(PATIENCE_S)


def _ready(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout
    lines: list[str] = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith("}"):
            return dict(json.loads("".join(lines)))
    raise AssertionError(f"the server ended with {process.wait()} before it was ready")


def refused(*flags: str, env: Mapping[str, str] | None = None) -> tuple[int, str]:
    """Exit code and stderr of a server that must not start."""
    done = subprocess.run([*SERVE, *flags], capture_output=True, text=True, timeout=60, env=env, check=False)
    assert done.stdout == ""
    return done.returncode, done.stderr


def talk(server: Server, story: Callable[[aiohttp.ClientSession], Awaitable[Any]]) -> Any:
    """Runs a story with a client of this server."""

    async def run() -> Any:
        timeout = aiohttp.ClientTimeout(total=PATIENCE_S)
        async with aiohttp.ClientSession(server.url, timeout=timeout) as client:
            return await story(client)

    return asyncio.run(run())


async def post(client: aiohttp.ClientSession, path: str, body: Any) -> tuple[int, Any]:
    """Status and JSON of an answer that is not streamed."""
    data = io.BytesIO(body if isinstance(body, bytes) else json.dumps(body).encode())
    async with client.post(path, data=data) as response:
        return response.status, await response.json()


async def stream(client: aiohttp.ClientSession, path: str, body: Mapping[str, Any]) -> Stream:
    """Reads a whole event stream."""
    seen = Stream()
    async with client.post(path, json={**body, "stream": True}) as response:
        assert response.status == 200, await response.text()
        assert response.content_type == "text/event-stream"
        async for line in response.content:
            payload = line.removeprefix(b"data: ").strip()
            if payload == b"[DONE]":
                seen.done = True
            elif payload:
                assert not seen.done
                seen.events.append(json.loads(payload))
    return seen


async def counters(client: aiohttp.ClientSession) -> dict[str, float]:
    """/metrics as {name or name:reason: value}, without buckets."""
    async with client.get("/metrics") as response:
        assert response.content_type == "text/plain"
        lines = (await response.text()).splitlines()
    found = {}
    for line in lines:
        if line.startswith("vllm:") and "_bucket" not in line:
            name, value = line.rsplit(" ", 1)
            reason = name.partition('finished_reason="')[2].partition('"')[0]
            found[name.partition("{")[0].removeprefix("vllm:") + (f":{reason}" if reason else "")] = float(
                value
            )
    return found


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Waits for a condition; fails when it never comes."""
    deadline = time.monotonic() + PATIENCE_S
    while not await condition():
        assert time.monotonic() < deadline, "it never happened"
        await asyncio.sleep(0.02)


def spawned(pid: int | None = None) -> list[psutil.Process]:
    """What multiprocessing started for a process (ours: None) and still lives, without its own tracker."""
    found = []
    for child in psutil.Process(pid).children():
        with suppress(psutil.Error):  # it ended as we looked
            if child.status() != psutil.STATUS_ZOMBIE and "spawn_main" in " ".join(child.cmdline()):
                found.append(child)
    return found
