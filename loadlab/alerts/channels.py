"""`[alerts.NAME]` of loadlab.toml: where alerts go. Secrets are names of environment variables, never values.

[alerts]
dashboard_url = "http://bench.example:8050"

[alerts.team]
kind = "slack"
url_env = "SLACK_WEBHOOK_URL"
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any
from urllib.parse import urlsplit

from loadlab.alerts.nouns import KINDS, Alert
from loadlab.core.errors import UnknownNameError, UsageError
from loadlab.core.finder import find

SENDERS = {
    "webhook": "loadlab.alerts.webhook:send",
    "slack": "loadlab.alerts.slack:send",
    "email": "loadlab.alerts.mail:send",
}
SECURITIES = {"starttls": 587, "tls": 465, "none": 25}
_WHERE = "loadlab.toml: [alerts"


@dataclass(frozen=True, slots=True)
class Channel:
    """Where alerts go, and which kinds of them."""

    name: str
    kind: str
    on: tuple[str, ...] = KINDS
    url: str = ""
    url_env: str = ""
    secret_env: str = ""
    host: str = ""
    port: int = 0
    security: str = "starttls"
    user: str = ""
    password_env: str = ""
    sender: str = ""
    to: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Alerts:
    """Every channel; after how many failures in a row a job alerts; where the dashboard is, if anywhere."""

    channels: tuple[Channel, ...] = ()
    dashboard_url: str = ""
    after: int = 3

    def channel(self, name: str) -> Channel:
        """The channel of that name. Raises UnknownNameError."""
        if found := next((each for each in self.channels if each.name == name), None):
            return found
        raise UnknownNameError("channel", name, [each.name for each in self.channels])


_KEYS = {
    "webhook": ("kind", "on", "url", "url_env", "secret_env"),
    "slack": ("kind", "on", "url", "url_env"),
    "email": ("kind", "on", "host", "port", "security", "user", "password_env", "from", "to"),
}


def parse(config: Mapping[str, Any]) -> Alerts:
    """The channels of a parsed loadlab.toml, none without [alerts]. Raises UsageError."""
    table = config.get("alerts", {})
    if not isinstance(table, Mapping):
        raise UsageError(f"{_WHERE}] must be a table; docs/alerts.md shows one to begin with.")
    for key, value in table.items():
        if not isinstance(value, Mapping) and key not in ("dashboard_url", "after"):
            raise UnknownNameError("key of [alerts] in loadlab.toml", key, ("dashboard_url", "after"))
    after, dashboard_url = table.get("after", 3), table.get("dashboard_url", "")
    if type(after) is not int or after < 1:
        raise UsageError(f"{_WHERE}] after = {after!r} must be a whole number of at least 1.")
    channels = tuple(_channel(name, each) for name, each in table.items() if isinstance(each, Mapping))
    return Alerts(channels, str(dashboard_url).rstrip("/"), after)


def _channel(name: str, table: Mapping[str, Any]) -> Channel:
    where, kind = f"{_WHERE}.{name}]", str(table.get("kind", ""))
    find("alerts", f"kind of [alerts.{name}]", kind, SENDERS)
    known = _KEYS.get(kind, tuple(field.name for field in fields(Channel)))
    for key in table:
        if key not in known:
            raise UnknownNameError(f"key of [alerts.{name}] in loadlab.toml", key, known)
    for each in table.get("on", ()):
        if each not in KINDS:
            raise UnknownNameError(f"kind of alert in [alerts.{name}] on", str(each), KINDS)
    given = {key: value for key, value in table.items() if key not in ("from", "to", "on")}
    to = table.get("to", [])
    channel = Channel(
        name, **given, on=tuple(table.get("on", KINDS)), sender=str(table.get("from", "")),
        to=(to,) if isinstance(to, str) else tuple(to),
    )  # fmt: skip
    return _mail(where, channel) if kind == "email" else _hook(where, channel)


def _hook(where: str, channel: Channel) -> Channel:
    if bool(channel.url) == bool(channel.url_env):
        raise UsageError(f"{where} needs either url or url_env, the environment variable that holds it.")
    if channel.url and urlsplit(channel.url).scheme not in ("http", "https"):
        raise UsageError(f"{where} url = '{channel.url}' must begin with http:// or https://.")
    if channel.url and urlsplit(channel.url).password:
        raise UsageError(f"{where} url holds a password; put the URL into a variable and name it by url_env.")
    return channel


def _mail(where: str, channel: Channel) -> Channel:
    for key, value in {"host": channel.host, "from": channel.sender, "to": channel.to}.items():
        if not value:
            raise UsageError(f"{where} has no {key}; an e-mail needs host, from and to.")
    if channel.security not in SECURITIES:
        raise UnknownNameError(f"security of [alerts.{channel.name}]", channel.security, SECURITIES)
    if channel.password_env and not channel.user:
        raise UsageError(f"{where} has a password_env and no user.")
    return channel


def deliver(channel: Channel, alert: Alert, environ: Mapping[str, str]) -> None:
    """Hands the alert to the channel. Raises UndeliveredError."""
    send: Callable[[Channel, Alert, Mapping[str, str]], None] = find(
        "alerts", "channel", channel.kind, SENDERS
    )
    send(channel, alert, environ)
