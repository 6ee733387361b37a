"""The whole appraisal: one candidate, verdicts that checks withhold, parts that are left out."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from nurture_rl.appraisal.appraise import appraise, best_of
from nurture_rl.appraisal.estimation import EvaluationConfig
from nurture_rl.appraisal.record import Appraisal, wrong
from nurture_rl.appraisal.risk.segments import SegmentVerdict
from nurture_rl.appraisal.risk_profile import LogAnnotations
from nurture_rl.appraisal.verdict import Judgement, Verdict
from nurture_rl.errors import OverlapError
from nurture_rl.ope.checks.findings import Finding, LogChecks, Severity
from nurture_rl.ope.log import EvaluationLog, FloatArray
from nurture_rl.ope.targets import TabulatedPolicy
from tests.unit.ope.log_makers import random_log

LOG = random_log(0, [1] * 2000, discount=1.0)
DAYS = np.datetime64("2026-03-02") + (np.arange(2000) % 21).astype("timedelta64[D]")


def leaning(log: EvaluationLog, tilt: float) -> TabulatedPolicy:
    """The logging policy, leaning toward later actions, which pay more, by `tilt`."""
    assert log.logged_probabilities is not None
    raw: FloatArray = log.logged_probabilities * np.exp(tilt * np.arange(log.n_actions))
    return TabulatedPolicy(raw / raw.sum(axis=1, keepdims=True))


POLICIES = {"late": leaning(LOG, 0.8), "early": leaning(LOG, -0.8), "rules": leaning(LOG, 0.4)}


def appraised(
    log: EvaluationLog = LOG,
    beside: LogAnnotations | None = None,
    candidate: str | None = None,
    margin: float = 0.0,
) -> Appraisal:
    config = EvaluationConfig(rules="rules", margin=margin)
    known = LogAnnotations() if beside is None else beside
    rng = np.random.default_rng(0)
    return appraise(log, POLICIES, "logged", rng, config, known, candidate)


def test_the_candidate_is_the_one_with_the_highest_lower_bound() -> None:
    found = appraised()
    assert (found.candidate, found.verdict, found.candidates) == (
        "late",
        Verdict.BETTER,
        ("late", "early"),
    )
    assert appraised(candidate="early").verdict is Verdict.NOT_BETTER


def test_the_level_is_shared_among_the_candidates() -> None:
    assert appraised().evaluation.level == pytest.approx(0.975)


def test_a_margin_as_wide_as_the_gain_makes_rules_enough() -> None:
    assert appraised(margin=1.0).verdict is Verdict.RULES_ARE_ENOUGH


def test_propensities_that_are_wrong_withhold_every_verdict() -> None:
    false = replace(
        LOG, propensity=np.minimum(2.0 * LOG.propensity, 1.0), logged_probabilities=None
    )
    found = appraised(false)
    assert found.verdict is Verdict.CANNOT_TELL_YET
    judgement = found.evaluation.policies["early"].judgement
    assert judgement is not None
    assert judgement.verdict is Verdict.CANNOT_TELL_YET
    assert found.settling


def test_weeks_need_days() -> None:
    assert appraised().skipped["weeks"] == "the log does not say when its decisions were made"
    found = appraised(beside=LogAnnotations(day=DAYS))
    assert [row.period for row in found.weeks["late"]] == ["2026-03-02", "2026-03-09", "2026-03-16"]
    assert "mean-weight-week" in {one.code for one in found.checks.findings}
    holes = DAYS.copy()
    holes[5] = np.datetime64("NaT")
    assert (
        appraised(beside=LogAnnotations(day=holes)).skipped["weeks"] == "some decisions have no day"
    )


def test_policies_stand_beside_each_other_and_the_log() -> None:
    found = appraised().comparison
    assert found is not None
    assert {one.name for one in found.policies} == {"logged", *POLICIES}
    assert found.winner == "late"


def test_the_appraisal_is_plain_json() -> None:
    plain = json.loads(
        json.dumps(appraised(beside=LogAnnotations(day=DAYS)).to_dict(), allow_nan=False)
    )
    assert plain["verdict"] == "better"
    assert plain["settling"] == []
    assert plain["weights"]["late"]["unused"] == 0.0
    assert plain["checks"]["findings"][0]["severity"] == "ok"


def far(log: EvaluationLog) -> TabulatedPolicy:
    """Always the last legal action."""
    last = np.where(log.mask, np.arange(log.n_actions), -1)
    return TabulatedPolicy((last == last.max(axis=1, keepdims=True)).astype(np.float64))


def test_a_policy_too_far_away_is_told_how_large_a_step_the_log_carries() -> None:
    long = random_log(1, [8] * 400, discount=1.0)
    rng, config = np.random.default_rng(0), EvaluationConfig()
    found = appraise(long, {"far": far(long)}, "logged", rng, config, LogAnnotations())
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
        LogAnnotations(),
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
    found = appraise(pairs, {"late": leaning(pairs, 0.8)}, "logged", rng, config, LogAnnotations())
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
        appraised(sure, LogAnnotations(actions=names))


def test_no_step_is_advised_toward_what_was_never_logged() -> None:
    blind = replace(LOG, logged_probabilities=None)
    never = np.where(np.arange(LOG.n_actions)[None] == blind.action[:, None], 0.0, LOG.mask)
    others = never.sum(axis=1) > 0.0
    never[~others] = LOG.mask[~others]
    target = TabulatedPolicy(never / never.sum(axis=1, keepdims=True))
    config = EvaluationConfig()
    rng = np.random.default_rng(0)
    found = appraise(blind, {"never": target}, "logged", rng, config, LogAnnotations())
    assert found.verdict is Verdict.CANNOT_TELL_YET
    assert not [line for line in found.settling if line.startswith("Go ")]


LABELS = {"half": np.where(np.arange(2000) % 2 == 0, "a", "b").astype(object)}
LEVELS = {"routing": ("wait", "send", "send"), "content": ("", "a", "b")}
HARMS = {"complaints": (np.arange(2000) % 40 == 0).astype(np.float64)}
EVERYTHING = LogAnnotations(day=DAYS, segments=LABELS, factors=LEVELS, harms=HARMS)


def test_what_is_said_of_a_picked_candidate_holds_together_with_the_others() -> None:
    found = appraised(beside=EVERYTHING)
    for one in found.segments["half"]:
        assert one.interval is not None
        assert one.interval.level == pytest.approx(0.975)
    assert found.lift is not None
    assert found.lift.total.interval.level == pytest.approx(0.975)


def leaking() -> EvaluationLog:
    """A log whose only feature is the reward."""
    return replace(LOG, features=LOG.reward[:, None].astype(np.float32))


def test_nothing_that_rests_on_withheld_numbers_is_computed() -> None:
    log = leaking()
    config, rng = EvaluationConfig(rules="rules"), np.random.default_rng(0)
    beside = replace(EVERYTHING, features=("paid",))
    found = appraise(log, POLICIES, "logged", rng, config, beside)
    assert found.verdict is Verdict.CANNOT_TELL_YET
    for name in ("late", "early", "rules"):
        judgement = found.evaluation.policies[name].judgement
        assert judgement is not None
        assert judgement.verdict is Verdict.CANNOT_TELL_YET
        assert judgement.contacts_needed is None
        assert judgement.reason.startswith("checks refuse a verdict: 'paid' depends on the action")
        assert "EUR per decision" not in judgement.reason
    assert (found.comparison, found.segments, found.lift) == (None, {}, None)
    assert set(found.tails) == set(found.weeks) == set(found.harms["complaints"]) == {"logged"}
    assert found.skipped["segments"] == "a check refuses what rests on 'late'"
    assert found.skipped["lift by factor"] == "a check refuses what rests on 'late'"
    assert "to be believed" in found.skipped["comparison"]
    assert [line for line in found.settling if line.startswith("Leave 'paid' out")]
    assert not [line for line in found.settling if line.startswith("Go ")]


def test_an_open_verdict_of_a_refused_log_advises_no_contacts() -> None:
    doubled = np.where(LOG.action == 1, np.minimum(2.0 * LOG.propensity, 1.0), LOG.propensity)
    false = replace(LOG, propensity=doubled, logged_probabilities=None)
    near = {"near": leaning(LOG, 0.01)}
    rng = np.random.default_rng(0)
    found = appraise(false, near, "logged", rng, EvaluationConfig(), LogAnnotations())
    judgement = found.evaluation.policies["near"].judgement
    assert judgement is not None
    assert judgement.contacts_needed is None
    assert "times how often it was taken" in judgement.reason


def test_wrong_numbers_are_told_from_too_few() -> None:
    few = Finding("ess", Severity.REFUSE, {}, "few")
    off = Finding("mean-weight", Severity.REFUSE, {}, "off")
    targets = {"late": LogChecks((few, off)), "early": LogChecks((few,))}
    fine = LogChecks(())
    assert wrong("logged", "late", fine, targets) == (off,)
    assert wrong("logged", "early", fine, targets) == ()
    assert wrong("late", "early", fine, targets) == (off,)
    assert wrong("logged", "early", LogChecks((few,)), targets) == (few,)


def test_a_policy_that_is_the_reference_hides_no_other() -> None:
    own = TabulatedPolicy(LOG.logged_probabilities)  # type: ignore[arg-type]
    policies = {"own": own, "near": leaning(LOG, 0.01)}
    rng = np.random.default_rng(0)
    found = appraise(
        LOG, policies, "logged", rng, EvaluationConfig(), LogAnnotations(segments=LABELS)
    )
    assert found.candidate == "near"
    near = found.evaluation.policies["near"].difference
    assert near is not None
    assert near.interval.lower < 0.0
    parts = LogAnnotations(segments=LABELS)
    alone = appraise(LOG, policies, "logged", rng, EvaluationConfig(), parts, "own")
    assert alone.verdict is Verdict.NOT_BETTER
    assert {one.verdict for one in alone.segments["half"]} == {SegmentVerdict.SAME}


def test_a_segment_in_which_both_act_alike_is_told() -> None:
    assert LOG.logged_probabilities is not None
    moved = leaning(LOG, 0.8).probabilities
    half = (np.arange(2000) % 2 == 0)[:, None]
    policies = {"half": TabulatedPolicy(np.where(half, LOG.logged_probabilities, moved))}
    rng = np.random.default_rng(0)
    for log in (LOG, replace(LOG, logged_probabilities=None)):
        found = appraise(
            log, policies, "logged", rng, EvaluationConfig(), LogAnnotations(segments=LABELS)
        )
        assert [one.verdict for one in found.segments["half"]] == [
            SegmentVerdict.SAME,
            SegmentVerdict.BETTER,
        ]
    both = {**policies, "late": leaning(LOG, 0.8)}
    found = appraise(LOG, both, "late", rng, EvaluationConfig(), LogAnnotations(segments=LABELS))
    assert [one.verdict for one in found.segments["half"]] == [
        SegmentVerdict.WORSE,
        SegmentVerdict.SAME,
    ]


def test_rules_that_a_check_refuses_are_no_bar() -> None:
    rows = np.arange(LOG.n_actions)
    assert LOG.logged_probabilities is not None
    # The rules take an action whose propensity is written too large; the candidate does not.
    wrong_arm = np.where(LOG.action == 2, np.minimum(3.0 * LOG.propensity, 1.0), LOG.propensity)
    log = replace(LOG, propensity=wrong_arm, logged_probabilities=None, mask=np.ones_like(LOG.mask))
    policies = {"first": TabulatedPolicy(np.tile((rows == 0) * 1.0, (2000, 1)))}
    policies["rules"] = TabulatedPolicy(np.tile((rows == 2) * 1.0, (2000, 1)))
    config, rng = EvaluationConfig(rules="rules"), np.random.default_rng(0)
    found = appraise(log, policies, "logged", rng, config, LogAnnotations())
    assert found.evaluation.policies["first"].against_rules is None


def test_a_policy_beyond_floating_point_leaves_the_page_to_others() -> None:
    long = random_log(1, [8] * 400, discount=1.0)
    rare = long.propensity.copy()
    rare[:8] = 1e-60
    log = replace(long, propensity=rare, logged_probabilities=None)
    taken = np.zeros(log.mask.shape)
    taken[np.arange(log.n_rows), log.action] = 1.0
    near = log.mask / log.mask.sum(axis=1, keepdims=True)
    near[:8] = np.where(np.arange(3) == log.action[:8, None], 0.0, log.mask[:8])
    dead = near[:8].sum(axis=1) == 0.0
    near[:8][dead] = taken[:8][dead]
    near[:8] /= near[:8].sum(axis=1, keepdims=True)
    policies = {"far": TabulatedPolicy(taken), "near": TabulatedPolicy(near)}
    rng = np.random.default_rng(0)
    found = appraise(log, policies, "logged", rng, EvaluationConfig(), LogAnnotations(), "far")
    assert found.verdict is Verdict.CANNOT_TELL_YET
    assert set(found.weights) == {"near"}
    json.dumps(found.to_dict(), allow_nan=False)
