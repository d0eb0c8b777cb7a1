"""Pages say what the program does: verbs, flags, metrics, prices, exit codes, error kinds; no dead link."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from loadlab.core.errors import ExitCode
from loadlab.core.metrics import METRICS

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "loadlab").rglob("*.md")])
# What must not leave the place where this is developed, spelled so that this file does not contain it.
FORBIDDEN = [
    "/wo" + "rk/",
    "helper " + "session",
    "/opt/" + "pypi",
    "/opt/" + "wheels",
    "/root/" + ".pyenv",
]
PLACEHOLDER = "TO" + "DO"


def page(name: str) -> str:
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


def test_the_command_line_page_is_what_the_program_says() -> None:
    writer = ROOT / "scripts/gen_cli_docs.py"
    code = f"import runpy; print(runpy.run_path({str(writer)!r})['page'](), end='')"
    now = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert page("cli.md") == now.stdout, "docs/cli.md is out of date; run `make docs`"


@pytest.mark.parametrize("name", METRICS)
def test_every_metric_is_defined(name: str) -> None:
    assert f"`{name}`" in page("metrics.md")


@pytest.mark.parametrize("code", ExitCode)
def test_every_exit_code_is_explained(code: ExitCode) -> None:
    assert re.search(rf"^\| {code.value} \| {code.name} \| \S", page("errors.md"), re.M)


def test_every_error_kind_is_explained() -> None:
    stated = set(re.findall(r"^\| `(\w+)` \|", page("errors.md"), re.M)) - {"http_4xx", "http_5xx"}
    assert stated == kinds_in_the_code()


def kinds_in_the_code() -> set[str]:
    """The names given as error kinds where requests break: constants in the three rooms that break them."""
    rooms = [
        path for room in ("wire", "recorder", "drive") for path in (ROOT / "loadlab" / room).glob("*.py")
    ]
    return {kind for path in rooms for kind in _kinds(ast.parse(path.read_text(encoding="utf-8")))}


def _kinds(tree: ast.Module) -> list[str]:
    found: list[ast.expr] = []
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(attr="_break") | ast.Name(id="ConnectError"), args=[kind, *_]):
                found.append(kind)
            case ast.Assign(
                targets=[ast.Tuple(elts=[ast.Attribute(attr="error_kind"), *_])],
                value=ast.Tuple(elts=[kind, *_]),
            ):
                found.append(kind)
            case ast.Try() if "ConnectError(kind" in ast.unparse(node):
                choices = [part for part in ast.walk(node) if isinstance(part, ast.IfExp)]
                found += [end for choice in choices for end in (choice.body, choice.orelse)]
            case ast.FunctionDef(name="_outcome"):
                found += [
                    kind.elts[0] for kind in ast.walk(node) if isinstance(kind, ast.Tuple) and kind.elts
                ]
    return [kind.value for kind in found if isinstance(kind, ast.Constant) and isinstance(kind.value, str)]


def test_every_price_is_listed() -> None:
    book = tomllib.loads((ROOT / "loadlab/pricing/prices.toml").read_text(encoding="utf-8"))
    listed = set(re.findall(r"^\| `([^`]+)` \|", page("prices.md"), re.M))
    assert set(book) <= listed


def test_every_decision_is_in_the_index() -> None:
    listed = re.findall(r"\(decisions/(\S+\.md)\)", page("index.md"))
    assert sorted(listed) == sorted(path.name for path in (ROOT / "docs/decisions").glob("*.md"))


def test_every_page_is_in_the_index() -> None:
    listed = set(re.findall(r"\]\((\w[\w.-]*\.md)\)", page("index.md")))
    assert listed == {path.name for path in (ROOT / "docs").glob("*.md")} - {"index.md"}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", path.read_text(encoding="utf-8"))
    places = [link.partition("#")[0] for link in links if not re.match(r"[a-z]+:", link)]
    dead = [place for place in places if place and not (path.parent / place).exists()]
    assert dead == []


def test_nothing_tells_of_the_place_where_it_was_made() -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout")
    strange = [
        f"{name}: {word}"
        for name in listed.stdout.split("\0")
        if name and (ROOT / name).is_file()
        for word in FORBIDDEN
        if word in (ROOT / name).read_text(encoding="utf-8", errors="ignore")
    ]
    assert strange == []


def test_the_first_screen_of_the_readme_is_one_screen() -> None:
    """A sentence, a picture, the two commands with their output: above the first heading below the title."""
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    first_screen = next((number for number, line in enumerate(lines) if line.startswith("## ")), len(lines))
    assert first_screen <= 40
    assert sum(line.startswith("# ") for line in lines[:first_screen]) == 1
    assert any(line.startswith("![") for line in lines[:first_screen])
    assert "make demo" in "\n".join(lines[:first_screen])


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_is_left_to_fill_in(path: Path) -> None:
    assert PLACEHOLDER not in path.read_text(encoding="utf-8")
