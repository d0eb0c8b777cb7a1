"""The tables. Times are integer nanoseconds: `*_at_ns` is UTC epoch, every other `*_ns` is an offset from the
run's anchor (`run.started_at_ns`), except `queued_ns`, `connect_ns` and `tls_ns`, which are lengths.

Money is integer nano-USD. Unknown is NULL, never 0. JSON only for what is not queried.
"""

from __future__ import annotations

import sqlalchemy as sa

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

Int = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def _run_id() -> sa.Column[str]:
    return sa.Column("run_id", sa.String(40), sa.ForeignKey("run.id", ondelete="CASCADE"), primary_key=True)


run = sa.Table(
    "run",
    metadata,
    sa.Column("id", sa.String(40), primary_key=True),
    sa.Column("scenario", sa.String(200), nullable=False),
    sa.Column("target", sa.String(200), nullable=False),
    sa.Column("url", sa.String(1000), nullable=False),
    sa.Column("model", sa.String(300), nullable=False),
    sa.Column("dialect", sa.String(60), nullable=False),
    sa.Column("label", sa.String(200), nullable=False),
    sa.Column("seed", Int, nullable=False),
    sa.Column("state", sa.String(20), nullable=False),
    sa.Column("verdict", sa.String(10)),
    sa.Column("reasons", sa.JSON, nullable=False),
    sa.Column("started_at_ns", Int, nullable=False, index=True),
    sa.Column("finished_at_ns", Int),
    sa.Column("heartbeat_at_ns", Int, nullable=False),
    sa.Column("spec", sa.JSON, nullable=False),
    sa.Column("price", sa.JSON),
    sa.Column("unpriced", sa.Text, nullable=False),
    sa.Column("environment", sa.JSON, nullable=False),
    sa.Column("notes", sa.JSON, nullable=False),
)

level = sa.Table(
    "level",
    metadata,
    _run_id(),
    sa.Column("level", sa.Integer, primary_key=True),
    sa.Column("users", sa.Integer),
    sa.Column("rate", sa.Float),
    sa.Column("arrivals", sa.String(20), nullable=False),
    sa.Column("requests", sa.Integer),
    sa.Column("duration_s", sa.Float),
    sa.Column("warmup_s", sa.Float, nullable=False),
    sa.Column("started_ns", Int),
    sa.Column("finished_ns", Int),
    sa.Column("verdict", sa.String(10)),
    sa.Column("hardware", sa.String(200)),
    sa.Column("ended", sa.Text),
)

request = sa.Table(
    "request",
    metadata,
    _run_id(),
    sa.Column("worker", sa.Integer, primary_key=True),
    sa.Column("seq", sa.Integer, primary_key=True),
    sa.Column("level", sa.Integer, nullable=False),
    sa.Column("warmup", sa.Boolean, nullable=False),
    sa.Column("planned_ns", Int, nullable=False),
    sa.Column("sent_ns", Int),
    sa.Column("queued_ns", Int, nullable=False),
    sa.Column("connect_ns", Int, nullable=False),
    sa.Column("tls_ns", Int, nullable=False),
    sa.Column("reused", sa.Boolean, nullable=False),
    sa.Column("retries", sa.Integer, nullable=False),
    sa.Column("first_byte_ns", Int),
    sa.Column("first_event_ns", Int),
    sa.Column("first_token_ns", Int),
    sa.Column("first_answer_ns", Int),
    sa.Column("first_reasoning_ns", Int),
    sa.Column("first_tool_ns", Int),
    sa.Column("last_token_ns", Int),
    sa.Column("done_ns", Int),
    sa.Column("status", sa.Integer),
    sa.Column("error_kind", sa.String(40)),
    sa.Column("error_detail", sa.Text),
    sa.Column("finish_reason", sa.String(40)),
    sa.Column("max_tokens", sa.Integer, nullable=False),
    sa.Column("prompt_tokens", sa.Integer),
    sa.Column("cached_tokens", sa.Integer),
    sa.Column("output_tokens", sa.Integer),
    sa.Column("reasoning_tokens", sa.Integer),
    sa.Column("cache_write_tokens", sa.Integer),
    sa.Column("audio_input_tokens", sa.Integer),
    sa.Column("audio_output_tokens", sa.Integer),
    sa.Column("tool_tokens", sa.Integer),
    sa.Column("audio_s", sa.Float),
    sa.Column("server_timings", sa.JSON(none_as_null=True)),
    sa.Column("chunks", sa.Integer, nullable=False),
    sa.Column("count_source", sa.String(20)),
    sa.Column("cost_nano_usd", Int),
    sa.Column("route", sa.Integer, nullable=False),
    sa.Column("output_chars", sa.Integer),
    sa.Column("reference_tokens", sa.Integer),
    sa.Index(None, "run_id", "level"),
)

