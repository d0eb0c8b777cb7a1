"""Credentials: read from the environment when a worker starts, put on the wire, kept nowhere else."""

from __future__ import annotations

import os

from loadlab.core.errors import UsageError
from loadlab.core.nouns import Endpoint


def auth_headers(endpoint: Endpoint) -> dict[str, str]:
    """The headers that authenticate to `endpoint`. Raises UsageError when its variable is of no use."""
    if endpoint.auth_env is None:
        return {}
    # A file read into a variable often brings its line end along.
    secret = os.environ.get(endpoint.auth_env, "").strip()
    if not secret:
        raise UsageError(
            f"target '{endpoint.name}' wants its key in the environment variable {endpoint.auth_env}, "
            "which is not set; export it and run again."
        )
    if not (secret.isascii() and secret.isprintable()):
        raise UsageError(
            f"the key in the environment variable {endpoint.auth_env} has characters that no HTTP header "
            f"can carry ({len(secret)} characters, not shown); export it again, without line ends inside."
        )
    name, _, form = endpoint.auth.partition(":")
    return {name.strip(): form.strip().replace("{key}", secret)}
