"""Google's access tokens, by google-auth (extra `gcp`): its application default credentials, a chain that
begins with the service account of GOOGLE_APPLICATION_CREDENTIALS and ends with the identity of the machine.

A token in GOOGLE_ACCESS_TOKEN comes before all of that and needs no package.
"""

from __future__ import annotations

from calendar import timegm

from loadlab.core.errors import TargetError, UsageError
from loadlab.core.nouns import Endpoint
from loadlab.wire.credentials import Credential, from_variable, missing_extra, scope_of

_SCOPE = "https://www.googleapis.com/auth/cloud-platform"


def given(endpoint: Endpoint) -> Credential | None:
    """See Source."""
    return from_variable("GOOGLE_ACCESS_TOKEN")


def fetch(endpoint: Endpoint) -> Credential:
    """See Source."""
    try:
        import google.auth
        from google.auth import exceptions
        from google.auth.transport.requests import Request
    except ImportError as error:
        raise missing_extra(endpoint, "gcp", "google-auth") from error
    try:
        found, _ = google.auth.default(scopes=[scope_of(endpoint, _SCOPE)])
        found.refresh(Request())  # type: ignore[no-untyped-call]
    except exceptions.RefreshError as error:
        raise TargetError(f"target '{endpoint.name}': Google gave no token ({_first(error)}).") from error
    except exceptions.GoogleAuthError as error:
        raise UsageError(
            f"target '{endpoint.name}' wants Google credentials and there are none ({_first(error)}); export "
            "GOOGLE_APPLICATION_CREDENTIALS=FILE of a service account, or run: "
            "gcloud auth application-default login"
        ) from error
    parts = {"token": str(found.token)}
    if project := getattr(found, "quota_project_id", None):
        parts["quota_project"] = str(project)
    # google-auth gives a time without a zone, which is UTC.
    return Credential(parts, timegm(found.expiry.timetuple()) if found.expiry else None)


def _first(error: Exception) -> str:
    return str(error.args[0] if error.args else error).partition("\n")[0][:300]
