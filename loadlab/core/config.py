"""`loadlab.toml`: the nearest one from the working directory upward. Flags win over it, it over defaults.

[store]
url = "sqlite:///loadlab.db"

[targets.local]
url = "http://127.0.0.1:8000/v1"
model = "smollm2-135m"
price = "cpu-hour"
api_key_env = "MY_KEY"        # the name of an environment variable, never the key
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from loadlab.core.errors import UnknownNameError, UsageError
from loadlab.core.nouns import Endpoint

DEFAULT_STORE_URL = "sqlite:///loadlab.db"
TARGET_KEYS = {
    "url", "model", "dialect", "api_key_env", "price", "labels", "ca_file", "client_cert",
    "client_key", "insecure", "profile", "params", "auth", "headers", "fields", "body", "stream",
}  # fmt: skip


def load(start: Path | None = None) -> dict[str, Any]:
    """The parsed file, or {} when there is none. Raises UsageError with the place of a syntax error."""
    path = folder(start) / "loadlab.toml"
    return parse(path) if path.is_file() else {}


def folder(start: Path | None = None) -> Path:
    """Where the nearest loadlab.toml is; the working directory (or `start`) when there is none."""
    here = (start or Path.cwd()).resolve()
    return next((place for place in (here, *here.parents) if (place / "loadlab.toml").is_file()), here)


def parse(path: Path) -> dict[str, Any]:
    """A TOML file. Raises UsageError with the place of a syntax error."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not valid TOML: {error}.") from error


def store_url(option: str | None, config: Mapping[str, Any] | None = None) -> str:
    """The database to use: --db, then LOADLAB_DB, then [store].url, then a file in the working directory."""
    config = load() if config is None else config
    return option or os.environ.get("LOADLAB_DB") or config.get("store", {}).get("url") or DEFAULT_STORE_URL


def target(name: str, config: Mapping[str, Any] | None = None) -> Endpoint:
    """The endpoint under [targets.<name>]. Raises UnknownNameError or UsageError.

    Without a `dialect` of its own it has none yet, and with a `profile` perhaps no URL.
    """
    targets = (load() if config is None else config).get("targets", {})
    if name not in targets:
        raise UnknownNameError("target", name, targets)
    entry = dict(targets[name])
    if strange := sorted(set(entry) - TARGET_KEYS):
        raise UsageError(
            f"loadlab.toml: [targets.{name}] has unknown key '{strange[0]}'. "
            f"Known: {', '.join(sorted(TARGET_KEYS))}."
        )
    if "url" not in entry and "profile" not in entry:
        raise UsageError(f"loadlab.toml: [targets.{name}] has neither a url nor a profile.")
    unsaid = {"url": "", "model": "", "dialect": ""}
    return Endpoint(name=name, auth_env=entry.pop("api_key_env", None), **{**unsaid, **entry})
