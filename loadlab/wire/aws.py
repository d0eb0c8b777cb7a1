"""AWS keys: those of the environment; else botocore's chain (extra `aws`: profiles, SSO, roles); else what
the command line of AWS exports.

Signing is `loadlab.wire.sigv4`'s, whoever gave the keys.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from datetime import datetime
from typing import Any

from loadlab.core.errors import TargetError, UsageError
from loadlab.core.nouns import Endpoint
from loadlab.wire.credentials import Credential, missing_extra

_VARIABLES = {"key_id": "AWS_ACCESS_KEY_ID", "secret": "AWS_SECRET_ACCESS_KEY", "token": "AWS_SESSION_TOKEN"}
_EXPORTED = {"key_id": "AccessKeyId", "secret": "SecretAccessKey", "token": "SessionToken"}
_EXPORT = ("aws", "configure", "export-credentials", "--format", "process")
_EXPORT_S = 60.0


def given(endpoint: Endpoint) -> Credential | None:
    """See Source."""
    parts = {part: os.environ.get(name, "").strip() for part, name in _VARIABLES.items()}
    if not (parts["key_id"] or parts["secret"]):
        return None
    for part in ("key_id", "secret"):
        if not parts[part]:
            raise UsageError(
                f"target '{endpoint.name}' is signed with AWS keys, and {_VARIABLES[part]} is not set; "
                "export both, for example with: aws configure export-credentials --format env"
            )
    return Credential(parts)


def fetch(endpoint: Endpoint) -> Credential:
    """See Source."""
    try:
        import botocore.session
    except ImportError as error:
        if shutil.which("aws"):
            return _exported(endpoint)
        raise missing_extra(endpoint, "aws", "botocore (or keys in AWS_ACCESS_KEY_ID)") from error
    from botocore.exceptions import BotoCoreError

    try:
        found = botocore.session.get_session().get_credentials()
        frozen = found.get_frozen_credentials() if found else None
    except (BotoCoreError, OSError) as error:
        raise TargetError(f"target '{endpoint.name}': AWS gave no keys ({error}).") from error
    if not frozen or not frozen.access_key:
        raise UsageError(
            f"target '{endpoint.name}' is signed for AWS, and no keys were found: export AWS_ACCESS_KEY_ID "
            "and AWS_SECRET_ACCESS_KEY, choose AWS_PROFILE, or run: aws sso login"
        )
    parts = {"key_id": frozen.access_key, "secret": frozen.secret_key, "token": frozen.token or ""}
    ends: datetime | None = getattr(found, "_expiry_time", None)  # botocore has no public name for it
    return Credential(parts, ends.timestamp() if ends else None)


def _exported(endpoint: Endpoint) -> Credential:
    """The keys that AWS's own command line exports, where botocore is not installed."""
    try:
        done = subprocess.run(_EXPORT, capture_output=True, text=True, timeout=_EXPORT_S, check=True)
        said: dict[str, Any] = json.loads(done.stdout)
        parts = {part: str(said.get(name) or "") for part, name in _EXPORTED.items()}
        ends = datetime.fromisoformat(said["Expiration"]).timestamp() if said.get("Expiration") else None
    except subprocess.CalledProcessError as error:
        words = error.stderr.strip().rpartition("\n")[2]
        raise UsageError(f"target '{endpoint.name}': `{' '.join(_EXPORT)}` failed: {words}") from error
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        raise UsageError(f"target '{endpoint.name}': `{' '.join(_EXPORT)}` failed: {error}") from error
    return Credential(parts, ends)
