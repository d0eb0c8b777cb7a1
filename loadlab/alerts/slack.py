"""An alert for Slack's incoming webhooks, and for whatever takes the same, such as Mattermost."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from loadlab.alerts.channels import Channel
from loadlab.alerts.nouns import Alert
from loadlab.alerts.webhook import post

MOST_TITLE, MOST_TEXT, MOST_FACTS = 140, 1900, 10
_SIGNS = {"opened": ":red_circle:", "resolved": ":large_green_circle:", "test": ":information_source:"}


def send(channel: Channel, alert: Alert, environ: Mapping[str, str]) -> None:
    """Posts it as blocks, with a line of text for notifications."""
    post(channel, environ, json.dumps(payload(alert)).encode(), {})


def payload(alert: Alert) -> dict[str, Any]:
    """`text` is the notification, `blocks` the message: Slack takes ten fields of 2,000 characters."""
    title = f"{_SIGNS[alert.event]} *{escaped(alert.title)[:MOST_TITLE]}*"
    facts = [
        {"type": "mrkdwn", "text": f"*{escaped(name)}*\n{escaped(words)[:MOST_TEXT]}"}
        for name, words in list(alert.facts.items())[:MOST_FACTS]
    ]
    blocks: list[dict[str, Any]] = [{"type": "section", "text": {"type": "mrkdwn", "text": title}}]
    if facts:
        blocks.append({"type": "section", "fields": facts})
    if alert.link:
        link = {"type": "mrkdwn", "text": f"<{alert.link}|Open in the dashboard>"}
        blocks.append({"type": "context", "elements": [link]})
    return {"text": escaped(alert.title), "blocks": blocks}


def escaped(text: str) -> str:
    """Words of a server become neither a link nor a mention of everybody."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
