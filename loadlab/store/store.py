"""The store: one object that writes runs and reads them back as frames. It computes no metric.

Times come in as absolute `clock.now_ns()` and are stored as offsets from the run's anchor. Each method is one
transaction; when it returns, what it wrote is committed. Methods may be called from several threads; a forked
process must open its own Store.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from loadlab.core.errors import NoDataError
from loadlab.core.nouns import Level, Price, Reading, Result, Run, RunState, Terms, Verdict
from loadlab.store import codec, engine, frames, resuming, rows, run_pages, schema
from loadlab.store.batches import Batches
from loadlab.store.incidents import Incidents
from loadlab.store.migration import HEAD
from loadlab.store.request_log import RequestLog
from loadlab.store.statistics import Statistics, forget
from loadlab.store.stored import Pricing, StoredRun, state
from loadlab.store.url import shown, sqlite_file

if TYPE_CHECKING:
    import pandas as pd


class Store:
    """An open database. `loadlab.store.open` makes one; `migrated_from` is the revision it had, or None.

    `batches`, `incidents` and `statistics` are the tables of those names, `request_log` reads requests piece
    by piece.
    """

    def __init__(self, database: sa.Engine, migrated_from: str | None) -> None:
        self._database = database
        self._clocks: dict[str, int] = {}
        self.migrated_from = migrated_from
        self.batches = Batches(self._transaction)
        self.incidents = Incidents(self._transaction)
        self.statistics = Statistics(self._transaction)
        self.request_log = RequestLog(self._transaction)

    def begin_run(self, run: Run) -> None:
        """Stores what was asked; the run is `running` from here on."""
        with self._transaction() as connection:
            connection.execute(schema.run.insert(), rows.run_row(run))
        self._clocks[run.id] = run.clock_ns

    def begin_level(self, run_id: str, level: Level, started_ns: int) -> None:
        """Stores that a level began at `started_ns` (absolute); the run's spec knows it from here on."""
        row = rows.level_row(run_id, level, started_ns - self._clock(run_id))
        with self._transaction() as connection:
            connection.execute(schema.level.insert(), row)
            resuming.add_to_spec(connection, run_id, level)

    def finish_level(self, run_id: str, index: int, finished_ns: int, ended: str | None = None) -> None:
        """Stores that a level ended at `finished_ns` (absolute); `ended`: why before its time."""
        level, offset = schema.level, finished_ns - self._clock(run_id)
        where = (level.c.run_id == run_id, level.c.level == index)
        self._update(level, where, finished_ns=offset, ended=ended)

    def resume_run(self, run: Run) -> None:
        """Makes an interrupted run `running` again; `run.clock_ns` is its start by this host's clock now.

        A level that was not finished begins anew: what was recorded of it stays, as warm-up.
        """
        with self._transaction() as connection:
            resuming.reopen(connection, run.id)
        self._clocks[run.id] = run.clock_ns

    def reached(self, run_id: str) -> resuming.Reached:
        """How far a run (full id) has come: what a resumed one goes on from."""
        with self._transaction() as connection:
            return resuming.reached(connection, run_id)

    def write(self, run_id: str, results: Sequence[Result], readings: Sequence[Reading]) -> None:
        """Stores a batch in one transaction; all of it is on disk when this returns, or none of it.

        Raises StoreError, for instance for a (worker, seq) that is already there.
        """
        clock_ns = self._clock(run_id)
        batches = {
            schema.request: [rows.request_row(run_id, result, clock_ns) for result in results],
            schema.arrivals: [rows.arrivals_row(run_id, result) for result in results if result.arrivals_ns],
            schema.reading: list(rows.reading_rows(run_id, readings, clock_ns)),
        }
        with self._transaction() as connection:
            for table, batch in batches.items():
                if batch:
                    connection.execute(table.insert(), batch)

    def describe_server(self, run_id: str, facts: Mapping[str, str]) -> None:
        """Stores what was learnt of the server's hardware ("gpu", "driver") in the run's environment."""
        environment = {**self.run(run_id).environment, "server": dict(facts)}
        self._update_run(run_id, environment=environment)

    def heartbeat(self, run_id: str) -> None:
        """Stores that the recorder lives; a run without one for 10 s reads as interrupted."""
        self._update_run(run_id, heartbeat_at_ns=time.time_ns())

    def finish_run(self, run_id: str, state: RunState, notes: Sequence[str] = ()) -> None:
        """Stores how the run ended, and sentences worth keeping with it."""
        self._update_run(run_id, state=state, notes=list(notes), finished_at_ns=time.time_ns())

    def set_verdict(self, run_id: str, verdict: Verdict, reasons: Sequence[str]) -> None:
        """Stores whether the run can be trusted, and why not."""
        self._update_run(run_id, verdict=verdict, reasons=list(reasons))

    def reprice(self, run_id: str, price: Price | None, unpriced: str, terms: Terms) -> None:
        """Stores that the run is priced like this from now on; every pricing before it is kept."""
        row = rows.repricing_row(run_id, price, unpriced, terms)
        with self._transaction() as connection:
            connection.execute(schema.repricing.insert(), row)
            forget(connection, run_id)

    def pricings(self, run_id: str) -> list[Pricing]:
        """Every pricing of a run (full id), its own first, the one in force last."""
        run, table = self.run(run_id), schema.repricing
        query = sa.select(table).where(table.c.run_id == run.id).order_by(table.c.id)
        with self._transaction() as connection:
            later = [Pricing.from_row(row) for row in connection.execute(query).mappings()]
        return [Pricing(run.started_at_ns, run.price, run.unpriced, run.spec.terms), *later]

    def repriced(self) -> list[str]:
        """The runs that were priced again since they were recorded."""
        with self._transaction() as connection:
            return list(connection.execute(sa.select(schema.repricing.c.run_id).distinct()).scalars())

    def pricing_count(self) -> int:
        """How often runs were priced again, all told."""
        with self._transaction() as connection:
            return int(connection.execute(sa.select(sa.func.count(schema.repricing.c.id))).scalar() or 0)

    def spent(self, since_ns: int = 0) -> pd.DataFrame:
        """What the runs begun since then (UTC) used: a row per run, level, warmup and ok, with its sums.

        Columns: run_id, level, warmup, ok, requests, prompt_tokens, output_tokens, known_outputs,
        cached_tokens, cache_write_tokens, reasoning_tokens, cost_nano_usd and known_costs (how many it is the
        sum of), first_ns, last_ns.
        """
        with self._transaction() as connection:
            return frames.spent(connection, since_ns)

    def kept(
        self, since_ns: int = 0, ttft_ms: float | None = None, e2e_ms: float | None = None
    ) -> dict[str, int]:
        """By run begun since then (UTC), how many of its requests succeeded within these limits."""
        with self._transaction() as connection:
            return frames.kept(connection, since_ns, ttft_ms, e2e_ms)

    def add_calibration(
        self, run_id: str | None, environment: Mapping[str, Any], measured: Mapping[str, Any]
    ) -> None:
        """Stores the client's error at one load of the host that `environment` (of a run) describes."""
        row = rows.calibration_row(run_id, environment, measured)
        with self._transaction() as connection:
            connection.execute(schema.calibration.insert(), row)

    def calibration(self, environment: Mapping[str, Any]) -> pd.DataFrame:
        """Table `calibration` of the load host of `environment` and its loadlab: each load's newest row."""
        with self._transaction() as connection:
            return frames.calibration(connection, rows.load_host(environment))

    def set_baseline(self, name: str, run_ids: Sequence[str], why: str = "") -> None:
        """Stores that these runs (full ids) are the baseline of that name from now on."""
        batch = rows.baseline_rows(name, run_ids, why)
        with self._transaction() as connection:
            connection.execute(schema.baseline.insert(), batch)

    def baseline(self, name: str) -> list[str]:
        """The runs of the baseline in force. Raises NoDataError for a name that has none."""
        known = self.baselines()
        ids = [str(ref) for ref in known[known["name"] == name]["run_id"]]
        if not ids:
            named = ", ".join(sorted(set(known["name"]))) or "none"
            raise NoDataError(
                f"baseline '{name}' is not set in {shown(self._database.url)} (set: {named}); "
                f"`loadlab gate baseline set {name} RUN` sets it."
            )
        return ids

    def baselines(self) -> pd.DataFrame:
        """Table `baseline`, of each name the set in force: name, set_at_ns, run_id, why."""
        with self._transaction() as connection:
            return frames.baselines(connection)

    def add_gate(self, gate_id: str, outcome: str, document: Mapping[str, Any]) -> None:
        """Stores a gate that was judged now."""
        row = rows.gate_row(gate_id, outcome, document)
        with self._transaction() as connection:
            connection.execute(schema.gate.insert(), row)

    def gates(self, limit: int | None = None) -> pd.DataFrame:
        """Table `gate`, newest first."""
        with self._transaction() as connection:
            return frames.gates(connection, limit)

    def define_study(self, name: str, document: Mapping[str, Any]) -> None:
        """Stores what a vendor comparison is from now on; what it was before is kept."""
        row = {"name": name, "defined_at_ns": time.time_ns(), "document": dict(document)}
        with self._transaction() as connection:
            connection.execute(schema.vendor_study.insert(), row)

    def study(self, name: str) -> dict[str, Any]:
        """The document in force of the vendor comparison of that name. Raises NoDataError."""
        known = self.studies()
        for row in known.to_dict("records"):
            if row["name"] == name:
                return dict(row["document"])
        names = ", ".join(known["name"]) or "none"
        raise NoDataError(
            f"no vendor comparison '{name}' is in {self.where} (there: {names}); "
            "`loadlab vendors run vendors.toml` begins one."
        )

    def studies(self) -> pd.DataFrame:
        """Every vendor comparison, newest definition first: name, defined_at_ns, document."""
        with self._transaction() as connection:
            return frames.studies(connection)

    def add_vendor_slot(self, **values: Any) -> None:
        """Stores how one vendor fared in one slot: the columns of table `vendor_slot`."""
        with self._transaction() as connection:
            connection.execute(schema.vendor_slot.insert(), values)

    def retire_block(self, study: str, slot: int, workload: str) -> None:
        """Marks what was measured of a block as stale: it is done again as a whole, and this not counted."""
        table = schema.vendor_slot
        block = (table.c.study == study, table.c.slot == slot, table.c.workload == workload)
        with self._transaction() as connection:
            connection.execute(table.update().where(*block).values(state="stale"))

    def vendor_slots(self, study: str) -> pd.DataFrame:
        """Table `vendor_slot` of one comparison, in the order measured."""
        with self._transaction() as connection:
            return frames.vendor_slots(connection, study)

    def vendor_requests(self, study: str) -> pd.DataFrame:
        """Requests of every block that counts: slot, workload, vendor, start and verdict of the run too."""
        with self._transaction() as connection:
            return frames.vendor_requests(connection, study)

    def runs(self, limit: int | None = None, since_ns: int = 0) -> pd.DataFrame:
        """One row per run begun since then (UTC), newest first: table `run` less its documents; n_levels,
        n_requests, n_failed.
        """
        with self._transaction() as connection:
            found = frames.runs(connection, limit, since_ns=since_ns)
        found["state"] = [state(*pair) for pair in zip(found["state"], found["heartbeat_at_ns"], strict=True)]
        return found

    def runs_page(
        self, sought: run_pages.Sought, offset: int = 0, limit: int = 50
    ) -> tuple[pd.DataFrame, int]:
        """Some of the runs that are sought, as `runs` gives them, and how many there are in all."""
        with self._transaction() as connection:
            found, total = run_pages.page(connection, sought, offset, limit)
        found["state"] = [state(*pair) for pair in zip(found["state"], found["heartbeat_at_ns"], strict=True)]
        return found, total

    def targets(self) -> list[dict[str, Any]]:
        """Each target, url and model that was ever run against: runs, newest_at_ns (UTC). Newest first."""
        with self._transaction() as connection:
            return run_pages.kinds(connection)

    def run(self, ref: str) -> StoredRun:
        """The run of that id, unique prefix of an id, or "latest". Raises NoDataError."""
        run = schema.run
        newest = sa.select(run).order_by(run.c.started_at_ns.desc(), run.c.id.desc()).limit(2)
        query = (
            newest.limit(1) if ref == "latest" else newest.where(run.c.id.startswith(ref, autoescape=True))
        )
        with self._transaction() as connection:
            exact = connection.execute(sa.select(run).where(run.c.id == ref)).mappings().all()
            found = exact or connection.execute(query).mappings().all()
        if len(found) != 1 or not ref:
            raise NoDataError(self._not_one(ref, [row["id"] for row in found]))
        return StoredRun.from_row(found[0])

    def levels(self, run_id: str) -> pd.DataFrame:
        """Table `level` of one run (full id), in order."""
        with self._transaction() as connection:
            return frames.levels(connection, run_id)

    def requests(self, run_id: str, level: int | None = None) -> pd.DataFrame:
        """Table `request` of one run (full id) or level, as planned in time; nullable numbers are float64."""
        with self._transaction() as connection:
            return frames.requests(connection, run_id, level)

    def gaps(self, run_id: str, level: int | None = None) -> pd.DataFrame:
        """Every gap between neighbouring arrivals: level, warmup, ok (the request did not fail), itl_ms."""
        with self._transaction() as connection:
            return frames.gaps(connection, run_id, level)

    def arrivals(self, run_id: str, worker: int, seq: int) -> list[int]:
        """When each output event of one request came (ns from the run's anchor); [] when none did."""
        request, arrivals = schema.request.c, schema.arrivals.c
        query = (
            sa.select(arrivals.codec, arrivals.blob, sa.func.coalesce(request.sent_ns, request.planned_ns))
            .join_from(schema.request, schema.arrivals)
            .where(arrivals.run_id == run_id, arrivals.worker == worker, arrivals.seq == seq)
        )
        with self._transaction() as connection:
            found = connection.execute(query).one_or_none()
        return codec.decode(*found) if found else []

    def readings(self, run_id: str, since_ns: int | None = None, until_ns: int | None = None) -> pd.DataFrame:
        """Table `reading` of one run (full id), in order of time; with limits only what was read between."""
        with self._transaction() as connection:
            return frames.readings(connection, run_id, since_ns, until_ns)

    @property
    def where(self) -> str:
        """The store's URL, password hidden."""
        return shown(self._database.url)

    def sources(self, run_ids: Sequence[str]) -> dict[str, set[str]]:
        """By run, the sources that readings are stored of, such as "nvml" and "host"."""
        reading = schema.reading.c
        query = sa.select(reading.run_id, reading.source).where(reading.run_id.in_(list(run_ids))).distinct()
        found: dict[str, set[str]] = {ref: set() for ref in run_ids}
        with self._transaction() as connection:
            for ref, source in connection.execute(query):
                found[ref].add(source)
        return found

    def info(self) -> dict[str, Any]:
        """URL (password hidden), backend, schema revision and newest known, rows per table, size in bytes."""
        url = self._database.url
        with self._transaction() as connection:
            tables = schema.metadata.sorted_tables
            return {
                "url": shown(url),
                "backend": connection.dialect.name,
                "revision": connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar(),
                "head": HEAD,
                "counts": {
                    table.name: connection.execute(sa.select(sa.func.count()).select_from(table)).scalar()
                    for table in tables
                },
                "size_bytes": self._size_bytes(connection),
            }

    def close(self) -> None:
        """Closes every connection; the object is of no use afterwards."""
        self._database.dispose()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def _transaction(self) -> Iterator[sa.Connection]:
        with engine.one_line_errors(self._database.url), self._database.begin() as connection:
            yield connection

    def _update_run(self, run_id: str, **values: Any) -> None:
        self._update(schema.run, (schema.run.c.id == run_id,), **values)

    def _update(self, table: sa.Table, where: Sequence[sa.ColumnElement[bool]], **values: Any) -> None:
        with self._transaction() as connection:
            if connection.execute(table.update().where(*where).values(**values)).rowcount == 0:
                raise NoDataError(f"nothing to update in table {table.name}: it has no such row ({values}).")

    def _clock(self, run_id: str) -> int:
        """The run's anchor; read from its row when another process began the run."""
        if run_id not in self._clocks:
            self._clocks[run_id] = self.run(run_id).spec.clock_ns
        return self._clocks[run_id]

    def _not_one(self, ref: str, found: Sequence[str]) -> str:
        where = shown(self._database.url)
        if len(found) > 1:
            return f"run '{ref}' is ambiguous in {where}: {', '.join(found)}, …; give more characters."
        if ref == "latest":
            return f"{where} holds no run yet; `loadlab run` records one."
        return f"run '{ref}' is not in {where}; `loadlab runs list` shows what is."

    def _size_bytes(self, connection: sa.Connection) -> int | None:
        if connection.dialect.name == "postgresql":
            size = sa.func.pg_database_size(sa.func.current_database())
            return connection.execute(sa.select(size)).scalar()
        path = sqlite_file(self._database.url)
        if path is None:
            return None
        parts = (path, path.with_name(f"{path.name}-wal"))
        return sum(part.stat().st_size for part in parts if part.exists())
