"""Whom a TLS connection trusts and what it shows of itself."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import Self

from loadlab.core.errors import UsageError
from loadlab.core.nouns import Endpoint


@dataclass(frozen=True, slots=True)
class Trust:
    """Files are PEM. Without `ca_file` the system's authorities count; `insecure` takes any certificate."""

    ca_file: str | None = None
    client_cert: str | None = None
    client_key: str | None = None
    insecure: bool = False

    @classmethod
    def of(cls, endpoint: Endpoint) -> Self:
        """What `endpoint` says."""
        return cls(endpoint.ca_file, endpoint.client_cert, endpoint.client_key, endpoint.insecure)

    def context(self) -> ssl.SSLContext:
        """A client context for HTTP/1.1. Raises UsageError for a file that cannot be used."""
        try:
            context = ssl.create_default_context(cafile=self.ca_file)
            if self.client_cert:
                context.load_cert_chain(self.client_cert, self.client_key)
        except (OSError, ssl.SSLError) as error:
            files = ", ".join(filter(None, (self.ca_file, self.client_cert, self.client_key)))
            raise UsageError(f"TLS cannot use {files}: {error}; give PEM files that exist.") from error
        if self.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        context.set_alpn_protocols(["http/1.1"])
        return context
