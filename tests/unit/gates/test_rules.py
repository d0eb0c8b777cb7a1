"""[gate] of loadlab.toml: what is understood, and how each slip is answered."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest

from loadlab.core.errors import UnknownNameError, UsageError
from loadlab.gates.rules import Gate, parse


def gate(text: str) -> Gate:
    return parse(tomllib.loads(text))


def slo(rule: str, more: str = "") -> Any:
    return gate(f"[gate]\nslo = [{rule}]\n{more}").slo[0]


def test_rules_with_units() -> None:
    assert slo('"ttft_ms.p99 <= 0.8s"').limit == 800.0
    assert slo('"ttft_ms.p(95) < 800 ms"').measure.name == "ttft_ms.p95"
    assert slo('"error_rate < 1%"').limit == 1.0
    assert slo('"output_tokens_per_s >= 1,200"').limit == 1200.0
    assert slo('"goodput(voice) >= 99%"').limit == 0.99


def test_a_name_stands_for_its_limits_and_share() -> None:
    chat = slo('"chat"')
    assert (dict(chat.slo.limits), chat.limit) == ({"ttft_ms": 300.0, "e2e_ms": 3000.0}, 0.95)
    assert slo('"mlperf:llama3.1-8b:interactive"').slo.limits == {"ttft_planned_ms": 500, "tpot_ms": 30}
    own = slo('"mine"', "[slos.mine]\nttft_ms = 100\nshare = 0.9")
    assert (dict(own.slo.limits), own.limit) == ({"ttft_ms": 100.0}, 0.9)


def test_a_rule_that_ends_a_run() -> None:
    rule = slo('{rule = "error_rate < 5%", abort_on_fail = true, delay = "10s"}')
    assert (rule.abort_on_fail, rule.delay_s) == (True, 10.0)


def test_regressions_and_what_is_for_information() -> None:
    found = gate(
        '[gate]\nbase = "main"\ntarget = "new"\nregress = ["ttft_ms.p50", {metric = "tpot_ms.p95", '
        'tolerance = "2%", margin = "5%"}]\ninform = ["*", "itl_ms.p90"]\non_inconclusive = "extend:2"'
    )
    assert [(each.measure.name, each.tolerance, each.margin) for each in found.regress] == [
        ("ttft_ms.p50", 0.03, 0.10),
        ("tpot_ms.p95", 0.02, 0.05),
    ]
    assert "itl_ms.p90" in [each.name for each in found.inform]
    assert (found.on_inconclusive, found.extensions, found.paired) == ("extend", 2, True)


SLIPS = {
    "no gate": ("[store]", "no table [gate]"),
    "nothing": ("[gate]", "demands nothing"),
    "key": ("[gate]\nslos = []", "did you mean 'slo'"),
    "metric": ('[gate]\nslo = ["tfft_ms.p50 < 3"]', "did you mean 'ttft_ms'"),
    "preset": ('[gate]\nslo = ["chatt"]', "did you mean 'chat'"),
    "preset of mlperf": (
        '[gate]\nslo = ["mlperf:llama2-70b:serve"]',
        "did you mean 'mlperf:llama2-70b:server'",
    ),
    "twice": ('[gate]\nslo = ["ttft_ms.p50 < 3", "ttft_ms.p50 <= 4"]', "say it once"),
    "twice a regression": ('[gate]\nregress = ["ttft_ms.p50", "ttft_ms.med"]', "names ttft_ms.p50 twice"),
    "too many": (
        '[gate]\nregress = ["ttft_ms.p50", "ttft_ms.p95", "tpot_ms.p50", "tpot_ms.p95"]',
        "at most 3 can block",
    ),
    "wrong way": ('[gate]\nslo = ["ttft_ms.p50 > 3"]', "lower is better"),
    "unit": ('[gate]\nslo = ["ttft_ms.p50 < 3 kg"]', "'3 kg' is no number in ms, s"),
    "number": ('[gate]\nslo = ["ttft_ms.p50 < fast"]', "'fast' is no number"),
    "sense": ('[gate]\nslo = ["ttft_ms.p50 << 3 < 4"]', "is"),
    "tolerance": (
        '[gate]\nregress = [{metric = "ttft_ms.p50", tolerance = "10%"}]',
        "tolerance 10% must be below margin 10%",
    ),
    "rule key": (
        '[gate]\nregress = [{metric = "ttft_ms.p50", tolerence = "1%"}]',
        "did you mean 'tolerance'",
    ),
    "type": ('[gate]\nslo = ["chat"]\npairs = "six"', "pairs = 'six' must be a int"),
    "bool": ('[gate]\nslo = ["chat"]\npairs = true', "pairs = True must be a int"),
    "zero": ('[gate]\nslo = ["chat"]\nusers = 0', "must be more than 0"),
    "no number": ('[gate]\nslo = ["chat"]\nrate = nan', "rate = nan must be more than 0 and finite"),
    "endless": ('[gate]\nslo = ["chat"]\nmax_cost = inf', "max_cost = inf must be more than 0 and finite"),
    "no limit": ('[gate]\nslo = ["ttft_ms.p50 < nan"]', "'nan' is no number in ms"),
    "no tolerance": ('[gate]\nregress = [{metric = "ttft_ms.p50", tolerance = nan}]', "share 'nan'"),
    "duration": ('[gate]\nslo = ["chat"]\nduration = "soon"', "duration 'soon'"),
    "both loads": ('[gate]\nslo = ["chat"]\nusers = 1\nrate = 2.0', "exclude each other"),
    "both bases": ('[gate]\nslo = ["chat"]\nbase = "a"\nbase_command = "b"', "exclude each other"),
    "half a pair": ('[gate]\nslo = ["chat"]\nbase_command = "b {port}"', "needs a candidate_command"),
    "extend": ('[gate]\nslo = ["chat"]\non_inconclusive = "extend:9"', "extend:1 or extend:2"),
    "no list": ('[gate]\nslo = "chat"', "slo must be a list"),
    "own preset": ('[gate]\nslo = ["x"]\n[slos.x]\nttft = 3', "did you mean 'ttft_ms'"),
    "own share": ('[gate]\nslo = ["x"]\n[slos.x]\nttft_ms = 3\nshare = 1.0', "a share below 1"),
    "no direction": ('[gate]\nregress = ["gpu_utilisation_percent"]', "neither direction is better"),
}


@pytest.mark.parametrize("slip", SLIPS)
def test_each_slip_is_said(slip: str) -> None:
    text, words = SLIPS[slip]
    with pytest.raises(UsageError) as raised:
        gate(text)
    assert words in str(raised.value)


def test_an_unknown_name_is_an_unknown_name() -> None:
    with pytest.raises(UnknownNameError):
        gate('[gate]\nslo = ["goodput(cht) >= 1%"]')
