"""Signatures are botocore's, to the letter, and no key is shown."""

from __future__ import annotations

import time
from calendar import timegm
from typing import Any

import pytest

from loadlab.core.errors import UsageError
from loadlab.core.nouns import Endpoint
from loadlab.dialects import Call
from loadlab.wire.auth import signer_of
from loadlab.wire.sigv4 import SigV4

JSON = {"Content-Type": "application/json", "Accept": "application/json"}
BEDROCK = "https://bedrock-runtime.eu-west-1.amazonaws.com"
SAGEMAKER = "https://runtime.sagemaker.eu-west-1.amazonaws.com"
CALLS = [
    Call("POST", f"{BEDROCK}/model/a.b%3A0/converse-stream", JSON, b'{"a": "\xc3\xbc"}'),
    Call("POST", f"{SAGEMAKER}/endpoints/my-llm/invocations", JSON, b"{}"),
    Call("GET", f"{BEDROCK}:8443/models?b=2&a=1"),
]
ENDPOINT = Endpoint("https://x", "m", name="here", auth="aws:sagemaker", params={"region": "eu-west-1"})


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.url.rpartition("/")[2])
@pytest.mark.parametrize("token", ["", "a/session+token=="])
def test_it_signs_as_botocore_does(call: Call, token: str) -> None:
    auth = pytest.importorskip("botocore.auth", reason="extra aws")
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    asked: Any = AWSRequest(method=call.method, url=call.url, data=call.body, headers=dict(call.headers))
    auth.SigV4Auth(Credentials("AKID", "secret", token or None), "bedrock", "eu-west-1").add_auth(asked)
    theirs = dict(asked.headers.items())
    moment = time.strptime(theirs["X-Amz-Date"] + "+0000", "%Y%m%dT%H%M%SZ%z")
    at_s = float(timegm(moment))
    keys = {"key_id": "AKID", "secret": "secret", "token": token}
    ours = SigV4("bedrock", "eu-west-1", keys.copy)(call, at_s).headers
    assert {name: ours[name] for name in theirs} == theirs


def test_keys_come_from_the_environment_and_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKID")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "very secret")
    monkeypatch.delenv("AWS_SESSION_TOKEN", raising=False)
    signer = signer_of(ENDPOINT)
    assert repr(signer) == "SigV4('sagemaker', 'eu-west-1')"
    call = signer(CALLS[1])
    assert "AKID/" in call.headers["Authorization"]
    assert "X-Amz-Security-Token" not in call.headers
    assert "very secret" not in str(call)


def test_half_a_key_and_a_missing_region_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    with pytest.raises(UsageError, match="AWS_ACCESS_KEY_ID is not set"):
        signer_of(ENDPOINT)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKID")
    with pytest.raises(UsageError, match=r"give params = \{ region"):
        signer_of(Endpoint("https://x", "m", auth="aws:sagemaker"))
