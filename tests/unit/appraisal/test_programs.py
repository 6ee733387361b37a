"""Candidates are held against programs that learned nothing, all pairs together."""

from __future__ import annotations

import numpy as np
import pytest

from nurture_rl.appraisal.estimation import EvaluationConfig, evaluate_policies
from nurture_rl.appraisal.evaluation import Evaluation
from nurture_rl.appraisal.risk_profile import over_programs
from nurture_rl.ope.intervals import paired_difference
from tests.unit.appraisal.test_evaluate_policies import Leaning
from tests.unit.ope.log_makers import random_log


def by_a_log() -> Evaluation:
    """On a log where later actions pay more: two that learned, three that did not."""
    policies = {
        "early": Leaning(-0.4),
        "late": Leaning(0.4),
        "flat": Leaning(0.0),
        "late too": Leaning(0.4),
        "last": Leaning(60.0),
    }
    log = random_log(0, [2] * 400, discount=1.0)
    rng = np.random.default_rng(0)
    return evaluate_policies(log, policies, "logged", rng, EvaluationConfig())


def test_candidates_are_held_against_every_program_that_the_log_carries() -> None:
    found = by_a_log()
    known = [name for name, one in found.policies.items() if one.overlap.feasible]
    assert known == ["early", "late", "flat", "late too"]
    over = over_programs(found, known, ["early", "late"], ["flat", "late too", "last"], 0.9)
    assert {name: list(one) for name, one in over.items()} == {
        "early": ["flat", "late too"],
        "late": ["flat", "late too"],
    }
    # Four pairs share the error of 10 %.
    early, flat = (found.policies[name].estimates["dr"].estimate for name in ("early", "flat"))
    by_hand = paired_difference(early, flat, 1.0 - 0.1 / 4)
    told = over["early"]["flat"]
    assert told.value == early.value - flat.value < 0.0
    assert told.interval.level == pytest.approx(0.975)
    assert (told.interval.lower, told.interval.upper) == pytest.approx(
        (by_hand.interval.lower, by_hand.interval.upper)
    )
    assert told.interval.upper < 0.0 < over["late"]["flat"].interval.lower
    assert over["late"]["late too"].interval.upper == 0.0  # one policy written twice


def test_a_candidate_that_the_log_does_not_carry_is_held_against_no_program() -> None:
    found = by_a_log()
    assert over_programs(found, ["flat"], ["last"], ["flat"], 0.95) == {"last": {}}
    assert over_programs(found, ["flat"], [], ["flat"], 0.95) == {}
