"""Limits on harms hold for upper bounds, and what cannot be bounded breaks them."""

from __future__ import annotations

from math import inf

import numpy as np
import pytest

from nurture_rl.appraisal.appraise import appraise
from nurture_rl.appraisal.estimation import EvaluationConfig
from nurture_rl.appraisal.record import Appraisal
from nurture_rl.appraisal.risk.harm import harm_bound
from nurture_rl.appraisal.risk.harm_limits import Limit, LimitKept, broken, limit_finding
from nurture_rl.appraisal.risk_profile import LogAnnotations
from nurture_rl.appraisal.verdict import Verdict
from nurture_rl.ope.log import FloatArray
from tests.unit.appraisal.test_appraise import LOG, leaning

LATE = leaning(LOG, 0.8)
TAKEN = LATE.probabilities[np.arange(LOG.n_rows), LOG.action]
SENDS = np.asarray(LOG.action > 0, dtype=np.float64)
HARM = np.asarray((np.arange(LOG.n_rows) % 100 == 0) * SENDS)  # after a mail alone
NONE = np.zeros(LOG.n_rows)


def held(
    events: FloatArray = HARM,
    at_most: float | None = None,
    above: float | None = None,
    exposure: FloatArray | None = None,
    carried: dict[str, FloatArray] | None = None,
) -> LimitKept:
    per = "contact" if exposure is None else "send"
    limit = Limit("complaints", per, events, exposure, at_most, above)
    known = {"logged": LOG.propensity, "late": TAKEN} if carried is None else carried
    return limit_finding(LOG, limit, known, ("late",), "logged", 0.95).policies["late"]


@pytest.mark.parametrize("exposure", [None, SENDS])
def test_the_upper_bound_and_not_the_rate_keeps_to_a_limit(exposure: FloatArray | None) -> None:
    bound = harm_bound(LOG, TAKEN, HARM, 0.95, exposure)
    assert bound.rate < bound.upper
    assert held(at_most=bound.upper * 1.001, exposure=exposure).kept
    between = held(at_most=0.5 * (bound.rate + bound.upper), exposure=exposure)
    assert not between.kept
    assert (between.rate, between.upper) == (bound.rate, bound.upper)


def test_what_the_log_does_not_carry_may_be_anything() -> None:
    found = held(at_most=0.9, carried={"logged": LOG.propensity})
    assert (found.upper, found.kept) == (inf, False)
    assert "cannot bound complaints of 'late'" in found.sentence


def test_a_policy_that_acts_as_the_reference_does_adds_nothing() -> None:
    same = {"logged": LOG.propensity, "late": LOG.propensity}
    found = held(above=0.0, carried=same)
    assert (found.added, found.kept) == (0.0, True)
    assert not held(above=0.0).kept  # negative control


def test_where_no_event_was_seen_one_may_still_come() -> None:
    found = held(events=NONE, above=0.0001)
    assert found.added == harm_bound(LOG, TAKEN, NONE, 0.95).upper > 0.001
    assert not found.kept
    assert held(events=NONE, above=0.1).kept


def test_what_a_policy_adds_lies_above_what_it_seems_to_add() -> None:
    found = held(above=1.0)
    counted = np.bincount(LOG.cluster[LOG.episode], weights=HARM * (TAKEN / LOG.propensity - 1.0))
    assert found.added is not None
    assert counted.mean() < found.added < 1.0


def appraised(at_most: float) -> Appraisal:
    limit = Limit("complaints", "contact", HARM, None, at_most, None)
    rng, config = np.random.default_rng(0), EvaluationConfig()
    return appraise(LOG, {"late": LATE}, "logged", rng, config, LogAnnotations(limits=(limit,)))


def test_nobody_is_better_who_may_do_more_harm_than_is_acceptable() -> None:
    kept, over = appraised(0.9), appraised(0.001)
    assert (kept.verdict, broken(kept.limits, "late")) == (Verdict.BETTER, ())
    assert over.verdict is Verdict.CANNOT_TELL_YET
    judgement = over.evaluation.policies["late"].judgement
    assert judgement is not None
    assert "but a limit on harm is not kept: complaints of 'late': at most" in judgement.reason
    assert broken(over.limits, "late")
    # The numbers stand: the log says what it says.
    better = kept.evaluation.policies["late"].difference
    assert over.evaluation.policies["late"].difference == better


def test_a_verdict_against_a_policy_needs_no_limit() -> None:
    limit = Limit("complaints", "contact", HARM, None, 0.0, None)
    rng, config = np.random.default_rng(0), EvaluationConfig()
    worse = appraise(
        LOG, {"early": leaning(LOG, -0.8)}, "logged", rng, config, LogAnnotations(limits=(limit,))
    )
    assert worse.verdict is Verdict.NOT_BETTER
