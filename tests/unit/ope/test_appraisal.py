"""The whole appraisal: one candidate, verdicts that checks withhold, parts that are left out."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from nurture_rl.errors import OverlapError
from nurture_rl.ope.appendices import Beside
from nurture_rl.ope.appraisal import Appraisal, appraise, best_of
from nurture_rl.ope.evaluate import EvaluationConfig
from nurture_rl.ope.log import EvaluationLog, FloatArray
from nurture_rl.ope.targets import Tabled
from nurture_rl.ope.verdict import Judgement, Verdict
from tests.unit.ope.log_makers import random_log

LOG = random_log(0, [1] * 2000, discount=1.0)
DAYS = np.datetime64("2026-03-02") + (np.arange(2000) % 21).astype("timedelta64[D]")


def leaning(log: EvaluationLog, tilt: float) -> Tabled:
    """The logging policy, leaning toward later actions, which pay more, by `tilt`."""
    assert log.logged_probabilities is not None
    raw: FloatArray = log.logged_probabilities * np.exp(tilt * np.arange(log.n_actions))
    return Tabled(raw / raw.sum(axis=1, keepdims=True))


POLICIES = {"late": leaning(LOG, 0.8), "early": leaning(LOG, -0.8), "rules": leaning(LOG, 0.4)}


def appraised(
    log: EvaluationLog = LOG,
    beside: Beside | None = None,
    candidate: str | None = None,
    margin: float = 0.0,
) -> Appraisal:
    config = EvaluationConfig(rules="rules", margin=margin)
    known = Beside() if beside is None else beside
    rng = np.random.default_rng(0)
    return appraise(log, POLICIES, "logged", rng, config, known, candidate)


def test_the_candidate_is_the_one_with_the_highest_lower_bound() -> None:
    found = appraised()
    assert (found.candidate, found.verdict, found.candidates) == ("late", Verdict.BETTER, 2)
    assert appraised(candidate="early").verdict is Verdict.NOT_BETTER


def test_the_level_is_shared_among_the_candidates() -> None:
    assert appraised().evaluation.level == pytest.approx(0.975)


def test_a_margin_as_wide_as_the_gain_makes_rules_enough() -> None:
    assert appraised(margin=1.0).verdict is Verdict.RULES_ARE_ENOUGH


def test_propensities_that_are_wrong_withhold_every_verdict() -> None:
    wrong = replace(
        LOG, propensity=np.minimum(2.0 * LOG.propensity, 1.0), logged_probabilities=None
    )
    found = appraised(wrong)
    assert found.verdict is Verdict.CANNOT_TELL_YET
    judgement = found.evaluation.policies["early"].judgement
    assert judgement is not None
    assert judgement.verdict is Verdict.CANNOT_TELL_YET
    assert found.settling


def test_weeks_need_days() -> None:
    assert appraised().skipped["weeks"] == "the log does not say when its decisions were made"
    found = appraised(beside=Beside(day=DAYS))
    assert [row.period for row in found.weeks["late"]] == ["2026-03-02", "2026-03-09", "2026-03-16"]
    assert found.checks.find("mean-weight-week") is not None
    holes = DAYS.copy()
    holes[5] = np.datetime64("NaT")
    assert appraised(beside=Beside(day=holes)).skipped["weeks"] == "some decisions have no day"


def test_policies_stand_beside_each_other_and_the_log() -> None:
    found = appraised().comparison
    assert found is not None
    assert {one.name for one in found.policies} == {"logged", *POLICIES}
    assert found.winner == "late"


def test_the_appraisal_is_plain_json() -> None:
    plain = json.loads(json.dumps(appraised(beside=Beside(day=DAYS)).to_dict(), allow_nan=False))
    assert plain["verdict"] == "better"
    assert plain["settling"] == []
    assert plain["weights"]["late"]["unused"] == 0.0
    assert plain["checks"]["findings"][0]["severity"] == "ok"


def far(log: EvaluationLog) -> Tabled:
    """Always the last legal action."""
    last = np.where(log.mask, np.arange(log.n_actions), -1)
    return Tabled((last == last.max(axis=1, keepdims=True)).astype(np.float64))


def test_a_policy_too_far_away_is_told_how_large_a_step_the_log_carries() -> None:
    long = random_log(1, [8] * 400, discount=1.0)
    rng, config = np.random.default_rng(0), EvaluationConfig()
    found = appraise(long, {"far": far(long)}, "logged", rng, config, Beside())
    assert found.verdict is Verdict.CANNOT_TELL_YET
    step = found.target_checks["far"].mixing
    assert step is not None
    assert 0.0 < step.alpha < 1.0
    (told,) = [line for line in found.settling if line.startswith("Go ")]
    assert told.startswith(f"Go {step.alpha:.1%} of the way from the logging policy to 'far'")
    assert found.skipped["segments"] == "no labels to break the value down by were named"
    assert found.skipped["lift by factor"] == "the log does not carry 'far'"


def test_a_policy_that_the_log_carries_whole_is_told_of_no_step() -> None:
    near = appraise(
        LOG,
        {"near": leaning(LOG, 0.01)},
        "logged",
        np.random.default_rng(0),
        EvaluationConfig(),
        Beside(),
    )
    assert near.verdict is Verdict.CANNOT_TELL_YET
    step = near.target_checks["near"].mixing
    assert step is not None
    assert step.alpha == 1.0
    assert not [line for line in near.settling if line.startswith("Go ")]


def test_a_rival_without_a_difference_comes_last() -> None:
    evaluation = appraised().evaluation
    bare = replace(evaluation.policies["late"], difference=None)
    policies = {**evaluation.policies, "late": bare}
    assert best_of(replace(evaluation, policies=policies), ["late", "early"]) == "early"
    assert best_of(evaluation, ["early", "late"]) == "late"


def test_a_rival_whose_verdict_is_withheld_comes_after_one_with_a_verdict() -> None:
    evaluation = appraised().evaluation
    best = evaluation.policies["late"]
    withheld = replace(best, judgement=Judgement(Verdict.CANNOT_TELL_YET, "checks refuse", None))
    policies = {**evaluation.policies, "late": withheld}
    assert best_of(replace(evaluation, policies=policies), ["late", "early"]) == "early"


def test_a_reason_counts_what_the_log_counts() -> None:
    late = appraised().evaluation.policies["late"].judgement
    assert late is not None
    assert f"{LOG.unit} per decision, " in late.reason
    pairs = random_log(0, [2] * 1000, discount=1.0)
    config, rng = EvaluationConfig(), np.random.default_rng(0)
    found = appraise(pairs, {"late": leaning(pairs, 0.8)}, "logged", rng, config, Beside())
    judgement = found.evaluation.policies["late"].judgement
    assert judgement is not None
    assert f"{LOG.unit} per episode, " in judgement.reason


def test_rewards_that_never_differ_withhold_the_verdict() -> None:
    found = appraised(replace(LOG, reward=np.zeros(LOG.n_rows)))
    assert found.verdict is Verdict.CANNOT_TELL_YET


def test_a_deterministic_log_is_refused_with_the_names_of_its_actions() -> None:
    sure = replace(LOG, propensity=np.ones(LOG.n_rows), logged_probabilities=None)
    names = tuple(f"mail {k}" for k in range(LOG.n_actions))
    with pytest.raises(OverlapError, match="mail 0"):
        appraised(sure, Beside(actions=names))


def test_no_step_is_advised_toward_what_was_never_logged() -> None:
    blind = replace(LOG, logged_probabilities=None)
    never = np.where(np.arange(LOG.n_actions)[None] == blind.action[:, None], 0.0, LOG.mask)
    others = never.sum(axis=1) > 0.0
    never[~others] = LOG.mask[~others]
    target = Tabled(never / never.sum(axis=1, keepdims=True))
    config = EvaluationConfig()
    rng = np.random.default_rng(0)
    found = appraise(blind, {"never": target}, "logged", rng, config, Beside())
    assert found.verdict is Verdict.CANNOT_TELL_YET
    assert not [line for line in found.settling if line.startswith("Go ")]
