"""The first schema: run, level, request, arrivals, reading, repricing, calibration."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

Int = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "run",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("scenario", sa.String(length=200), nullable=False),
        sa.Column("target", sa.String(length=200), nullable=False),
        sa.Column("url", sa.String(length=1000), nullable=False),
        sa.Column("model", sa.String(length=300), nullable=False),
        sa.Column("dialect", sa.String(length=60), nullable=False),
        sa.Column("label", sa.String(length=200), nullable=False),
        sa.Column("seed", Int, nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("verdict", sa.String(length=10), nullable=True),
        sa.Column("reasons", sa.JSON(), nullable=False),
        sa.Column("started_at_ns", Int, nullable=False),
        sa.Column("finished_at_ns", Int, nullable=True),
        sa.Column("heartbeat_at_ns", Int, nullable=False),
        sa.Column("spec", sa.JSON(), nullable=False),
        sa.Column("price", sa.JSON(), nullable=True),
        sa.Column("unpriced", sa.Text(), nullable=False),
        sa.Column("environment", sa.JSON(), nullable=False),
        sa.Column("notes", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_run")),
    )
    op.create_index(op.f("ix_run_started_at_ns"), "run", ["started_at_ns"], unique=False)
    op.create_table(
        "level",
        sa.Column("run_id", sa.String(length=40), nullable=False),
        sa.Column("level", sa.Integer(), nullable=False),
        sa.Column("users", sa.Integer(), nullable=True),
        sa.Column("rate", sa.Float(), nullable=True),
        sa.Column("arrivals", sa.String(length=20), nullable=False),
        sa.Column("requests", sa.Integer(), nullable=True),
        sa.Column("duration_s", sa.Float(), nullable=True),
        sa.Column("warmup_s", sa.Float(), nullable=False),
        sa.Column("started_ns", Int, nullable=True),
        sa.Column("finished_ns", Int, nullable=True),
        sa.Column("verdict", sa.String(length=10), nullable=True),
        sa.Column("hardware", sa.String(length=200), nullable=True),
        sa.Column("ended", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("fk_level_run_id_run"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", "level", name=op.f("pk_level")),
    )
    op.create_table(
        "reading",
        sa.Column("id", Int, nullable=False),
        sa.Column("run_id", sa.String(length=40), nullable=False),
        sa.Column("at_ns", Int, nullable=False),
        sa.Column("source", sa.String(length=40), nullable=False),
        sa.Column("device", sa.String(length=80), nullable=False),
        sa.Column("metric", sa.String(length=120), nullable=False),
        sa.Column("value", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(
            ["run_id"], ["run.id"], name=op.f("fk_reading_run_id_run"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reading")),
    )
    op.create_index(op.f("ix_reading_run_id_at_ns"), "reading", ["run_id", "at_ns"], unique=False)
    op.create_table(
        "request",
        sa.Column("run_id", sa.String(length=40), nullable=False),
        sa.Column("worker", sa.Integer(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("level", sa.Integer(), nullable=False),
        sa.Column("warmup", sa.Boolean(), nullable=False),
        sa.Column("planned_ns", Int, nullable=False),
        sa.Column("sent_ns", Int, nullable=True),
        sa.Column("queued_ns", Int, nullable=False),
        sa.Column("connect_ns", Int, nullable=False),
        sa.Column("tls_ns", Int, nullable=False),
        sa.Column("reused", sa.Boolean(), nullable=False),
        sa.Column("retries", sa.Integer(), nullable=False),
        sa.Column("first_byte_ns", Int, nullable=True),
        sa.Column("first_event_ns", Int, nullable=True),
        sa.Column("first_token_ns", Int, nullable=True),
        sa.Column("first_answer_ns", Int, nullable=True),
        sa.Column("first_reasoning_ns", Int, nullable=True),
        sa.Column("first_tool_ns", Int, nullable=True),
        sa.Column("last_token_ns", Int, nullable=True),
        sa.Column("done_ns", Int, nullable=True),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("error_kind", sa.String(length=40), nullable=True),
        sa.Column("error_detail", sa.Text(), nullable=True),
        sa.Column("finish_reason", sa.String(length=40), nullable=True),
        sa.Column("max_tokens", sa.Integer(), nullable=False),
        sa.Column("prompt_tokens", sa.Integer(), nullable=True),
        sa.Column("cached_tokens", sa.Integer(), nullable=True),
        sa.Column("output_tokens", sa.Integer(), nullable=True),
        sa.Column("reasoning_tokens", sa.Integer(), nullable=True),
        sa.Column("cache_write_tokens", sa.Integer(), nullable=True),
        sa.Column("audio_input_tokens", sa.Integer(), nullable=True),
        sa.Column("audio_output_tokens", sa.Integer(), nullable=True),
        sa.Column("tool_tokens", sa.Integer(), nullable=True),
        sa.Column("audio_s", sa.Float(), nullable=True),
        sa.Column("server_timings", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("chunks", sa.Integer(), nullable=False),
        sa.Column("count_source", sa.String(length=20), nullable=True),
        sa.Column("cost_nano_usd", Int, nullable=True),
        sa.Column("route", sa.Integer(), nullable=False),
        sa.Column("output_chars", sa.Integer(), nullable=True),
        sa.Column("reference_tokens", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(
            ["run_id"], ["run.id"], name=op.f("fk_request_run_id_run"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("run_id", "worker", "seq", name=op.f("pk_request")),
    )
    op.create_index(op.f("ix_request_run_id_level"), "request", ["run_id", "level"], unique=False)
    op.create_table(
        "arrivals",
        sa.Column("run_id", sa.String(length=40), nullable=False),
        sa.Column("worker", sa.Integer(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("codec", sa.Integer(), nullable=False),
        sa.Column("blob", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["run_id", "worker", "seq"],
            ["request.run_id", "request.worker", "request.seq"],
            name=op.f("fk_arrivals_run_id_worker_seq_request"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("run_id", "worker", "seq", name=op.f("pk_arrivals")),
    )
    op.create_table(
        "statistic",
        sa.Column("run_id", sa.String(length=40), nullable=False),
        sa.Column("level", sa.Integer(), nullable=False),
        sa.Column("measure", sa.String(length=80), nullable=False),
        sa.Column("value", sa.Float(), nullable=False),
        sa.Column("low", sa.Float(), nullable=True),
        sa.Column("high", sa.Float(), nullable=True),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["run_id"], ["run.id"], name=op.f("fk_statistic_run_id_run"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("run_id", "level", "measure", name=op.f("pk_statistic")),
    )
    op.create_table(
        "batch",
        sa.Column("run_id", sa.String(length=40), nullable=False),
        sa.Column("language", sa.String(length=40), nullable=False),
        sa.Column("batch_id", sa.String(length=200), nullable=True),
        sa.Column("word", sa.String(length=40), nullable=True),
        sa.Column("handed_in_ns", Int, nullable=True),
        sa.Column("over_ns", Int, nullable=True),
        sa.Column("poll_s", sa.Float(), nullable=False),
        sa.Column("counts", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("times", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("max_tokens", sa.JSON(), nullable=False),
        sa.Column("usual_price", sa.JSON(none_as_null=True), nullable=True),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("fk_batch_run_id_run"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", name=op.f("pk_batch")),
    )
    op.create_table(
        "repricing",
        sa.Column("id", Int, nullable=False),
        sa.Column("run_id", sa.String(length=40), nullable=False),
        sa.Column("priced_at_ns", Int, nullable=False),
        sa.Column("price", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("unpriced", sa.Text(), nullable=False),
        sa.Column("terms", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["run_id"], ["run.id"], name=op.f("fk_repricing_run_id_run"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_repricing")),
    )
    op.create_index(op.f("ix_repricing_run_id"), "repricing", ["run_id"], unique=False)
    op.create_table(
        "vendor_study",
        sa.Column("id", Int, nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("defined_at_ns", Int, nullable=False),
        sa.Column("document", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_vendor_study")),
    )
    op.create_index(
        op.f("ix_vendor_study_name_defined_at_ns"), "vendor_study", ["name", "defined_at_ns"], unique=False
    )
    op.create_table(
        "vendor_slot",
        sa.Column("id", Int, nullable=False),
        sa.Column("study", sa.String(length=200), nullable=False),
        sa.Column("slot", sa.Integer(), nullable=False),
        sa.Column("workload", sa.String(length=200), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("vendor", sa.String(length=200), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("began_at_ns", Int, nullable=False),
        sa.Column("ended_at_ns", Int, nullable=False),
        sa.Column("run_id", sa.String(length=40), nullable=True),
        sa.ForeignKeyConstraint(
            ["run_id"], ["run.id"], name=op.f("fk_vendor_slot_run_id_run"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_vendor_slot")),
    )
    op.create_index(op.f("ix_vendor_slot_study_slot"), "vendor_slot", ["study", "slot"], unique=False)
    op.create_table(
        "calibration",
        sa.Column("id", Int, nullable=False),
        sa.Column("calibrated_at_ns", Int, nullable=False),
        sa.Column("run_id", sa.String(length=40), nullable=True),
        sa.Column("loadlab", sa.String(length=40), nullable=False),
        sa.Column("python", sa.String(length=40), nullable=False),
        sa.Column("platform", sa.String(length=200), nullable=False),
        sa.Column("machine", sa.String(length=60), nullable=False),
        sa.Column("cpu", sa.String(length=200), nullable=False),
        sa.Column("cpus", sa.Integer(), nullable=False),
        sa.Column("processes", sa.Integer(), nullable=False),
        sa.Column("streams", sa.Integer(), nullable=False),
        sa.Column("tokens_per_s", sa.Float(), nullable=False),
        sa.Column("requests", sa.Integer(), nullable=False),
        sa.Column("tokens", sa.Integer(), nullable=False),
        sa.Column("ttft_p50_ms", sa.Float(), nullable=False),
        sa.Column("ttft_p99_ms", sa.Float(), nullable=False),
        sa.Column("itl_p50_ms", sa.Float(), nullable=False),
        sa.Column("itl_p99_ms", sa.Float(), nullable=False),
        sa.Column("send_lag_p99_ms", sa.Float(), nullable=True),
        sa.Column("cpu_us_per_token", sa.Float(), nullable=True),
        sa.Column("server_late_p99_ms", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(
            ["run_id"], ["run.id"], name=op.f("fk_calibration_run_id_run"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_calibration")),
    )
    op.create_index(
        op.f("ix_calibration_platform_loadlab"), "calibration", ["platform", "loadlab"], unique=False
    )
    op.create_table(
        "baseline",
        sa.Column("id", Int, nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("set_at_ns", Int, nullable=False),
        sa.Column("run_id", sa.String(length=40), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["run_id"], ["run.id"], name=op.f("fk_baseline_run_id_run"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_baseline")),
    )
    op.create_index(op.f("ix_baseline_name_set_at_ns"), "baseline", ["name", "set_at_ns"], unique=False)
    op.create_table(
        "gate",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("judged_at_ns", Int, nullable=False),
        sa.Column("outcome", sa.String(length=20), nullable=False),
        sa.Column("document", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_gate")),
    )
    op.create_index(op.f("ix_gate_judged_at_ns"), "gate", ["judged_at_ns"], unique=False)
    op.create_table(
        "incident",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("opened_at_ns", Int, nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("scenario", sa.String(length=200), nullable=False),
        sa.Column("target", sa.String(length=200), nullable=False),
        sa.Column("model", sa.String(length=300), nullable=False),
        sa.Column("hardware", sa.String(length=200), nullable=False),
        sa.Column("metrics", sa.JSON(), nullable=False),
        sa.Column("evidence", sa.JSON(), nullable=False),
        sa.Column("changes", sa.JSON(), nullable=False),
        sa.Column("notified_at_ns", Int, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_incident")),
    )
    op.create_index(op.f("ix_incident_opened_at_ns"), "incident", ["opened_at_ns"], unique=False)
    op.create_table(
        "schedule_job",
        sa.Column("id", sa.Unicode(length=191), nullable=False),
        sa.Column("next_run_time", sa.Float(precision=25), nullable=True),
        sa.Column("job_state", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_schedule_job")),
    )
    op.create_index(op.f("ix_schedule_job_next_run_time"), "schedule_job", ["next_run_time"], unique=False)
    op.create_table(
        "schedule_log",
        sa.Column("id", Int, nullable=False),
        sa.Column("job_group", sa.String(length=80), nullable=False),
        sa.Column("job", sa.String(length=100), nullable=False),
        sa.Column("planned_at_ns", Int, nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("cause", sa.String(length=10), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("command", sa.JSON(), nullable=False),
        sa.Column("host", sa.String(length=200), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("child_pid", sa.Integer(), nullable=True),
        sa.Column("booked_at_ns", Int, nullable=False),
        sa.Column("seen_at_ns", Int, nullable=False),
        sa.Column("started_at_ns", Int, nullable=True),
        sa.Column("ended_at_ns", Int, nullable=True),
        sa.Column("exit_code", sa.Integer(), nullable=True),
        sa.Column("run_id", sa.String(length=40), nullable=True),
        sa.Column("gate_id", sa.String(length=40), nullable=True),
        sa.Column("told", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_schedule_log")),
    )
    op.create_index(op.f("ix_schedule_log_state"), "schedule_log", ["state"], unique=False)
    op.create_index(
        op.f("ix_schedule_log_job_group_job_planned_at_ns_attempt"),
        "schedule_log",
        ["job_group", "job", "planned_at_ns", "attempt"],
        unique=True,
    )
    op.create_table(
        "target_lock",
        sa.Column("target", sa.String(length=300), nullable=False),
        sa.Column("log_id", Int, nullable=False),
        sa.Column("taken_at_ns", Int, nullable=False),
        sa.Column("lease_until_ns", Int, nullable=False),
        sa.PrimaryKeyConstraint("target", name=op.f("pk_target_lock")),
    )
    op.create_table(
        "alert",
        sa.Column("id", Int, nullable=False),
        sa.Column("occasion", sa.String(length=200), nullable=False),
        sa.Column("channel", sa.String(length=100), nullable=False),
        sa.Column("subject", sa.String(length=200), nullable=False),
        sa.Column("event", sa.String(length=20), nullable=False),
        sa.Column("document", sa.JSON(), nullable=False),
        sa.Column("created_at_ns", Int, nullable=False),
        sa.Column("next_try_at_ns", Int, nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("sent_at_ns", Int, nullable=True),
        sa.Column("error", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alert")),
    )
    op.create_index(op.f("ix_alert_subject"), "alert", ["subject"], unique=False)
    op.create_index(op.f("ix_alert_occasion_channel"), "alert", ["occasion", "channel"], unique=True)
