"""The way to a server: direct, or through the proxy that HTTPS_PROXY, HTTP_PROXY and NO_PROXY name.

A proxy carries https as a tunnel (CONNECT) and http by absolute request targets. Loopback is always direct.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import getproxies_environment, proxy_bypass

from loadlab.core.errors import UsageError

_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_SECURE = ("https", "wss")
# The environment names proxies by these two only; a WebSocket takes the way of the HTTP it grows out of.
_PROXIED_AS = {"ws": "http", "wss": "https"}


class Origin(NamedTuple):
    """Where a connection leads."""

    scheme: str
    host: str
    port: int

    @classmethod
    def of(cls, parts: SplitResult) -> Origin:
        """The origin of an http(s) or ws(s) URL."""
        return cls(parts.scheme, parts.hostname or "", parts.port or (443 if parts.scheme in _SECURE else 80))

    @property
    def secure(self) -> bool:
        """Whether it wants TLS."""
        return self.scheme in _SECURE

    @property
    def authority(self) -> str:
        """Host and port as a CONNECT request names them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def host_field(parts: SplitResult) -> str:
    """What the Host header says of a URL."""
    return parts.netloc.rpartition("@")[2]


def target_of(parts: SplitResult) -> str:
    """What a request line says of a URL: path and query."""
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


@dataclass(frozen=True, slots=True)
class Proxy:
    """An HTTP proxy and the header that its credentials, if any, make."""

    host: str
    port: int
    authorization: str | None = None

    @property
    def headers(self) -> dict[str, str]:
        """What a request to the proxy carries besides."""
        return {"Proxy-Authorization": self.authorization} if self.authorization else {}

    def tunnel(self, origin: Origin) -> bytes:
        """The request that asks the proxy for a tunnel to `origin`."""
        fields = {"Host": origin.authority, **self.headers}
        lines = [
            f"CONNECT {origin.authority} HTTP/1.1",
            *(f"{name}: {value}" for name, value in fields.items()),
        ]
        return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"


def proxy_for(origin: Origin) -> Proxy | None:
    """The proxy the environment names for `origin`. Raises UsageError for one that is not http."""
    if origin.host in _LOOPBACK or proxy_bypass(origin.host):
        return None
    url = getproxies_environment().get(_PROXIED_AS.get(origin.scheme, origin.scheme))
    if not url:
        return None
    parts = urlsplit(url if "://" in url else f"http://{url}")
    if parts.scheme != "http" or not parts.hostname:
        raise UsageError(
            f"the proxy for {origin.scheme} is '{parts.scheme}://{parts.hostname or ''}'; only http:// works."
        )
    return Proxy(parts.hostname, parts.port or 80, _basic(parts))


def _basic(parts: SplitResult) -> str | None:
    if parts.username is None:
        return None
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return "Basic " + base64.b64encode(pair.encode()).decode()