# Apart from `request`, so that scanning requests does not read the blobs.
arrivals = sa.Table(
    "arrivals",
    metadata,
    sa.Column("run_id", sa.String(40), primary_key=True),
    sa.Column("worker", sa.Integer, primary_key=True),
    sa.Column("seq", sa.Integer, primary_key=True),
    sa.Column("codec", sa.Integer, nullable=False),
    sa.Column("blob", sa.LargeBinary, nullable=False),
    sa.ForeignKeyConstraint(
        ["run_id", "worker", "seq"],
        ["request.run_id", "request.worker", "request.seq"],
        ondelete="CASCADE",
    ),
)

reading = sa.Table(
    "reading",
    metadata,
    sa.Column("id", Int, primary_key=True),
    sa.Column("run_id", sa.String(40), sa.ForeignKey("run.id", ondelete="CASCADE"), nullable=False),
    sa.Column("at_ns", Int, nullable=False),
    sa.Column("source", sa.String(40), nullable=False),
    sa.Column("device", sa.String(80), nullable=False),
    sa.Column("metric", sa.String(120), nullable=False),
    sa.Column("value", sa.Float, nullable=False),
    sa.Index(None, "run_id", "at_ns"),
)

# What one level came to, a number per measure ("ttft_ms.p95"): derived from its requests when it was judged,
# so that a thousand runs are listed without reading a million requests.
statistic = sa.Table(
    "statistic",
    metadata,
    _run_id(),
    sa.Column("level", sa.Integer, primary_key=True),
    sa.Column("measure", sa.String(80), primary_key=True),
    sa.Column("value", sa.Float, nullable=False),
    sa.Column("low", sa.Float),
    sa.Column("high", sa.Float),
    sa.Column("n", sa.Integer, nullable=False),
)

# A run that was handed in as one batch. `times` are the vendor's, epoch seconds; `counts` as it counts.
batch = sa.Table(
    "batch",
    metadata,
    _run_id(),
    sa.Column("language", sa.String(40), nullable=False),
    sa.Column("batch_id", sa.String(200)),
    sa.Column("word", sa.String(40)),
    sa.Column("handed_in_ns", Int),
    sa.Column("over_ns", Int),
    sa.Column("poll_s", sa.Float, nullable=False),
    sa.Column("counts", sa.JSON(none_as_null=True)),
    sa.Column("times", sa.JSON(none_as_null=True)),
    sa.Column("error", sa.Text),
    sa.Column("max_tokens", sa.JSON, nullable=False),
    sa.Column("usual_price", sa.JSON(none_as_null=True)),
)

# What a run cost under another price or other terms; the first price is the run's own and stays there.
repricing = sa.Table(
    "repricing",
    metadata,
    sa.Column("id", Int, primary_key=True),
    sa.Column(
        "run_id", sa.String(40), sa.ForeignKey("run.id", ondelete="CASCADE"), nullable=False, index=True
    ),
    sa.Column("priced_at_ns", Int, nullable=False),
    sa.Column("price", sa.JSON(none_as_null=True)),
    sa.Column("unpriced", sa.Text, nullable=False),
    sa.Column("terms", sa.JSON, nullable=False),
)

# What runs a gate compares with: the newest set of a name is in force, the older ones are its past.
baseline = sa.Table(
    "baseline",
    metadata,
    sa.Column("id", Int, primary_key=True),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("set_at_ns", Int, nullable=False),
    sa.Column("run_id", sa.String(40), sa.ForeignKey("run.id", ondelete="CASCADE"), nullable=False),
    sa.Column("why", sa.Text, nullable=False),
    sa.Index(None, "name", "set_at_ns"),
)

# Gates as they were judged; `document` is what --json printed.
gate = sa.Table(
    "gate",
    metadata,
    sa.Column("id", sa.String(40), primary_key=True),
    sa.Column("judged_at_ns", Int, nullable=False, index=True),
    sa.Column("outcome", sa.String(20), nullable=False),
    sa.Column("document", sa.JSON, nullable=False),
)

# A regression that history found: `metrics` that moved together, `evidence` of each, `changes` of its state.
incident = sa.Table(
    "incident",
    metadata,
    sa.Column("id", sa.String(40), primary_key=True),
    sa.Column("opened_at_ns", Int, nullable=False, index=True),
    sa.Column("state", sa.String(20), nullable=False),
    sa.Column("scenario", sa.String(200), nullable=False),
    sa.Column("target", sa.String(200), nullable=False),
    sa.Column("model", sa.String(300), nullable=False),
    sa.Column("hardware", sa.String(200), nullable=False),
    sa.Column("metrics", sa.JSON, nullable=False),
    sa.Column("evidence", sa.JSON, nullable=False),
    sa.Column("changes", sa.JSON, nullable=False),
    sa.Column("notified_at_ns", Int),
)

# Vendor comparisons as their files defined them: the newest document of a name is in force.
vendor_study = sa.Table(
    "vendor_study",
    metadata,
    sa.Column("id", Int, primary_key=True),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("defined_at_ns", Int, nullable=False),
    sa.Column("document", sa.JSON, nullable=False),
    sa.Index(None, "name", "defined_at_ns"),
)

