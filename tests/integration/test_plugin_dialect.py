"""The plug-in package of docs/extending.md: installed from its folder, checked, and driven end to end."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from loadlab.testing.vendor_server import VendorServer
from loadlab.testing.vendors import MODEL, Vendor
from tests.integration.conftest import LOADLAB

NAME = "loadlab-acme"
FILES = ("loadlab_acme.py", "pyproject.toml", "test_acme.py")


@pytest.fixture(scope="module")
def installed(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment in which the package is installed, and nothing else is new."""
    pytest.importorskip("hatchling")
    place = tmp_path_factory.mktemp("site")
    subprocess.run(
        [
            sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation",
            "--no-index", "--target", place, repository / "tests/plugins" / NAME,
        ],
        check=True,
    )  # fmt: skip
    return {**os.environ, "PYTHONPATH": os.pathsep.join((str(place), str(repository)))}


@pytest.fixture
def vendor(repository: Path, installed: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Vendor]:
    """What the package's own test says of Acme's server."""
    monkeypatch.syspath_prepend(installed["PYTHONPATH"].split(os.pathsep)[0])
    path = repository / "tests/plugins" / NAME / "test_acme.py"
    spec = importlib.util.spec_from_file_location("test_acme_of_the_plugin", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module.VENDOR
    sys.modules.pop("loadlab_acme", None)


@pytest.mark.parametrize("file", FILES)
def test_the_page_shows_the_package_as_it_is(file: str, repository: Path) -> None:
    page = (repository / "docs/extending.md").read_text(encoding="utf-8")
    shown = re.search(rf"`{re.escape(file)}`[^\n]*\n\n?```\w+\n(.*?)```", page, re.S)
    assert shown
    assert shown[1] == (repository / "tests/plugins" / NAME / file).read_text(encoding="utf-8")


def test_it_passes_the_conformance_suite(repository: Path, installed: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", repository / "tests/plugins" / NAME],
        env=installed, cwd=repository, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert int(re.search(r"(\d+) passed", done.stdout)[1]) > 8  # type: ignore[index]


def test_a_run_speaks_it(installed: dict[str, str], vendor: Vendor, tmp_path: Path) -> None:
    with VendorServer(vendor, words=3) as server:
        done = subprocess.run(
            [
                *LOADLAB, "run", "chat", "--url", server.url, "--dialect", "acme", "--model", MODEL,
                "--requests", "2", "--db", "sqlite:///x.db", "--json",
            ],
            env=installed, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
    assert done.stdout, done.stderr
    (level,) = json.loads(done.stdout)["levels"]
    assert level["requests"]["ok"] == 2
