"""Where propensities are a model's: said first, bounded everywhere, and no verdict by default."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from nurture_rl.appraisal.appraise import appraise
from nurture_rl.appraisal.estimation import EvaluationConfig
from nurture_rl.appraisal.record import Appraisal
from nurture_rl.appraisal.risk_profile import LogAnnotations
from nurture_rl.appraisal.verdict import Verdict
from nurture_rl.codec import read_record, write_record
from nurture_rl.ope.checks.findings import Severity
from nurture_rl.ope.estimators import snips
from nurture_rl.ope.log import EvaluationLog, FloatArray
from nurture_rl.ope.targets import TabulatedPolicy
from nurture_rl.release.gate import GateConfig, gate
from nurture_rl.report.ope_page import ope_markdown, ope_page
from tests.unit.ope.log_makers import random_log
from tests.unit.release.bundles import evidence

SINGLE = random_log(0, [1] * 2000, discount=1.0)
SHORT = random_log(1, [3] * 1200, discount=1.0)


def leaning(log: EvaluationLog, tilt: float) -> TabulatedPolicy:
    assert log.logged_probabilities is not None
    raw: FloatArray = log.logged_probabilities * np.exp(tilt * np.arange(log.n_actions))
    return TabulatedPolicy(raw / raw.sum(axis=1, keepdims=True))


@cache
def appraised(log: EvaluationLog, estimated: bool, asked: str = "refuse") -> Appraisal:
    policies = {"late": leaning(log, 0.4), "early": leaning(log, -0.4)}
    config = EvaluationConfig(estimated_propensities=asked)
    log = replace(log, estimated=estimated)
    return appraise(log, policies, "logged", np.random.default_rng(0), config, LogAnnotations())


def test_a_log_that_says_its_propensities_is_judged_as_ever() -> None:
    found = appraised(SINGLE, False)
    assert found.verdict is Verdict.BETTER
    assert not found.estimated
    assert found.hidden == {}


def test_no_firm_verdict_rests_on_estimated_propensities() -> None:
    found = appraised(SINGLE, True)
    assert found.verdict is Verdict.CANNOT_TELL_YET
    judged = found.evaluation.policies["late"].judgement
    assert judged is not None
    assert "the propensities are estimated" in judged.reason
    assert "would undo the lift" in judged.reason
    assert "leaves a share of the sends to chance" in judged.advice
    # What is shown to be worse stays so: nothing is released on it.
    assert found.verdict_on("early") is Verdict.NOT_BETTER


def test_somebody_may_say_that_they_carry_a_verdict() -> None:
    found = appraised(SINGLE, True, "accept")
    assert found.verdict is Verdict.BETTER
    assert found.estimated
    assert found.hidden


def test_the_check_says_that_they_are_estimated_and_withholds_no_number() -> None:
    found = appraised(SINGLE, True)
    (one,) = [one for one in found.checks.findings if one.code == "estimated-propensities"]
    assert one.severity is Severity.WARN
    assert found.believed("late")


@pytest.mark.parametrize("log", [SINGLE, SHORT], ids=["one decision", "three decisions"])
def test_bounds_stand_beside_every_policy_that_the_log_carries(log: EvaluationLog) -> None:
    found = appraised(log, True)
    assert set(found.hidden) == {"late", "early"}
    spreads = ["each"] if log is SINGLE else ["each", "one"]
    for name, bounds in found.hidden.items():
        assert [one.spread for one in bounds] == spreads
        plain = snips(log, taken(log, 0.4 if name == "late" else -0.4)).value
        for one in bounds:
            assert one.bounds[0].gamma == 1.0
            assert one.bounds[0].least == one.bounds[0].most == plain
            assert one.undone_at is not None


def taken(log: EvaluationLog, tilt: float) -> FloatArray:
    table = leaning(log, tilt).probabilities
    return np.asarray(table[np.arange(log.n_rows), log.action], np.float64)


def test_the_record_comes_back_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "appraisal.json"
    found = appraised(SHORT, True)
    write_record(found, path)
    assert read_record(path, Appraisal).hidden == found.hidden


def test_the_first_screen_says_it_and_the_table_bounds_every_policy() -> None:
    content = {
        "title": "A log without propensities",
        "appraisal": appraised(SHORT, True).to_dict(),
        "log": {"notes": []},
        "run": {},
    }
    page = ope_page(content)
    verdict = page[page.index('id="verdict"') : page.index("</section>", page.index("verdict"))]
    assert "Propensities are estimated: nobody logged" in verdict
    assert "hold some contacts out" in verdict
    text = ope_markdown(content)
    lines = re.findall(r"^\| (?:late|early).*\| (?:every|one) decision.*\|$", text, re.MULTILINE)
    assert len(lines) == 4
    assert "| Policy | Hidden in | Γ = 1 | Γ = 1.5 | Γ = 2 | Γ = 3 | Undone at Γ |" in text


def test_a_page_of_logged_propensities_says_nothing_of_it() -> None:
    content = {"title": "", "appraisal": appraised(SHORT, False).to_dict(), "log": {}, "run": {}}
    assert "hidden cause" not in ope_page(content)


def test_the_gate_releases_nothing_on_estimated_propensities() -> None:
    told = replace(evidence(), estimated=True)
    decision = gate(told, GateConfig())
    assert not decision.passed
    assert not decision.rules_enough
    (reason,) = decision.reasons
    assert "propensities of this log are estimated, and nothing is released on those" in reason
    assert "evaluation.estimated_propensities=accept" in reason
    assert gate(told, GateConfig(accept_estimated=True)).passed
