"""Acme's language against the conformance suite: what its server is told, and what it says."""

from __future__ import annotations

import pytest
from loadlab_acme import ACME

from loadlab.dialects.usage import Usage
from loadlab.testing import conformance
from loadlab.testing.vendors import MODEL, TEXT, Vendor, as_json


def line(**document: object) -> bytes:
    return as_json(**document) + b"\n"


VENDOR = Vendor(
    path="/say",
    body={"model": MODEL, "ask": TEXT, "most": 7},
    content_type="application/x-ndjson",
    noise=(line(say=""), b"\n"),
    answers=lambda texts: [line(say=text) for text in texts],
    ending=lambda counted: [
        line(spent={"in": 11, "out": 4} if counted else {"in": None, "out": None}, why="stop")
    ],
    finish="stop",
    usage=Usage(11, 4),
    error=lambda words: line(error=words),
)


@pytest.mark.parametrize("check", conformance.checks(VENDOR), ids=lambda check: check.__name__)
def test_acme(check: conformance.Check) -> None:
    check(ACME, VENDOR)
