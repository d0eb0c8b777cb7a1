"""The wheel: one name in site-packages, and everything that is read at run time inside it."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def wheel(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel built from the checkout without a network."""
    if importlib.util.find_spec("hatchling") is None:
        pytest.skip("hatchling is not installed; run `make setup-dev`")
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, "-q", "-w", folder, repository], check=True, capture_output=True)
    return next(folder.glob("loadlab-*.whl"))


@pytest.fixture(scope="module")
def unpacked(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `pip install` would put into site-packages."""
    folder = tmp_path_factory.mktemp("site-packages")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def test_it_puts_one_name_into_site_packages(unpacked: Path) -> None:
    assert {path.name.partition("-")[0] for path in unpacked.iterdir()} == {"loadlab"}


@pytest.mark.parametrize(
    "path",
    [
        "loadlab/scenarios/chat.py",
        "loadlab/dashboard/__init__.py",
        "loadlab/workloads/data/everyday.jsonl",
        "loadlab/workloads/data/README.md",
        "loadlab/pricing/prices.toml",
        "loadlab/store/migrations/env.py",
        "loadlab/figures/assets/plotly-cartesian.min.js",
        "loadlab/figures/assets/plotly-LICENSE",
        "loadlab/py.typed",
    ],
)
def test_it_carries(unpacked: Path, path: str) -> None:
    assert (unpacked / path).is_file()


def test_it_carries_every_tracked_file_of_the_three_folders(unpacked: Path, repository: Path) -> None:
    listed = subprocess.run(
        ["git", "ls-files", "loadlab", "scenarios", "dashboard"],
        cwd=repository,
        capture_output=True,
        text=True,
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    missing = [
        name
        for name in listed.stdout.split()
        if (repository / name).exists()
        and not (unpacked / (name if name.startswith("loadlab/") else f"loadlab/{name}")).exists()
    ]
    assert missing == []


def test_scenarios_and_dashboard_are_found_inside_it(unpacked: Path) -> None:
    probe = """
import sys
sys.path = [place for place in sys.path if place != sys.argv[2]]
import loadlab
from loadlab.core.finder import beside
for module in (loadlab, beside("scenarios"), beside("dashboard")):
    assert module.__file__.startswith(sys.argv[1]), module.__file__
print(beside("dashboard").create_app.__module__)
"""
    done = subprocess.run(
        [sys.executable, "-c", probe, unpacked, Path(__file__).resolve().parents[2]],
        cwd=unpacked,
        env={**os.environ, "PYTHONPATH": str(unpacked)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("loadlab.dashboard")
