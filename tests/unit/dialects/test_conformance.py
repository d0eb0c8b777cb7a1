"""Every built-in dialect against the public conformance suite."""

from __future__ import annotations

import pytest

from loadlab import dialects
from loadlab.testing import conformance
from loadlab.testing.conformance import Check
from loadlab.testing.vendors import vendor

CASES = [(name, check) for name in dialects.DIALECTS for check in conformance.checks(vendor(name))]


@pytest.mark.parametrize(("name", "check"), CASES, ids=[f"{name}-{check.__name__}" for name, check in CASES])
def test_conformance(name: str, check: Check) -> None:
    check(dialects.get(name), vendor(name))
