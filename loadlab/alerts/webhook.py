"""An alert as JSON by POST, signed as standardwebhooks.com says: HMAC-SHA256 over id, time and body."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from urllib.parse import urlsplit

from loadlab import __version__
from loadlab.alerts.channels import Channel
from loadlab.alerts.nouns import Alert, UndeliveredError

TIMEOUT_S = 10.0
SCHEMA = 1
_TOLD = 200
_WORTH_ANOTHER_TRY = (408, 409, 425, 429)


def send(channel: Channel, alert: Alert, environ: Mapping[str, str]) -> None:
    """Posts it. The same alert has the same `webhook-id`, so that a receiver can tell a second try."""
    body = json.dumps({"schema": SCHEMA, **alert.to_dict()}).encode()
    headers = {"webhook-id": alert.occasion, "webhook-timestamp": str(int(time.time()))}
    if channel.secret_env:
        secret = value(channel, channel.secret_env, environ)
        headers["webhook-signature"] = signature(secret, headers, body)
    post(channel, environ, body, headers)


def signature(secret: str, headers: Mapping[str, str], body: bytes) -> str:
    """The header `webhook-signature`. A secret that begins with whsec_ is base64 after that."""
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    return f"v1,{base64.b64encode(hmac.digest(_key(secret), signed, hashlib.sha256)).decode()}"


def _key(secret: str) -> bytes:
    if not secret.startswith("whsec_"):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except binascii.Error:
        raise UndeliveredError(
            "the secret begins with whsec_ and is not base64 after that.", lasting=True
        ) from None


def value(channel: Channel, name: str, environ: Mapping[str, str]) -> str:
    """What an environment variable holds. Raises UndeliveredError."""
    if found := environ.get(name):
        return found
    raise UndeliveredError(f"environment variable {name} of [alerts.{channel.name}] is not set.")


def post(channel: Channel, environ: Mapping[str, str], body: bytes, headers: Mapping[str, str]) -> None:
    """Sends JSON. Of the URL no more than its host is ever said: its path may be the secret."""
    url = channel.url or value(channel, channel.url_env, environ)
    host = urlsplit(url).hostname or "?"
    about = {"Content-Type": "application/json", "User-Agent": f"loadlab/{__version__}", **headers}
    try:
        request = urllib.request.Request(url, body, about, method="POST")
        with _OPENER.open(request, timeout=TIMEOUT_S) as answer:
            answer.read()
    except urllib.error.HTTPError as refused:
        words = " ".join(refused.read(_TOLD).decode(errors="replace").split())
        lasting = refused.code < 500 and refused.code not in _WORTH_ANOTHER_TRY
        raise UndeliveredError(f"{host} answered {refused.code}: {words}", lasting=lasting) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or type(error).__name__
        raise UndeliveredError(
            f"{host} cannot be reached: {reason}", lasting=isinstance(error, ValueError)
        ) from None


class _Stay(urllib.request.HTTPRedirectHandler):
    """A redirect would turn the POST into a GET, and take the body elsewhere."""

    def redirect_request(self, *_: object) -> None:
        return None


_OPENER = urllib.request.build_opener(_Stay)
