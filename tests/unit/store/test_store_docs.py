"""docs/store.md against the schema it describes."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy
import pytest
import sqlalchemy as sa

from loadlab.core.nouns import Result, Run
from loadlab.store import Store, codec, schema
from loadlab.store.url import parse


@pytest.fixture(scope="module")
def page(repository: Path) -> str:
    return (repository / "docs/store.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("table", schema.metadata.sorted_tables, ids=lambda table: str(table.name))
def test_every_column_is_explained(page: str, table: sa.Table) -> None:
    section = page.split(f"### `{table.name}`", 1)[1].split("\n##", 1)[0]
    explained = set(re.findall(r"`(\w+)`", section))
    assert {column.name for column in table.columns} <= explained


def test_the_example_queries_run(
    page: str,
    opened: Store,
    database_url: str,
    make_run: Callable[..., Run],
    make_result: Callable[..., Result],
) -> None:
    opened.begin_run(make_run(id="ID"))
    opened.write("ID", [make_result(0), make_result(1, error_kind="timeout")], [])
    queries = re.findall(r"```sql\n(.*?)```", page, re.DOTALL)
    database = sa.create_engine(parse(database_url))
    with database.connect() as connection:
        answers = [connection.execute(sa.text(query)).all() for query in queries]
    database.dispose()
    assert [len(rows) for rows in answers] == [1, 1, 1, 0]
    assert float(answers[0][0].ttft_ms) == pytest.approx(49.9999)


def test_the_decoding_shown_is_the_codec(page: str) -> None:
    code = next(block for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "codec" in block)
    number, blob = codec.encode([5_000_000, 7_000_000, 10_000_000], 0)
    names = {"codec": number, "blob": blob, "zlib": zlib, "numpy": numpy}
    exec(code, names)
    assert names["gaps_us"].tolist() == [5000, 2000, 3000]  # type: ignore[attr-defined]
