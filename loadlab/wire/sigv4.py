"""AWS Signature Version 4: a call becomes a signed call, by keys from the environment.

In scope: keys and session tokens in AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN. Out of
scope: profiles, SSO, roles of a machine; `aws configure export-credentials --format env` prints theirs.
Source: docs.aws.amazon.com, "Create a signed AWS API request", read 2026-11.
"""

from __future__ import annotations

import hmac
import os
import time
from dataclasses import dataclass, replace
from hashlib import sha256
from urllib.parse import quote, urlsplit

from loadlab.core.errors import UsageError
from loadlab.core.nouns import Endpoint
from loadlab.dialects import Call
from loadlab.wire.route import host_field

_ALGORITHM = "AWS4-HMAC-SHA256"


@dataclass(frozen=True, slots=True)
class SigV4:
    """Signs calls to one service in one region. Its `repr` shows no secret."""

    service: str
    region: str
    key_id: str
    secret: str
    token: str = ""

    def __repr__(self) -> str:
        return f"SigV4({self.service!r}, {self.region!r})"

    @classmethod
    def of(cls, endpoint: Endpoint) -> SigV4:
        """The signer that an endpoint's `auth`, such as "aws:bedrock", asks for. Raises UsageError."""
        keys = {name: os.environ.get(name, "").strip() for name in _VARIABLES}
        if missing := [name for name in _VARIABLES[:2] if not keys[name]]:
            raise UsageError(
                f"target '{endpoint.name}' is signed with AWS keys, and {missing[0]} is not set; "
                "export it, for example with: aws configure export-credentials --format env"
            )
        if "region" not in endpoint.params:
            raise UsageError(
                f"target '{endpoint.name}' is signed for AWS; give params = {{ region = \"…\" }}."
            )
        return cls(endpoint.auth.removeprefix("aws:"), endpoint.params["region"], *keys.values())

    def __call__(self, call: Call, at_s: float | None = None) -> Call:
        """The call with the headers that sign it, now or at that epoch second."""
        moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(at_s))
        own = {"X-Amz-Date": moment} | ({"X-Amz-Security-Token": self.token} if self.token else {})
        scope = f"{moment[:8]}/{self.region}/{self.service}/aws4_request"
        names, canonical = _canonical(call, own)
        said = "\n".join((_ALGORITHM, moment, scope, sha256(canonical).hexdigest()))
        signature = hmac.new(self._key(moment[:8]), said.encode(), sha256).hexdigest()
        word = f"{_ALGORITHM} Credential={self.key_id}/{scope}, SignedHeaders={names}, Signature={signature}"
        return replace(call, headers={**call.headers, **own, "Authorization": word})

    def _key(self, day: str) -> bytes:
        key = b"AWS4" + self.secret.encode()
        for part in (day, self.region, self.service, "aws4_request"):
            key = hmac.new(key, part.encode(), sha256).digest()
        return key


_VARIABLES = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")


def _canonical(call: Call, own: dict[str, str]) -> tuple[str, bytes]:
    """The names of the signed headers, and the request in the form that is signed."""
    parts = urlsplit(call.url)
    headers = {"Host": host_field(parts), **call.headers, **own}
    signed = {name.lower(): " ".join(value.split()) for name, value in headers.items()}
    names = ";".join(sorted(signed))
    lines = [
        call.method,
        quote(parts.path or "/", safe="/-_.~"),  # encoded once in the URL, and once more here
        "&".join(sorted(parts.query.split("&"))),
        *(f"{name}:{signed[name]}" for name in sorted(signed)),
        "",
        names,
        sha256(call.body).hexdigest(),
    ]
    return names, "\n".join(lines).encode()
