"""Load from several processes and several hosts, some of which are lost on the way. All real, on loopback."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Self

import psutil
import pytest

from loadlab import store
from tests.conftest import unused_port
from tests.integration.conftest import LOADLAB, Sim, loadlab

ADDRESSES = ("10.254.77.1", "10.254.77.2")


@contextmanager
def started(folder: Path, *arguments: str, prefix: Sequence[str] = ()) -> Iterator[subprocess.Popen[str]]:
    """A command in progress, ended with the block."""
    folder.mkdir(exist_ok=True)
    process = subprocess.Popen(
        [*prefix, *LOADLAB, *arguments],
        cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def ended(process: subprocess.Popen[str], timeout_s: float = 40) -> tuple[int, dict[str, Any], str]:
    """Exit code, JSON document and stderr of a command."""
    out, err = process.communicate(timeout=timeout_s)
    return process.returncode, json.loads(out) if out else {}, err


def finished(process: subprocess.Popen[str]) -> dict[str, Any]:
    """The document of a run that came to its end. A busy machine may have made its numbers INVALID."""
    code, document, err = ended(process)
    assert code in (0, 4), err
    return document


def children(process: subprocess.Popen[str], module: str) -> list[psutil.Process]:
    """The processes of one kind that a command started."""
    found = psutil.Process(process.pid).children()
    return [child for child in found if module in " ".join(child.cmdline())]


def newest(url: str) -> Any:
    """The newest run of a store: its state, notes, levels and requests."""
    with store.open(url) as database:
        run = database.run("latest")
        return run, database.levels(run.id), database.requests(run.id)


def served(sim: Sim) -> int:
    """How many requests the server has answered, as it counts itself."""
    found = re.findall(r"^vllm:request_success_total(?:{.*})? (\S+)$", sim.get("/metrics"), re.M)
    return int(sum(map(float, found)))


def wait_until(true: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Waits for something to become true while a command goes on."""
    deadline = time.monotonic() + 30
    while not true():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.1)


def recorded(url: str, path: Path | None = None) -> int:
    """How many requests the newest run of a store has; 0 before there is one."""
    if path and not path.exists():
        return 0
    with store.open(url) as database:
        runs = database.runs()
        return int(runs.n_requests[0]) if len(runs) else 0


