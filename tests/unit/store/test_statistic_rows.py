"""Numbers of judged levels: written once, read together, gone when a run is priced again."""

from __future__ import annotations

from collections.abc import Callable

from loadlab.core.nouns import Run, Terms
from loadlab.store import JudgedLevel, Statistic, Store

TTFT = Statistic("ttft_ms.p50", 50.5, 49.0, 52.0, 100)
RATE = Statistic("output_tokens_per_s", 900.0, None, None, 100)
MakeRun = Callable[..., Run]


def judged(*statistics: Statistic) -> JudgedLevel:
    return JudgedLevel(0, "VALID", "2 × H100", statistics)


def begun(opened: Store, run: Run) -> str:
    opened.begin_run(run)
    opened.begin_level(run.id, run.levels[0], run.clock_ns + 10)
    opened.finish_run(run.id, "finished")
    return run.id


def test_numbers_come_back_beside_their_level_and_run(opened: Store, make_run: MakeRun) -> None:
    run = begun(opened, make_run())
    assert opened.statistics.missing() == [run]
    assert opened.statistics.levels().empty
    opened.statistics.write(run, [judged(TTFT, RATE)])
    assert opened.statistics.missing() == []
    level = opened.statistics.levels().to_dict("records")[0]
    assert (level["run_id"], level["verdict"], level["hardware"]) == (run, "VALID", "2 × H100")
    assert (level["scenario"], level["users"], level["environment"]["cpus"]) == ("chat", 2, 2)
    rows = opened.statistics.of().to_dict("records")
    assert [row["measure"] for row in rows] == ["output_tokens_per_s", "ttft_ms.p50"]
    assert [rows[1][name] for name in ("value", "low", "high", "n")] == [50.5, 49.0, 52.0, 100]
    assert opened.statistics.of(["ttft_ms.p50"])["measure"].tolist() == ["ttft_ms.p50"]
    assert opened.statistics.of(run_ids=["another"]).empty
    assert opened.statistics.levels({"scenario": "rag"}).empty


def test_writing_again_replaces(opened: Store, make_run: MakeRun) -> None:
    run = begun(opened, make_run())
    opened.statistics.write(run, [judged(TTFT, RATE)])
    opened.statistics.write(run, [judged(RATE)])
    assert opened.statistics.of()["measure"].tolist() == ["output_tokens_per_s"]


def test_a_new_price_asks_for_new_numbers(opened: Store, make_run: MakeRun) -> None:
    run = begun(opened, make_run())
    opened.statistics.write(run, [judged(TTFT)])
    opened.reprice(run, None, "nobody knows", Terms())
    assert opened.statistics.of().empty
    assert opened.statistics.missing() == [run]


def test_a_run_under_way_is_not_missing(opened: Store, make_run: MakeRun) -> None:
    run = make_run()
    opened.begin_run(run)
    opened.begin_level(run.id, run.levels[0], run.clock_ns + 10)
    assert opened.statistics.missing() == []


def test_what_is_learnt_of_the_server_stays_beside_the_client(opened: Store, make_run: MakeRun) -> None:
    run = begun(opened, make_run())
    opened.describe_server(run, {"gpu": "NVIDIA H100", "driver": "570"})
    assert opened.run(run).environment == {
        "python": "3.11",
        "cpus": 2,
        "server": {"gpu": "NVIDIA H100", "driver": "570"},
    }
