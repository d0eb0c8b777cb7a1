"""Signatures are botocore's, to the letter, and no key is shown."""

from __future__ import annotations

import time
from calendar import timegm
from typing import Any

import pytest

from loadlab.core.errors import UsageError
from loadlab.core.nouns import Endpoint
from loadlab.dialects import Call
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
    auth = pytest.importorskip("botocore.auth", reason="no botocore here; pip install botocore")
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    asked: Any = AWSRequest(method=call.method, url=call.url, data=call.body, headers=dict(call.headers))
    auth.SigV4Auth(Credentials("AKID", "secret", token or None), "bedrock", "eu-west-1").add_auth(asked)
    theirs = dict(asked.headers.items())
    moment = time.strptime(theirs["X-Amz-Date"] + "+0000", "%Y%m%dT%H%M%SZ%z")
    at_s = float(timegm(moment))
    ours = SigV4("bedrock", "eu-west-1", "AKID", "secret", token)(call, at_s).headers
    assert {name: ours[name] for name in theirs} == theirs


def test_keys_come_from_the_environment_and_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKID")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "very secret")
    monkeypatch.delenv("AWS_SESSION_TOKEN", raising=False)
    signer = SigV4.of(ENDPOINT)
    assert (signer.service, signer.region, signer.token) == ("sagemaker", "eu-west-1", "")
    assert "secret" not in repr(signer)
    call = signer(CALLS[1])
    assert "AKID/" in call.headers["Authorization"]
    assert "very secret" not in str(call)


def test_missing_keys_and_regions_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
    with pytest.raises(UsageError, match="AWS_ACCESS_KEY_ID is not set"):
        SigV4.of(ENDPOINT)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKID")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    with pytest.raises(UsageError, match=r"give params = \{ region"):
        SigV4.of(Endpoint("https://x", "m", auth="aws:sagemaker"))
