"""Key figures come out of the pass that the value comes from, and are no other numbers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nurture_rl.appraisal.appraise import appraise
from nurture_rl.appraisal.estimation import EvaluationConfig, evaluate_policies
from nurture_rl.appraisal.kpis import KpiQuestion
from nurture_rl.appraisal.risk_profile import LogAnnotations
from nurture_rl.ope.log import EvaluationLog
from tests.unit.appraisal.test_appraise import far, leaning
from tests.unit.ope.log_makers import random_log

LOG = random_log(3, [3] * 900, discount=0.9)  # a key figure is not discounted, the value is
AMOUNTS = np.random.default_rng(4).poisson(0.4, LOG.n_rows).astype(np.float64)
KPI = KpiQuestion("meetings", "north star", "higher", AMOUNTS)
POLICIES = {"late": leaning(LOG, 0.4), "early": leaning(LOG, -0.4), "far": far(LOG)}


def by_itself(log: EvaluationLog) -> EvaluationLog:
    return replace(log, reward=AMOUNTS, discount=1.0)


def test_a_key_figure_is_what_an_evaluation_of_its_own_would_find() -> None:
    config = EvaluationConfig()
    rng = (np.random.default_rng(0) for _ in range(3))
    beside = LogAnnotations(kpis=(KPI, replace(KPI, role="supporting", amounts=LOG.reward)))
    found = appraise(LOG, POLICIES, "early", next(rng), config, beside)
    level = found.evaluation.level
    alone = evaluate_policies(
        by_itself(LOG), POLICIES, "early", next(rng), replace(config, level=level)
    )
    kpi = found.kpis[0]
    assert (kpi.level, [one.role for one in found.kpis]) == (level, ["north star", "supporting"])
    for name in ("late", "early"):
        told, own = kpi.policies[name], alone.policies[name].estimates["dr"]
        assert told is not None
        numbers = (own.estimate.value, own.interval.lower, own.interval.upper)
        assert (told.value, told.lower, told.upper) == pytest.approx(numbers, abs=1e-9)
    late, gap = kpi.policies["late"], alone.policies["late"].difference
    assert late is not None
    assert late.difference is not None
    assert gap is not None
    assert late.difference.interval.lower == pytest.approx(gap.interval.lower, abs=1e-9)
    assert kpi.logged.value == pytest.approx(3.0 * AMOUNTS.mean())
    # Nor does asking for key figures move the value.
    plain = appraise(LOG, POLICIES, "early", next(rng), config, LogAnnotations())
    for name in ("late", "early"):
        both = [one.evaluation.policies[name].estimates["dr"] for one in (found, plain)]
        assert both[0].estimate.value == pytest.approx(both[1].estimate.value, abs=1e-9)


def test_a_key_figure_of_a_policy_that_the_log_does_not_carry_is_withheld() -> None:
    rng = np.random.default_rng(0)
    found = appraise(LOG, POLICIES, "early", rng, EvaluationConfig(), LogAnnotations(kpis=(KPI,)))
    assert not found.believed("far")
    assert found.kpis[0].policies["far"] is None
