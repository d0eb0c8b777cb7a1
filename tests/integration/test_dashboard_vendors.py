"""The Vendors page: full, of a comparison under way, and of a store without any."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import vendor_data as made

import loadlab.store
from dashboard.pages import find, vendors
from dashboard.source import Source
from loadlab.core.errors import NoDataError
from loadlab.figures import DARK, LIGHT


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Source]:
    with loadlab.store.open(f"sqlite:///{tmp_path_factory.mktemp('page')}/test.db") as store:
        made.fill(store, made.study())
        yield Source(store)


def words(component: Any) -> str:
    """Everything a page says, one after the other."""
    if component is None:
        return ""
    if isinstance(component, list | tuple):
        return " ".join(map(words, component))
    return words(component.children) if hasattr(component, "children") else str(component)


def graphs(component: Any) -> dict[str, Any]:
    """The figures of a page by id."""
    if isinstance(component, list | tuple):
        return {key: value for each in component for key, value in graphs(each).items()}
    if type(component).__name__ == "Graph":
        return {component.id: component.figure}
    return graphs(component.children) if hasattr(component, "children") else {}


def test_it_answers_with_tiers(source: Source) -> None:
    page = vendors.layout(source, LIGHT, {})
    said = words(page)
    assert "tier 1: alpha, beta; tier 2: gamma" in said
    assert "not distinguishable" in said
    assert "loadlab report vendor november" in said
    assert set(graphs(page)) == {
        "figure-chat-e2e-500-ms", "figure-chat-spread", "figure-chat-hours", "figure-chat-prices",
        "figure-availability",
    }  # fmt: skip


def test_the_url_chooses_the_measure(source: Source) -> None:
    page = vendors.layout(source, DARK, {"measure": "reference_tokens_per_s", "workload": "nothing"})
    assert "by output speed, tier 1: alpha, beta" in words(page)
    assert graphs(page)["figure-chat-reference-tokens-per-s"].layout.paper_bgcolor is None
    assert vendors.layout(source, LIGHT, {"measure": "strange"}) is not None


def test_the_map_of_the_day_has_n_in_every_cell(source: Source) -> None:
    figure = graphs(vendors.layout(source, LIGHT, {}))["figure-chat-hours"]
    (cells,) = figure.data
    assert len(cells.z) == 3
    assert cells.text[0][0].endswith("n = 10")
    few = [note.text for note in figure.layout.annotations]
    assert few
    assert all(text.startswith("n = ") for text in few)


def test_an_unknown_comparison_is_an_error_that_names_the_known(source: Source) -> None:
    with pytest.raises(NoDataError, match="there: november"):
        vendors.layout(source, LIGHT, {"study": "december"})


def test_an_empty_store_says_which_command_fills_it(sqlite_url: str) -> None:
    with loadlab.store.open(sqlite_url) as store:
        assert "loadlab vendors plan vendors.toml" in words(vendors.layout(Source(store), LIGHT, {}))
        store.define_study("december", made.study(name="december").document())
        assert "No slot of 'december' is done yet" in words(vendors.layout(Source(store), LIGHT, {}))


def test_it_is_in_the_navigation() -> None:
    assert find("/vendors")[0] is vendors