# One vendor under one workload in one slot of a comparison; `state` is done, failed, skipped or stale.
vendor_slot = sa.Table(
    "vendor_slot",
    metadata,
    sa.Column("id", Int, primary_key=True),
    sa.Column("study", sa.String(200), nullable=False),
    sa.Column("slot", sa.Integer, nullable=False),
    sa.Column("workload", sa.String(200), nullable=False),
    sa.Column("position", sa.Integer, nullable=False),
    sa.Column("vendor", sa.String(200), nullable=False),
    sa.Column("state", sa.String(20), nullable=False),
    sa.Column("why", sa.Text, nullable=False),
    sa.Column("began_at_ns", Int, nullable=False),
    sa.Column("ended_at_ns", Int, nullable=False),
    sa.Column("run_id", sa.String(40), sa.ForeignKey("run.id", ondelete="SET NULL")),
    sa.Index(None, "study", "slot"),
)

# What the client's own error was, on one load host under one load; errors are client minus server.
calibration = sa.Table(
    "calibration",
    metadata,
    sa.Column("id", Int, primary_key=True),
    sa.Column("calibrated_at_ns", Int, nullable=False),
    sa.Column("run_id", sa.String(40), sa.ForeignKey("run.id", ondelete="SET NULL")),
    sa.Column("loadlab", sa.String(40), nullable=False),
    sa.Column("python", sa.String(40), nullable=False),
    sa.Column("platform", sa.String(200), nullable=False),
    sa.Column("machine", sa.String(60), nullable=False),
    sa.Column("cpu", sa.String(200), nullable=False),
    sa.Column("cpus", sa.Integer, nullable=False),
    sa.Column("processes", sa.Integer, nullable=False),
    sa.Column("streams", sa.Integer, nullable=False),
    sa.Column("tokens_per_s", sa.Float, nullable=False),
    sa.Column("requests", sa.Integer, nullable=False),
    sa.Column("tokens", sa.Integer, nullable=False),
    sa.Column("ttft_p50_ms", sa.Float, nullable=False),
    sa.Column("ttft_p99_ms", sa.Float, nullable=False),
    sa.Column("itl_p50_ms", sa.Float, nullable=False),
    sa.Column("itl_p99_ms", sa.Float, nullable=False),
    sa.Column("send_lag_p99_ms", sa.Float),
    sa.Column("cpu_us_per_token", sa.Float),
    sa.Column("server_late_p99_ms", sa.Float, nullable=False),
    sa.Index(None, "platform", "loadlab"),
)

# APScheduler's own table (its columns and types): which time of which job comes next. Not a pickle in it.
schedule_job = sa.Table(
    "schedule_job",
    metadata,
    sa.Column("id", sa.Unicode(191), primary_key=True),
    sa.Column("next_run_time", sa.Float(25), index=True),
    sa.Column("job_state", sa.LargeBinary, nullable=False),
)

# What schedulers did, one row per planned time and attempt; the key is what lets only one of them have it.
schedule_log = sa.Table(
    "schedule_log",
    metadata,
    sa.Column("id", Int, primary_key=True),
    sa.Column("job_group", sa.String(80), nullable=False),
    sa.Column("job", sa.String(100), nullable=False),
    sa.Column("planned_at_ns", Int, nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("cause", sa.String(10), nullable=False),
    sa.Column("state", sa.String(10), nullable=False, index=True),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("command", sa.JSON, nullable=False),
    sa.Column("host", sa.String(200), nullable=False),
    sa.Column("pid", sa.Integer, nullable=False),
    sa.Column("child_pid", sa.Integer),
    sa.Column("booked_at_ns", Int, nullable=False),
    sa.Column("seen_at_ns", Int, nullable=False),
    sa.Column("started_at_ns", Int),
    sa.Column("ended_at_ns", Int),
    sa.Column("exit_code", sa.Integer),
    sa.Column("run_id", sa.String(40)),
    sa.Column("gate_id", sa.String(40)),
    sa.Column("told", sa.Text, nullable=False),
    sa.Index(None, "job_group", "job", "planned_at_ns", "attempt", unique=True),
)

# Who measures a target now, until when; a row whose lease has run out is nobody's.
target_lock = sa.Table(
    "target_lock",
    metadata,
    sa.Column("target", sa.String(300), primary_key=True),
    sa.Column("log_id", Int, nullable=False),
    sa.Column("taken_at_ns", Int, nullable=False),
    sa.Column("lease_until_ns", Int, nullable=False),
)

# Alerts on their way: one row per occasion and channel, kept once it is sent.
alert = sa.Table(
    "alert",
    metadata,
    sa.Column("id", Int, primary_key=True),
    sa.Column("occasion", sa.String(200), nullable=False),
    sa.Column("channel", sa.String(100), nullable=False),
    sa.Column("subject", sa.String(200), nullable=False, index=True),
    sa.Column("event", sa.String(20), nullable=False),
    sa.Column("document", sa.JSON, nullable=False),
    sa.Column("created_at_ns", Int, nullable=False),
    sa.Column("next_try_at_ns", Int, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("sent_at_ns", Int),
    sa.Column("error", sa.Text, nullable=False),
    sa.Index(None, "occasion", "channel", unique=True),
)
