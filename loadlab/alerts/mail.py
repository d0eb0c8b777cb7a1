"""An alert as a plain e-mail by SMTP."""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Mapping
from email.message import EmailMessage
from email.utils import formatdate, make_msgid

from loadlab.alerts.channels import SECURITIES, Channel
from loadlab.alerts.nouns import Alert, UndeliveredError
from loadlab.alerts.webhook import TIMEOUT_S, value


def send(channel: Channel, alert: Alert, environ: Mapping[str, str]) -> None:
    """Sends it to everyone of the channel in one message."""
    password = value(channel, channel.password_env, environ) if channel.password_env else ""
    port = channel.port or SECURITIES[channel.security]
    try:
        with _connected(channel, port) as server:
            if channel.security == "starttls":
                server.starttls(context=ssl.create_default_context())
            if channel.user:
                server.login(channel.user, password)
            server.send_message(message(channel, alert))
    except (OSError, smtplib.SMTPException) as error:
        words = str(error).replace(password, "***") if password else str(error)
        lasting = isinstance(error, smtplib.SMTPAuthenticationError | smtplib.SMTPRecipientsRefused)
        raise UndeliveredError(
            f"{channel.host}:{port}: {words or type(error).__name__}", lasting=lasting
        ) from None


def _connected(channel: Channel, port: int) -> smtplib.SMTP:
    if channel.security == "tls":
        return smtplib.SMTP_SSL(channel.host, port, timeout=TIMEOUT_S, context=ssl.create_default_context())
    return smtplib.SMTP(channel.host, port, timeout=TIMEOUT_S)


def message(channel: Channel, alert: Alert) -> EmailMessage:
    """The message: title as subject, a fact a paragraph, the link last."""
    made = EmailMessage()
    made["Subject"] = " ".join(f"loadlab: {alert.title}".split())
    made["From"], made["To"] = channel.sender, ", ".join(channel.to)
    made["Date"], made["Message-ID"] = formatdate(), make_msgid(domain="loadlab.invalid")
    made["Auto-Submitted"] = "auto-generated"
    facts = [f"{name}: {words}" for name, words in alert.facts.items()]
    made.set_content("\n\n".join([alert.title, *facts, *([alert.link] if alert.link else [])]) + "\n")
    return made
