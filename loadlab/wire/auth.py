"""Credentials: read from the environment when a worker starts, put on the wire, kept nowhere else."""

from __future__ import annotations

import os
from collections.abc import Callable

from loadlab.core.errors import UsageError
from loadlab.core.nouns import Endpoint
from loadlab.dialects import Call

_AWS = "aws:"


def signer_of(endpoint: Endpoint) -> Callable[[Call], Call]:
    """What every call passes through before it is sent: nothing, or AWS's signature. Raises UsageError."""
    if not endpoint.auth.startswith(_AWS):
        return _as_it_is
    from loadlab.wire.sigv4 import SigV4  # most runs have no use for it

    return SigV4.of(endpoint)


def _as_it_is(call: Call) -> Call:
    return call


def auth_headers(endpoint: Endpoint) -> dict[str, str]:
    """The headers that authenticate to `endpoint`. Raises UsageError when its variable is of no use."""
    if endpoint.auth_env is None or endpoint.auth.startswith(_AWS):
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
