"""Every `loadlab …` that a page or the compose file shows is one that the program accepts."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

from loadlab.cli.app import app

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
SERVICES = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"]


def shown(path: Path) -> list[str]:
    """The commands in a page: at the start of a line of code, after an optional prompt, or in backquotes."""
    text = path.read_text(encoding="utf-8").replace("\\\n", " ")
    lines = re.findall(r"^(?: {4})?(?:\$ )?loadlab +([a-z].*)$", text, re.M)
    inline = re.findall(r"`loadlab +([a-z][^`]*)`", text)
    return [re.split(r" [#|>&]", command)[0].strip() for command in [*lines, *inline]]


COMMANDS = sorted({command for path in PAGES if path.name != "cli.md" for command in shown(path)})


def accept(words: list[str]) -> None:
    """Parses as the program would, and runs nothing. Raises for an unknown verb or flag, or a bad value."""
    command: Any = typer.main.get_command(app)
    while hasattr(command, "commands") and words and not words[0].startswith("-"):
        command, words = command.commands[words[0]], words[1:]
    if words:  # without any, a page only mentions the verb
        command.make_context("loadlab", list(words))


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_pages_is_accepted(command: str) -> None:
    accept(shlex.split(command))


def test_a_wrong_flag_would_be_noticed() -> None:
    with pytest.raises(Exception, match="--userz"):
        accept(["run", "chat", "--userz", "3"])


@pytest.mark.parametrize("name", [name for name, service in SERVICES.items() if "entrypoint" not in service])
def test_a_command_of_the_compose_file_is_accepted(name: str) -> None:
    if SERVICES[name].get("image", "").startswith("loadlab"):
        accept(SERVICES[name].get("command") or server_command())


def server_command() -> list[str]:
    """What the image of the server runs."""
    lines = re.findall(r"^CMD (\[.*\])$", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.M)
    return list(json.loads(lines[-1]))


def test_the_compose_file_builds_what_the_dockerfile_offers() -> None:
    stages = set(re.findall(r"^FROM \S+ AS (\S+)$", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.M))
    assert {service["build"]["target"] for service in SERVICES.values() if "build" in service} <= stages


def test_the_compose_file_opens_ports_on_loopback_only() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_the_compose_file_holds_no_secret() -> None:
    text = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    assert re.findall(r"(?:PASSWORD|KEY): (?!\$\{\w+:-\}$)\S+", text, re.M) == []


def test_docker_compose_accepts_the_file() -> None:
    client = next((words for words in (["docker", "compose"], ["docker-compose"]) if _answers(words)), None)
    if client is None:
        pytest.skip("no client of Docker Compose here; on Debian: apt-get install docker-compose")
    profiles = [word for name in ("cpu", "gpu", "load", "locust") for word in ("--profile", name)]
    for chosen in ([], profiles):
        done = subprocess.run([*client, *chosen, "config", "-q"], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


def _answers(words: list[str]) -> bool:
    return (
        shutil.which(words[0]) is not None
        and not subprocess.run([*words, "version"], capture_output=True).returncode
    )
