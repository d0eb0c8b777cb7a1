"""Credentials: read from the environment when a worker starts, put on the wire, kept nowhere else."""

from __future__ import annotations

import os

from loadlab.core.errors import UsageError
from loadlab.core.nouns import Endpoint


def auth_headers(endpoint: Endpoint) -> dict[str, str]:
    """The headers that authenticate to `endpoint`. Raises UsageError when its variable is not set."""
    if endpoint.auth_env is None:
        return {}
    secret = os.environ.get(endpoint.auth_env)
    if not secret:
        raise UsageError(
            f"target '{endpoint.name}' wants its key in the environment variable {endpoint.auth_env}, "
            "which is not set; export it and run again."
        )
    return {"Authorization": f"Bearer {secret}"}
