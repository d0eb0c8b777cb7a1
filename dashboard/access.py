"""Who may see the pages and who may change what they show. Secrets come in; none ever goes out.

Everybody is a reader until something says otherwise: a page that changes anything calls `require_operator`.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Literal

from loadlab.core.errors import LoadlabError

Role = Literal["reader", "operator"]
SESSION_S = 12 * 3600
_role: ContextVar[Role] = ContextVar("role", default="reader")


class ReadOnlyError(LoadlabError):
    """Somebody who may only read asked for a change."""


@dataclass(frozen=True, slots=True)
class Access:
    """How visitors are known. Without a secret and a proxy everybody gets in.

    `secrets`: what each role shows. `header` names the user where a proxy of `proxies` set it; `operators`
    are the users who may change things. `changes`: readers may, too. `names`: host names that are answered
    while nobody is asked who they are, empty for any; a page of the internet that points its own name at this
    machine is not among them.
    """

    secrets: Mapping[Role, str] = field(default_factory=dict, repr=False)
    header: str = ""
    proxies: frozenset[str] = frozenset()
    operators: frozenset[str] = frozenset()
    changes: bool = False
    names: frozenset[str] = frozenset({"localhost", "127.0.0.1", "::1"})

    @property
    def asks(self) -> bool:
        """Whether visitors have to say who they are."""
        return bool(self.secrets or self.header)

    def of_secret(self, shown: str) -> Role | None:
        """The role of a secret. Every one is compared, in the same time whatever is right about it."""
        right = [
            role
            for role, secret in self.secrets.items()
            if hmac.compare_digest(shown.encode(), secret.encode())
        ]
        return self._raised("operator" if "operator" in right else right[0]) if right else None

    def of_user(self, peer: str, user: str) -> Role | None:
        """The role of a user that a proxy names; None when the peer is no such proxy."""
        if not (self.header and user and peer in self.proxies):
            return None
        return self._raised("operator" if user in self.operators else "reader")

    def of_nobody(self) -> Role | None:
        """The role of a visitor who shows nothing."""
        return None if self.asks else self._raised("reader")

    def session(self, role: Role, now_s: float | None = None) -> str:
        """What a browser keeps after logging in: a role and an end, signed by the secret."""
        text = f"{role}.{int((now_s or time.time()) + SESSION_S)}"
        return f"{text}.{self._signed(role, text)}"

    def of_session(self, kept: str) -> Role | None:
        """The role of such a value, None when it is not ours or has ended."""
        role, _, rest = kept.partition(".")
        end, _, signature = rest.partition(".")
        for known in self.secrets:
            signed = self._signed(known, f"{role}.{end}")
            if known == role and hmac.compare_digest(signature.encode(), signed.encode()):
                return self._raised(known) if float(end) > time.time() else None
        return None

    def _signed(self, role: Role, text: str) -> str:
        key = hashlib.sha256(f"loadlab session {self.secrets[role]}".encode()).digest()
        return hmac.new(key, text.encode(), "sha256").hexdigest()

    def _raised(self, role: Role) -> Role:
        return "operator" if self.changes else role


def role() -> Role:
    """The role of whoever is served just now."""
    return _role.get()


def may_change() -> bool:
    """Whether whoever is served just now may change what is stored."""
    return role() == "operator"


def require_operator() -> None:
    """Call it before a change. Raises ReadOnlyError for a reader."""
    if not may_change():
        raise ReadOnlyError(
            "this dashboard is read-only for you; whoever starts it can allow changes: `loadlab dash "
            "--allow-changes`, or --operator-token-env NAME for those who know a second secret."
        )


def become(role: Role) -> None:
    """Says who is served from here on, in this thread or task."""
    _role.set(role)


@contextmanager
def acting_as(role: Role) -> Iterator[None]:
    """The same for as long as a block lasts."""
    token = _role.set(role)
    try:
        yield
    finally:
        _role.reset(token)