def test_the_run_goes_on_without_a_lost_load_worker(sim: Sim, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/x.db"
    with started(
        tmp_path, "sweep", "chat", "--url", sim.url, "--users", "4,5", "--duration", "3s", "--processes", "2",
        "--max-tokens", "10", "--db", url, "--json",
    ) as command:  # fmt: skip
        wait_until(lambda: recorded(url, tmp_path / "x.db") >= 12, command)
        children(command, "loadlab.drive.worker")[1].kill()
        document = finished(command)
    assert document["run"]["verdict"] != "VALID"
    assert "lost during the run: load worker 1 (signal 9), limit 0" in document["run"]["reasons"]
    run, levels, rows = newest(url)
    assert run.state == "finished"
    assert levels.finished_ns.notna().all()
    first, second = rows[rows.level == 0], rows[rows.level == 1]
    assert {0, 1} == set(first.worker)
    # The other worker carries all five users of the next level: at about 145 ms each, 5 × 20 requests.
    assert set(second.worker) == {0}
    assert len(second) > 60


def test_a_run_without_any_load_worker_is_interrupted(sim: Sim, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/x.db"
    with started(
        tmp_path, "run", "chat", "--url", sim.url, "--users", "4", "--duration", "30s", "--processes", "2",
        "--max-tokens", "10", "--db", url, "--json",
    ) as command:  # fmt: skip
        wait_until(lambda: recorded(url, tmp_path / "x.db") >= 12, command)
        for worker in children(command, "loadlab.drive.worker"):
            worker.kill()
        code, document, _ = ended(command)
    assert code == 130
    run, _, rows = newest(url)
    assert run.state == "interrupted"
    assert "nobody was left to send requests" in run.notes
    assert document["levels"][0]["requests"]["sent"] == len(rows) >= 12


class Fleet:
    """A controlling command and its load hosts, all on one address; each host has a folder of its own."""

    def __init__(
        self, folder: Path, sim: Sim, url: str, processes: Sequence[int], *flags: str, scenario: str = "chat"
    ) -> None:
        self._stack = ExitStack()
        bind = f"127.0.0.1:{unused_port()}"
        self.master = self._start(
            folder, "run", scenario, "--url", sim.url, "--db", url, "--hosts", str(len(processes)),
            "--bind", bind, "--json", *flags,
        )  # fmt: skip
        self.hosts = [
            self._start(
                folder / f"host{index}", "worker", "--master", bind, "--processes", str(count), "--db", url
            )
            for index, count in enumerate(processes)
        ]

    def _start(self, folder: Path, *arguments: str) -> subprocess.Popen[str]:
        return self._stack.enter_context(started(folder, *arguments))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()


def start_of(levels: Any) -> int:
    return int(levels.started_ns[0])


def schedule(sim: Sim, folder: Path, *flags: str) -> list[int]:
    """The arrivals of the same run from one process, as offsets from the start of its level."""
    url = f"sqlite:///{folder}/alone.db"
    assert loadlab("run", "chat", "--url", sim.url, "--db", url, *flags, cwd=folder).returncode in (0, 4)
    _, levels, rows = newest(url)
    return sorted(int(at) - start_of(levels) for at in rows.planned_ns)


@pytest.mark.parametrize("way", ["collect", pytest.param("share", marks=pytest.mark.postgres)])
def test_two_hosts_carry_one_schedule(
    sim: Sim, tmp_path: Path, way: str, request: pytest.FixtureRequest
) -> None:
    flags = ("--rate", "40", "--requests", "81", "--max-tokens", "5", "--seed", "9")
    alone = schedule(sim, tmp_path, *flags)
    if way == "collect":
        url, further = f"sqlite:///{tmp_path}/x.db", ("--collect",)
    else:
        url, further = request.getfixturevalue("postgres_url"), ()
    before = served(sim)
    with Fleet(tmp_path, sim, url, [2, 1], *flags, *further) as fleet:
        document = finished(fleet.master)
        assert [ended_quietly(host) for host in fleet.hosts] == [0, 0]
    run, levels, rows = newest(url)
    assert document["levels"][0]["requests"]["ok"] == len(rows) == served(sim) - before == 81
    assert sorted(int(at) - start_of(levels) for at in rows.planned_ns) == alone
    assert rows.groupby("worker").size().tolist() == [27, 27, 27]
    assert (run.state, run.spec.processes) == ("finished", 3)
    assert sorted(host["load_workers"] for host in run.environment["load_hosts"]) == [1, 2]
    with store.open(url) as database:
        assert len(database.gaps(run.id)) == 81 * 4
        readings = database.readings(run.id)
    generators = set(readings[readings.source == "generator"].device)
    assert generators == {"worker0", "worker1", "worker2"}
    assert (readings.at_ns >= 0).all()
    assert not list(tmp_path.glob("host*/*.db"))


def ended_quietly(host: subprocess.Popen[str]) -> int:
    """The exit code of a host that has been told to end."""
    _, err = host.communicate(timeout=15)
    assert "error" not in err
    return host.returncode


def test_users_are_split_over_hosts_and_levels_follow_each_other(sim: Sim, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/x.db"
    with Fleet(
        tmp_path, sim, url, [1, 1], "--users", "3,5", "--requests", "30", "--max-tokens", "5", "--collect"
    ) as fleet:
        document = finished(fleet.master)
    assert [level["requests"]["ok"] for level in document["levels"]] == [30, 30]
    _, _, rows = newest(url)
    # Two of three users and half of the requests belong to the first host.
    assert rows.groupby(["level", "worker"]).size().tolist() == [15, 15, 15, 15]


SHAPED = """
from locust import LoadTestShape, task
from loadlab.drive import StreamUser

class Stairs(LoadTestShape):
    def tick(self):
        return (2, 2) if self.get_run_time() < 1 else (6, 6) if self.get_run_time() < 2.5 else None

class Chat(StreamUser):
    @task
    def ask(self):
        self.send(self.next_request())
"""


def test_the_scenarios_own_shape_is_split_over_hosts(sim: Sim, tmp_path: Path) -> None:
    url, scenario = f"sqlite:///{tmp_path}/x.db", tmp_path / "shaped.py"
    scenario.write_text(SHAPED)
    flags = ("--shape", "--max-tokens", "5", "--collect")
    with Fleet(tmp_path, sim, url, [1, 1], *flags, scenario=str(scenario)) as fleet:
        finished(fleet.master)
    _, levels, rows = newest(url)
    at_s = (rows.sent_ns - start_of(levels)) / 1e9
    early, late = rows[at_s < 0.9].groupby("worker").size(), rows[at_s > 1.5].groupby("worker").size()
    # One of two users each, then three of six.
    assert list(early.index) == list(late.index) == [0, 1]
    assert (late / early > 1.8).all()


@pytest.mark.postgres
def test_the_run_goes_on_without_a_lost_host(sim: Sim, tmp_path: Path, empty_postgres_url: str) -> None:
    url = empty_postgres_url
    with Fleet(
        tmp_path, sim, url, [1, 1], "--users", "4", "--duration", "6s", "--max-tokens", "10"
    ) as fleet:  # fmt: skip
        wait_until(lambda: recorded(url) >= 12, fleet.master)
        seen = rows_by_worker(url)
        psutil.Process(fleet.hosts[1].pid).kill()
        document = finished(fleet.master)
    assert document["run"]["verdict"] != "VALID"
    assert any("lost during the run: load host" in reason for reason in document["run"]["reasons"])
    run, _, rows = newest(url)
    assert run.state == "finished"
    kept = rows_by_worker(url)
    assert all(kept[worker] >= count for worker, count in seen.items())
    assert max(kept.values()) > 2 * min(kept.values())
    assert document["levels"][0]["requests"]["sent"] == len(rows)


def rows_by_worker(url: str) -> dict[int, int]:
    """How many requests of the newest run each load worker has in the store."""
    return {int(worker): len(rows) for worker, rows in newest(url)[2].groupby("worker")}


def test_a_host_goes_on_without_a_lost_load_worker(sim: Sim, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/x.db"
    with Fleet(
        tmp_path, sim, url, [2, 1], "--users", "6", "--duration", "4s", "--max-tokens", "10", "--collect"
    ) as fleet:
        assert fleet.master.stderr
        while "level 1/1" not in fleet.master.stderr.readline():
            pass
        time.sleep(1.5)
        children(fleet.hosts[0], "loadlab.drive.worker")[1].kill()
        document = finished(fleet.master)
    (reason,) = [reason for reason in document["run"]["reasons"] if "lost during the run" in reason]
    assert "load worker 1 (signal 9)" in reason
    _, _, rows = newest(url)
    assert set(rows.worker) == {0, 1, 2}
    assert len(rows) == document["levels"][0]["requests"]["sent"]


def test_the_end_of_the_controlling_command_ends_the_hosts(sim: Sim, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/x.db"
    with Fleet(tmp_path, sim, url, [1], "--users", "2", "--duration", "60s", "--collect") as fleet:
        (own,) = [*waited(lambda: list(tmp_path.glob("host0/*.db")), fleet.master)]
        wait_until(lambda: recorded(f"sqlite:///{own}") > 4, fleet.master)
        fleet.master.kill()
        _, err = fleet.hosts[0].communicate(timeout=20)
        assert fleet.hosts[0].returncode == 130
        assert "saved" in err
    run, _, rows = newest(f"sqlite:///{own}")
    assert run.state == "interrupted"
    assert len(rows) > 4


def waited(found: Callable[[], list[Path]], process: subprocess.Popen[str]) -> list[Path]:
    wait_until(lambda: bool(found()), process)
    return found()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--hosts", "1", "--db", "sqlite:///x.db"), "--collect"),
        (("--hosts", "0", "--collect"), "--hosts 0"),
        (("--hosts", "1", "--collect", "--processes", "2"), "loadlab worker"),
        (("--collect",), "--hosts N"),
        (("--hosts", "1", "--collect", "--bind", "0.0.0.0:5557"), "--allow-remote"),
        (("--hosts", "1", "--collect", "--bind", "nowhere:port"), "nowhere:port"),
        (("--hosts", "1", "--collect", "--bind", "203.0.113.7:0", "--allow-remote"), "203.0.113.7"),
    ],
)
def test_what_cannot_be_is_said_before_anything_starts(
    sim: Sim, tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    done = loadlab("run", "chat", "--url", sim.url, *arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert words in done.stderr.splitlines()[-1]


@pytest.mark.postgres
@pytest.mark.parametrize("other", ["sqlite:///own.db", "another"])
def test_a_host_with_another_database_says_so_on_both(
    sim: Sim, tmp_path: Path, postgres_url: str, empty_postgres_url: str, other: str
) -> None:
    bind = f"127.0.0.1:{unused_port()}"
    place = empty_postgres_url if other == "another" else other
    with started(
        tmp_path, "run", "chat", "--url", sim.url, "--hosts", "1", "--bind", bind, "--db", postgres_url
    ) as master, started(tmp_path / "host", "worker", "--master", bind, "--db", place) as worker:  # fmt: skip
        said = [process.communicate(timeout=30)[1] for process in (master, worker)]
        assert (master.returncode, worker.returncode) == (2, 2)
    words = "not shared" if other != "another" else "write to one database"
    for err in said:
        assert words in err.splitlines()[-1]
        assert "Traceback" not in err


@contextmanager
def two_networks() -> Iterator[tuple[list[str], list[str]]]:
    """Two networks joined by a cable, as command prefixes; the second has a monotonic clock of its own."""
    ip = shutil.which("ip")
    if ip is None or os.geteuid() != 0:
        pytest.skip("network namespaces need root and iproute2 (on Debian: apt-get install iproute2)")
    tag = f"ll{os.getpid() % 100000}"
    names = (f"{tag}a", f"{tag}b")

    def run(*words: str) -> None:
        done = subprocess.run([ip, *words], capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"network namespaces do not work here: ip {' '.join(words)}: {done.stderr.strip()}")

    try:
        for name in names:
            run("netns", "add", name)
        run("link", "add", names[0], "netns", names[0], "type", "veth", "peer", names[1], "netns", names[1])
        for name, address in zip(names, ADDRESSES, strict=True):
            run("-n", name, "addr", "add", f"{address}/24", "dev", name)
            for device in ("lo", name):
                run("-n", name, "link", "set", device, "up")
        near, far = ([ip, "netns", "exec", name] for name in names)
        later = ["unshare", "--time", "--monotonic", "100000", "--fork", "--kill-child"]
        if not subprocess.run([*later, "true"], capture_output=True).returncode:
            far += later
        yield near, far
    finally:
        for name in names:
            subprocess.run([ip, "netns", "del", name], capture_output=True)


@contextmanager
def apart(folder: Path, *flags: str) -> Iterator[tuple[subprocess.Popen[str], list[subprocess.Popen[str]]]]:
    """A controlling command with two hosts, the second and its clock in a network of its own."""
    here = ADDRESSES[0]
    with two_networks() as (near, far), ExitStack() as stack:

        def start(prefix: list[str], *arguments: str) -> subprocess.Popen[str]:
            return stack.enter_context(started(folder, *arguments, prefix=prefix))

        server = start(
            near, "serve", "--engine", "sim", "--host", here, "--port", "8000", "--api-key-env", "KEY"
        )
        assert server.stderr
        while "ready" not in server.stderr.readline():
            assert server.poll() is None
        master = start(
            near, "run", "chat", "--url", f"http://{here}:8000/v1", "--api-key-env", "KEY", "--hosts", "2",
            "--bind", f"{here}:5557", "--allow-remote", "--collect", "--json", *flags,
        )  # fmt: skip
        yield master, [start(prefix, "worker", "--master", f"{here}:5557") for prefix in (near, far)]


def test_hosts_in_networks_and_with_clocks_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sim: Sim
) -> None:
    flags = ("--rate", "40", "--requests", "60", "--max-tokens", "5", "--seed", "4", "--max-rate", "40")
    alone = schedule(sim, tmp_path, *flags)
    monkeypatch.setenv("KEY", "of-this-test")
    url = f"sqlite:///{tmp_path}/x.db"
    with apart(tmp_path, "--db", url, *flags) as (master, hosts):
        document = finished(master)
        assert [ended_quietly(host) for host in hosts] == [0, 0]
    _, levels, rows = newest(url)
    assert document["levels"][0]["requests"]["ok"] == 60
    assert sorted(int(at) - start_of(levels) for at in rows.planned_ns) == alone
    # Sent on time by each host's own clock; a clock misread by a day would not be.
    assert ((rows.sent_ns - rows.planned_ns).abs() < 2e9).all()
    assert rows.groupby("worker").size().tolist() == [30, 30]


def test_a_cut_cable_costs_one_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY", "of-this-test")
    url = f"sqlite:///{tmp_path}/x.db"
    flags = ("--users", "4", "--duration", "12s", "--max-tokens", "5", "--timeout", "3s", "--db", url)
    with apart(tmp_path, *flags) as (master, hosts):
        own = waited(lambda: list(tmp_path.glob("loadlab-*.db")), master)
        wait_until(lambda: all(recorded(f"sqlite:///{path}") > 4 for path in own), master)
        cable = f"ll{os.getpid() % 100000}b"
        subprocess.run(["ip", "-n", cable, "link", "set", cable, "down"], check=True)
        document = finished(master)
        _, said = hosts[1].communicate(timeout=30)
    (reason,) = [reason for reason in document["run"]["reasons"] if "lost during the run" in reason]
    assert "its heartbeat stopped" in reason
    assert hosts[1].returncode == 130
    assert "no sign of life" in said
    run, _, rows = newest(url)
    assert run.state == "finished"
    assert rows.worker.nunique() == 1
    # The lost host could not hand over; what it recorded is still with it.
    (left,) = tmp_path.glob("loadlab-*.db")
    theirs = recorded(f"sqlite:///{left}")
    assert theirs > 4
    added = loadlab("db", "merge", str(left), "--db", url, "--json", cwd=tmp_path)
    assert json.loads(added.stdout)["requests"] == theirs
    assert json.loads(added.stdout)["verdict"] == newest(url)[0].verdict
    assert recorded(url) == len(rows) + theirs
    assert loadlab("db", "merge", str(left), "--db", url, cwd=tmp_path).returncode == 2


def test_a_host_with_a_wrong_wall_clock_starts_with_the_others(
    sim: Sim, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = tmp_path / "wrong"
    wrong.mkdir()
    (wrong / "sitecustomize.py").write_text(
        "import time\nright = time.time_ns\ntime.time_ns = lambda: right() + 7_000_000_000\n"
    )
    url, bind = f"sqlite:///{tmp_path}/x.db", f"127.0.0.1:{unused_port()}"
    with started(
        tmp_path, "run", "chat", "--url", sim.url, "--hosts", "2", "--bind", bind, "--collect", "--db", url,
        "--rate", "20", "--requests", "40", "--max-tokens", "5", "--json",
    ) as master, started(tmp_path / "right", "worker", "--master", bind):  # fmt: skip
        monkeypatch.setenv("PYTHONPATH", str(wrong))
        with started(tmp_path / "late", "worker", "--master", bind):
            finished(master)
    run, _, rows = newest(url)
    (note,) = [note for note in run.notes if "clock" in note]
    assert re.search(r"load host \d \(.+\): its clock was (6999|7000)\.\d ms ahead", note)
    # Nobody began seconds early or late, so that arrivals would have been overdue from the start.
    assert ((rows.sent_ns - rows.planned_ns).abs() < 2e9).all()
    first = rows.groupby("worker").sent_ns.min()
    assert abs(first[0] - first[1]) < 2e9


def test_locusts_own_master_and_workers_show_token_metrics(
    sim: Sim, tmp_path: Path, repository: Path, free_port: int
) -> None:
    scenario = repository / "scenarios" / "chat.py"
    locust = [sys.executable, "-m", "locust", "-f", str(scenario)]
    before = served(sim)
    workers = [
        subprocess.Popen(
            [*locust, "--worker", "--master-port", str(free_port)], cwd=tmp_path, stderr=subprocess.PIPE
        )
        for _ in range(2)
    ]
    try:
        done = subprocess.run(
            [*locust, "--master", "--master-bind-host", "127.0.0.1", "--master-bind-port", str(free_port),
             "--host", sim.url, "--headless", "--expect-workers", "2", "-u", "4", "-r", "4", "-t", "3s",
             "--max-tokens", "10", "--csv", "out", "--stop-timeout", "2"],
            cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        logs = [worker.communicate(timeout=20)[1] for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
    assert done.returncode == 0, (done.stderr, logs)
    with (tmp_path / "out_stats.csv").open() as file:
        rows = {row["Type"]: row for row in csv.DictReader(file)}
    assert {"POST", "TTFT", "ITL", "tok/s"} <= set(rows)
    assert int(rows["POST"]["Request Count"]) == served(sim) - before > 20
    assert 50 <= float(rows["TTFT"]["Median Response Time"]) < 70
    assert 'All users spawned: {"Chat": 4}' in done.stderr
