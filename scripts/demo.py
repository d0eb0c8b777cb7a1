"""`make demo`: a real language model on this machine, a sweep of load against it, its summary, the dashboard.

Only the command line of loadlab is used, and each command is printed before it runs. What the demo stores
lies in .loadlab/. Ctrl-C goes to the command in the foreground: once, a sweep drains and saves; twice, it
stops.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

ROOT = Path(__file__).resolve().parent.parent
HOME = ROOT / ".loadlab"
LOADLAB = Path(sys.executable).with_name("loadlab")
DATABASE = "sqlite:///.loadlab/demo.db"
READY_WITHIN_S = 600  # the first start fetches 93 MB of weights
STOP_WITHIN_S = 15
INTERRUPTED = 130
UNTRUSTED = 4  # the sweep's exit code for an INVALID verdict: recorded, and worth looking at
STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class DemoError(Exception):
    """Something went wrong; the text says what, for the user."""


class Child:
    """One `loadlab` command in a session of its own, so that only the demo decides which signals it gets."""

    def __init__(self, arguments: list[str], *, piped: bool = False) -> None:
        say("$ loadlab " + shlex.join(arguments))
        self.name = f"loadlab {arguments[0]}"
        stream = subprocess.PIPE if piped else None
        self.process: subprocess.Popen[bytes] = subprocess.Popen(
            [LOADLAB, *arguments],
            cwd=ROOT, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, start_new_session=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},  # a pipe would hold back what it prints
        )  # fmt: skip

    def stop(self) -> None:
        """Ends it, gently first, with everything it started."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self.process.pid, number)
                self.process.wait(STOP_WITHIN_S)
            except ProcessLookupError:
                return
            except subprocess.TimeoutExpired:
                say(f"{self.name} did not stop within {STOP_WITHIN_S} s; ending it now.")


def main() -> int:
    """Runs the demo; the exit code is that of the first command that failed."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("--open", default="1", help="0 ends after the summary, without the dashboard")
    options.add_argument("--duration", default="15s", help="length of each of the four levels")
    given = options.parse_args()
    HOME.mkdir(exist_ok=True)
    for number in STOPPING:
        signal.signal(number, signal.default_int_handler)
    started = time.monotonic()
    try:
        code = measure(given.duration)
        say(f"demo took {time.monotonic() - started:.0f} s; results are in {DATABASE}")
        if code in (0, UNTRUSTED) and given.open != "0":
            foreground(Child(["dash", "--db", DATABASE, "--port", "0"]))
        return code
    except DemoError as failure:
        say(f"demo failed: {failure}")
        return 1
    except KeyboardInterrupt:
        say("demo stopped.")
        return 130


def measure(duration: str) -> int:
    """Serves the model, sweeps four levels of load over it, stops it; gives the sweep's exit code."""
    with server() as (url, log):
        sweep = ["sweep", "chat", "--url", f"{url}/v1", "--model", "smollm2-135m"]
        load = ["--users", "1,2,4,8", "--duration", duration, "--warmup", "2s", "--max-tokens", "48"]
        cost = ["--price", "cpu-hour", "--db", DATABASE, "--label", "demo"]
        code = foreground(Child([*sweep, *load, *cost]))
        if code not in (0, INTERRUPTED):
            say(f"the server's last lines, of {log.path}:\n{log.tail}")
        return code


@contextmanager
def server() -> Iterator[tuple[str, Log]]:
    """The reference server's URL and log while it runs."""
    arguments = ["serve", "--engine", "torch", "--model", "smollm2-135m", "--port", "0", "--json"]
    child = Child(arguments, piped=True)
    log = Log(child, HOME / "server.log")
    try:
        yield await_ready(child, log), log
    finally:
        child.stop()


class Log(threading.Thread):
    """Copies a child's stderr to a file; to the terminal as well until `quiet`. Keeps the last lines."""

    def __init__(self, child: Child, path: Path) -> None:
        super().__init__(daemon=True)
        self.source, self.path, self.quiet = child.process.stderr, path, False
        self.last: deque[str] = deque(maxlen=15)
        self.start()

    @property
    def tail(self) -> str:
        """The last lines, indented."""
        return "\n".join(f"  {line}" for line in self.last)

    def run(self) -> None:
        assert self.source is not None
        with self.path.open("w", encoding="utf-8") as file:
            for raw in self.source:
                line = raw.decode(errors="replace").rstrip()
                print(line, file=file, flush=True)
                self.last.append(line)
                if not self.quiet:
                    say(f"  server: {line}")


def await_ready(child: Child, log: Log) -> str:
    """The URL in the one document that `serve --json` prints when it is ready. Raises DemoError."""
    overdue = threading.Timer(READY_WITHIN_S, child.stop)
    overdue.daemon = True
    overdue.start()
    assert child.process.stdout is not None
    text = ""
    for line in child.process.stdout:
        text += line.decode()
        try:
            url = str(json.loads(text)["url"])
        except ValueError:
            continue
        overdue.cancel()
        log.quiet = True
        return url
    child.process.wait()
    log.join(timeout=2)
    raise DemoError(f"the server ended before it was ready. Its last lines:\n{log.tail}")


def foreground(child: Child) -> int:
    """Waits for a child and hands every Ctrl-C on to it; gives its exit code."""

    def hand_on(number: int, frame: FrameType | None) -> None:
        child.process.send_signal(signal.SIGINT)

    before = {number: signal.signal(number, hand_on) for number in STOPPING}
    try:
        return child.process.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        child.stop()


def say(text: str) -> None:
    """One line on stderr."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
