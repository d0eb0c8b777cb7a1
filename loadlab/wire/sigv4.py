"""AWS Signature Version 4: a call becomes a signed call.

Out of scope: where the keys come from, and when the next ones are due.
Source: docs.aws.amazon.com, "Create a signed AWS API request", read 2026-11.
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable, Mapping
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
    """Signs calls to one service in one region with `keys`: key_id, secret and token, as they are then.

    Its `repr` shows no secret.
    """

    service: str
    region: str
    keys: Callable[[], Mapping[str, str]]

    def __repr__(self) -> str:
        return f"SigV4({self.service!r}, {self.region!r})"

    @classmethod
    def of(cls, endpoint: Endpoint, keys: Callable[[], Mapping[str, str]]) -> SigV4:
        """The signer that an endpoint's `auth`, such as "aws:bedrock", asks for. Raises UsageError."""
        if "region" not in endpoint.params:
            raise UsageError(
                f"target '{endpoint.name}' is signed for AWS; give params = {{ region = \"…\" }}."
            )
        return cls(endpoint.auth.removeprefix("aws:"), endpoint.params["region"], keys)

    def __call__(self, call: Call, at_s: float | None = None) -> Call:
        """The call with the headers that sign it, now or at that epoch second."""
        moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(at_s))
        keys = self.keys()
        own = {"X-Amz-Date": moment} | ({"X-Amz-Security-Token": token} if (token := keys["token"]) else {})
        scope = f"{moment[:8]}/{self.region}/{self.service}/aws4_request"
        names, canonical = _canonical(call, own)
        said = "\n".join((_ALGORITHM, moment, scope, sha256(canonical).hexdigest()))
        signature = hmac.new(self._key(keys["secret"], moment[:8]), said.encode(), sha256).hexdigest()
        word = (
            f"{_ALGORITHM} Credential={keys['key_id']}/{scope}, SignedHeaders={names}, Signature={signature}"
        )
        return replace(call, headers={**call.headers, **own, "Authorization": word})

    def _key(self, secret: str, day: str) -> bytes:
        key = b"AWS4" + secret.encode()
        for part in (day, self.region, self.service, "aws4_request"):
            key = hmac.new(key, part.encode(), sha256).digest()
        return key


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
