"""Runs for a gate: each an ordinary `loadlab run` of its own process, on a server that is there or started.

Knows commands, ports and how to end what it began. What the numbers mean is not its business.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import IO

from loadlab.core.errors import (
    ExitCode,
    InterruptedRunError,
    LoadlabError,
    MeasurementError,
    TargetError,
    UsageError,
)

_BELIEVED = (ExitCode.OK, ExitCode.UNTRUSTED, ExitCode.INTERRUPTED)
_LOOK_S, _STOP_WITHIN_S, _ASK_S = 1.0, 15.0, 2.0
_TOLD = 500
_PORT = "{port}"

Watch = Callable[[float], str | None]


def run(scenario: str, flags: Sequence[str], watch: Watch | None = None) -> tuple[str, str]:
    """One run: its id, and why it was ended early ("" when it was not). Raises LoadlabError with its words.

    `watch` is asked once a second with the seconds since the start, and answers why to end the run, or None.
    """
    command = [sys.executable, "-m", "loadlab", "run", scenario, "--json", *flags]
    # Its own group: the terminal's Ctrl-C reaches it through us, once.
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, process_group=0
    ) as process:
        try:
            out, said, why = _followed(process, watch)
        except KeyboardInterrupt:
            _interrupted(process)
            raise InterruptedRunError("the gate was stopped; the runs before are kept.") from None
    if process.returncode not in _BELIEVED or not out.strip():
        raise _trouble(process.returncode, said)
    if process.returncode == ExitCode.INTERRUPTED and not why:
        raise InterruptedRunError("a run of the gate was stopped; what it recorded is kept.")
    return str(json.loads(out)["run"]["id"]), why


def _interrupted(process: subprocess.Popen[str]) -> None:
    """Waits until it has saved what it has; another Ctrl-C is handed on, which cuts what is in flight."""
    while process.poll() is None:
        process.send_signal(signal.SIGINT)
        try:
            process.communicate()
        except KeyboardInterrupt:
            continue


def _followed(process: subprocess.Popen[str], watch: Watch | None) -> tuple[str, str, str]:
    began, why = time.monotonic(), ""
    while True:
        try:
            return (*process.communicate(timeout=_LOOK_S if watch and not why else None), why)
        except subprocess.TimeoutExpired:
            if watch and (found := watch(time.monotonic() - began)):
                why = found
                process.send_signal(signal.SIGINT)


def _trouble(code: int, said: str) -> LoadlabError:
    """The child's own error line and class."""
    lines = [line.removeprefix("error: ") for line in said.splitlines() if line.startswith("error: ")]
    words = lines[-1] if lines else f"`loadlab run` ended with {code}: {said.strip()[-_TOLD:]}"
    kinds: Mapping[int, type[LoadlabError]] = {ExitCode.USAGE: UsageError, ExitCode.TARGET: TargetError}
    return kinds.get(code, MeasurementError)(words)


@contextmanager
def started(command: str, within_s: float) -> Iterator[str]:
    """The base URL of the server that `command` starts; {port} in it becomes a free port. Raises TargetError.

    It is ready when GET /v1/models is answered, and is ended with its whole process group.
    """
    if _PORT not in command:
        raise UsageError(f"command '{command}' needs {_PORT} where its port goes, such as --port {_PORT}.")
    url = f"http://127.0.0.1:{(port := _free_port())}/v1"
    words = shlex.split(command.replace(_PORT, str(port)))
    with tempfile.TemporaryFile("w+") as told:
        try:
            process = subprocess.Popen(words, stdout=told, stderr=told, text=True, start_new_session=True)
        except OSError as error:
            raise UsageError(f"command '{command}' cannot be started: {error}.") from error
        try:
            _await(process, command, url, within_s, told)
            yield url
        finally:
            _end(process)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _await(process: subprocess.Popen[str], command: str, url: str, within_s: float, told: IO[str]) -> None:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise TargetError(f"'{command}' ended with {process.returncode}; it said: {_tail(told)}")
        if _answers(f"{url}/models"):
            return
        time.sleep(0.1)
    raise TargetError(f"'{command}' did not answer {url}/models within {within_s:g} s; said: {_tail(told)}")


def _answers(url: str) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=_ASK_S) as answer:
            return bool(answer.status == 200)
    except urllib.error.HTTPError as refused:
        return refused.code in (401, 403)  # it is there, and wants a key
    except OSError:
        return False


def _tail(told: IO[str]) -> str:
    told.seek(0)
    return told.read()[-_TOLD:].strip() or "(nothing)"


def _end(process: subprocess.Popen[str]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is None:
            os.killpg(process.pid, number)
            try:
                process.wait(_STOP_WITHIN_S)
            except subprocess.TimeoutExpired:
                continue
