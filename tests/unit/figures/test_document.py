"""A self-contained document: nothing from outside, readable without scripts, words that stay words."""

from __future__ import annotations

import base64
import json
import re
from html.parser import HTMLParser
from importlib.resources import files

import plotly.graph_objects as go
import pytest

from loadlab.figures import assets
from loadlab.figures.document import document
from loadlab.figures.parts import Chart, Code, Column, Facts, Heading, Items, Paragraph, Table, Word
from loadlab.figures.theme import Theme, figure

STRANGE = '</script><script>alert("x")</script> & <b>'
TABLE = Table(
    "Numbers",
    [Column("name", number=False), Column("value", help="in ms")],
    [[STRANGE, "12 ms"]],
    csv="a,b\n1,2\n",
)


def drawn(theme: Theme) -> go.Figure:
    return figure(theme, 200).add_scatter(x=[1, 2], y=[3, 4], name=STRANGE)


PARTS = [
    Paragraph.of("One", Word("✓ VALID", "good"), Code("loadlab run"), kind="lead"),
    Heading("Part"),
    Items(["first", STRANGE]),
    Facts([("Model", "m"), ("Label", "")]),
    TABLE,
    Chart("speed", "A is faster.", drawn, TABLE),
]


class Reader(HTMLParser):
    """The tags of a page with their attributes, in order, and its words outside scripts and styles."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1][0] not in ("script", "style"):
            self.words.append(data)

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def page() -> str:
    return document("A & B", PARTS, footnote="n = 12")


def test_it_asks_nothing_of_anybody(page: str) -> None:
    read = Reader(page)
    addresses = [
        value
        for _, attributes in read.tags
        for name, value in attributes.items()
        if name in ("src", "href", "action") and value
    ]
    assert all(address.startswith("data:") for address in addresses)
    assert "default-src 'none'" in str(read.of("meta"))


def test_a_reader_without_eyes_or_scripts_finds_everything(page: str) -> None:
    read = Reader(page)
    assert read.of("html")[0]["lang"] == "en"
    assert len(read.of("h1")) == 1
    assert len(read.of("caption")) == len(read.of("table")) == 2
    assert [plot["aria-label"] for plot in read.of("div") if plot.get("role") == "img"] == ["A is faster."]
    assert all(head["scope"] == "col" for head in read.of("th"))
    assert "n = 12" in "".join(read.words)
    assert "Label" not in read.words


def test_words_of_others_stay_words(page: str) -> None:
    assert "<b>" not in page
    assert page.count("<script>") == 2  # the bundle and what draws with it
    assert STRANGE in "".join(Reader(page).words)


def test_each_theme_has_its_figure(page: str) -> None:
    held = re.search(r'<script type="application/json">(.*?)</script>', page, re.S)
    assert held
    figures = json.loads(held[1])
    assert set(figures) == {"light", "dark"}
    assert figures["light"]["data"][0]["name"] == STRANGE
    assert figures["light"]["layout"]["template"] != figures["dark"]["layout"]["template"]


def test_a_table_can_be_taken_along(page: str) -> None:
    link = Reader(page).of("a")[0]
    assert link["download"] == "numbers.csv"
    assert base64.b64decode(str(link["href"]).partition("base64,")[2]) == b"a,b\n1,2\n"


def test_the_bundle_comes_once_and_only_where_a_chart_is(page: str) -> None:
    assert page.count("plotly.js (cartesian") == 1
    assert len(document("T", PARTS[:5], footnote="")) < 10_000


def test_a_chosen_theme_is_kept() -> None:
    assert '<html lang="en" data-theme="dark">' in document("T", [], footnote="", theme="dark")


def test_the_bundle_is_of_the_version_that_plotly_speaks_to() -> None:
    whole = files("plotly").joinpath("package_data/plotly.min.js").read_text(encoding="utf-8")
    version = re.search(r"plotly\.js v([\d.]+)", whole)
    assert version
    assert f"plotly.js (cartesian - minified) v{version[1]}" in assets.text(assets.BUNDLE)[:300]
    assert f"plotly.js {version[1]}," in assets.text("README.md")
