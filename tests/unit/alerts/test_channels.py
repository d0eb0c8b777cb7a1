"""[alerts.NAME]: what is understood and refused; what each channel says."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import tomllib
from typing import Any

import pytest

from loadlab.alerts import mail, slack, webhook
from loadlab.alerts.channels import Channel, parse
from loadlab.alerts.nouns import Alert, UndeliveredError
from loadlab.core.errors import UsageError

ALERT = Alert(
    "incident i-1", "incident i-1", "incident", "opened", "Regression: <!channel> & ttft_ms.p50",
    {"first bad run": "run-b <b>", "ttft_ms.p50": "50 → 60"}, "http://dash/run/run-b", "2026-11-29T00:00:00",
)  # fmt: skip


def config(text: str) -> dict[str, Any]:
    return tomllib.loads(text)


def test_channels_of_each_kind() -> None:
    read = parse(
        config("""
        [alerts]
        dashboard_url = "http://dash/"
        [alerts.a]
        kind = "slack"
        url_env = "A"
        [alerts.b]
        kind = "webhook"
        url = "https://b/x"
        secret_env = "B"
        on = ["gate"]
        [alerts.c]
        kind = "email"
        host = "smtp"
        from = "me@x"
        to = "you@x"
        """)
    )
    assert (read.dashboard_url, read.after) == ("http://dash", 3)
    assert [each.on for each in read.channels] == [
        ("incident", "gate", "job"),
        ("gate",),
        ("incident", "gate", "job"),
    ]
    assert read.channel("c").to == ("you@x",)
    assert parse({}).channels == ()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[alerts.a]\nkind = "slak"', "did you mean 'slack'"),
        ('[alerts.a]\nkind = "slack"', "needs either url or url_env"),
        ('[alerts.a]\nkind = "slack"\nurl = "x"', "must begin with http"),
        ('[alerts.a]\nkind = "webhook"\nurl = "https://u:p@x/"', "holds a password"),
        ('[alerts.a]\nkind = "webhook"\nurl = "https://x"\nsecret = "s"', "did you mean 'secret_env'"),
        ('[alerts.a]\nkind = "webhook"\nurl = "https://x"\non = ["gates"]', "did you mean 'gate'"),
        ('[alerts.a]\nkind = "email"\nhost = "x"\nfrom = "a@b"', "has no to"),
        (
            '[alerts.a]\nkind = "email"\nhost = "x"\nfrom = "a@b"\nto = "c@d"\nsecurity = "ssl"',
            "'ssl' is not known",
        ),
        (
            '[alerts.a]\nkind = "email"\nhost = "x"\nfrom = "a@b"\nto = "c@d"\npassword_env = "P"',
            "and no user",
        ),
        ("[alerts]\nafter = 0", "at least 1"),
        ("[alerts]\ndashboard = 'x'", "did you mean 'dashboard_url'"),
    ],
)
def test_a_slip_is_named(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        parse(config(text))


@pytest.mark.parametrize("secret", ["plain", "whsec_" + base64.b64encode(b"plain").decode()])
def test_the_signature_is_that_of_standard_webhooks(secret: str) -> None:
    headers = {"webhook-id": "msg_1", "webhook-timestamp": "1700000000"}
    wanted = base64.b64encode(hmac.new(b"plain", b"msg_1.1700000000.{}", hashlib.sha256).digest()).decode()
    assert webhook.signature(secret, headers, b"{}") == f"v1,{wanted}"


def test_the_example_of_standard_webhooks() -> None:
    """The test vector that the specification's own libraries carry."""
    headers = {"webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek", "webhook-timestamp": "1614265330"}
    found = webhook.signature("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", headers, b'{"test": 2432232314}')
    assert found == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_secret_that_is_no_base64_or_not_set() -> None:
    with pytest.raises(UndeliveredError, match="is not base64"):
        webhook.signature("whsec_%", {"webhook-id": "1", "webhook-timestamp": "1"}, b"")
    with pytest.raises(UndeliveredError, match=r"variable NOPE of \[alerts.a\] is not set"):
        webhook.send(Channel("a", "webhook", url="http://127.0.0.1:9", secret_env="NOPE"), ALERT, {})


def test_slack_takes_no_words_of_a_server_for_a_mention() -> None:
    made = slack.payload(ALERT)
    text = json.dumps(made)
    assert "<!channel>" not in text
    assert "&lt;!channel&gt; &amp; ttft_ms.p50" in text
    assert [block["type"] for block in made["blocks"]] == ["section", "section", "context"]
    assert "<http://dash/run/run-b|Open in the dashboard>" in text
    many = slack.payload(Alert("o", "s", "gate", "opened", "t", {f"f{at}": "x" * 3000 for at in range(20)}))
    fields = many["blocks"][1]["fields"]
    assert (len(fields), max(len(field["text"]) for field in fields) <= 2000) == (10, True)
    assert len(many["blocks"]) == 2  # no dashboard, no link


def test_a_subject_is_one_line() -> None:
    odd = Alert("o", "s", "gate", "opened", "two\r\nBcc: all@x", {"why": "naïve"}, "http://dash/")
    made = mail.message(Channel("m", "email", sender="me@x", to=("a@x", "b@x")), odd)
    assert made["Subject"] == "loadlab: two Bcc: all@x"
    assert made["Bcc"] is None
    assert made["To"] == "a@x, b@x"
    assert "why: naïve" in made.get_content()
    assert made.get_content().endswith("http://dash/\n")
