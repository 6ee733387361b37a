"""The room's door: every policy against one reference, refusals kept, JSON at the end."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from nurture_rl.appraisal.estimation import AUTO, EvaluationConfig, evaluate_policies
from nurture_rl.appraisal.evaluation import Evaluation, plain
from nurture_rl.appraisal.verdict import Verdict
from nurture_rl.errors import NurtureError, OverlapError, ProbabilityError
from nurture_rl.ope.log import EvaluationLog, FloatArray, as_single_decisions
from nurture_rl.ope.targets import TabulatedPolicy, TargetPolicy
from tests.unit.ope.log_makers import random_log


class Leaning:
    """Leans toward later actions by `tilt`; an infinite tilt always takes the last legal one."""

    def __init__(self, tilt: float) -> None:
        self.tilt = tilt

    def action_probabilities(
        self, features: NDArray[np.float32], mask: NDArray[np.bool_], /
    ) -> FloatArray:
        a = mask.shape[1]
        power = np.where(mask, np.arange(a) - (a - 1.0 - mask[:, ::-1].argmax(axis=1))[:, None], 0)
        rows = np.where(mask, np.exp(self.tilt * power) if self.tilt < 50 else power == 0.0, 0.0)
        return np.asarray(rows / rows.sum(axis=1, keepdims=True))


class Unmasked:
    def action_probabilities(
        self, features: NDArray[np.float32], mask: NDArray[np.bool_], /
    ) -> FloatArray:
        return np.full(mask.shape, 1.0 / mask.shape[1])


def evaluated(
    log: EvaluationLog, policies: dict[str, TargetPolicy], reference: str = "logged"
) -> Evaluation:
    return evaluate_policies(log, policies, reference, np.random.default_rng(0), EvaluationConfig())


LOG = random_log(0, [2] * 1500, discount=1.0)


def test_later_actions_pay_more_and_the_verdicts_say_so() -> None:
    # The reward is the action's position plus noise.
    policies: dict[str, TargetPolicy] = {"late": Leaning(0.4), "early": Leaning(-0.4)}
    found = evaluated(LOG, policies).policies
    assert {name: found[name].judgement.verdict for name in found} == {  # type: ignore[union-attr]
        "late": Verdict.BETTER,
        "early": Verdict.NOT_BETTER,
    }


def test_the_reference_itself_gets_no_verdict_and_others_differ_from_it() -> None:
    policies: dict[str, TargetPolicy] = {
        "late": Leaning(0.4),
        "same": Leaning(0.4),
        "early": Leaning(-0.4),
    }
    found = evaluated(LOG, policies, "late").policies
    assert found["late"].difference is None
    assert found["late"].judgement is None
    same = found["same"].difference
    assert same is not None
    assert same.value == 0.0
    early = found["early"].difference
    assert early is not None
    values = {name: found[name].estimates["dr"].estimate.value for name in found}
    assert early.value == pytest.approx(values["early"] - values["late"])


def test_the_logging_policy_is_worth_the_log_s_own_mean() -> None:
    found = evaluated(LOG, {})
    assert found.logged.estimate.value == pytest.approx(LOG.reward.sum() / 1500)
    assert found.logged_mix.sum(axis=1) == pytest.approx([1.0, 1.0])
    assert (found.n_decisions, found.n_clusters, found.horizon) == (3000, 1500, 2)


def test_the_four_estimators_agree_where_the_log_is_rich() -> None:
    found = evaluated(LOG, {"late": Leaning(0.4)}).policies["late"]
    dr = found.estimates["dr"]
    for kind in ("ips", "snips", "dm"):
        # The direct method's own error leaves the model's out, so the others' serves for it.
        stderr = max(found.estimates[kind].estimate.stderr, dr.estimate.stderr)
        error = abs(found.estimates[kind].estimate.value - dr.estimate.value)
        assert error < 3 * stderr


def test_per_decision_values_are_those_of_single_decisions() -> None:
    found = evaluated(as_single_decisions(LOG), {"late": Leaning(0.4)})
    assert (found.n_episodes, found.n_clusters, found.horizon) == (3000, 1500, 1)
    assert found.steps.tolist() == [0, 1]
    assert found.logged.estimate.value == pytest.approx(LOG.reward.mean())


def half_shown_log() -> EvaluationLog:
    """Actions 0 and 1 by the toss of a coin; action 2 is legal and never taken."""
    return replace(
        random_log(1, [1] * 400),
        mask=np.ones((400, 3), dtype=bool),
        action=np.arange(400) % 2,
        propensity=np.full(400, 0.5),
        logged_probabilities=np.tile([0.5, 0.5, 0.0], (400, 1)),
    )


def test_a_policy_the_log_never_shows_is_carried_without_a_number_from_snips() -> None:
    found = evaluated(half_shown_log(), {"last": Leaning(np.inf)}).policies["last"]
    assert "all 400 importance weights are 0" in found.refusals["snips"]
    assert "snips" not in found.estimates
    assert found.overlap.support_gap == 1.0
    assert found.judgement is not None
    assert found.judgement.verdict is Verdict.CANNOT_TELL_YET


def test_a_reference_the_log_never_shows_settles_nothing() -> None:
    policies: dict[str, TargetPolicy] = {"first": Leaning(-49.0), "last": Leaning(np.inf)}
    found = evaluated(half_shown_log(), policies, "last").policies["first"]
    assert found.overlap.feasible
    assert found.judgement is not None
    assert found.judgement.verdict is Verdict.CANNOT_TELL_YET
    assert "does not carry the reference" in found.judgement.reason


def test_the_evaluation_is_plain_json() -> None:
    found = evaluated(LOG, {"late": Leaning(0.4)})
    told = json.loads(json.dumps(plain(found), allow_nan=False))
    late = told["policies"]["late"]
    assert late["judgement"]["verdict"] == "better"
    assert late["estimates"]["dr"]["estimate"]["value"] == pytest.approx(
        found.policies["late"].estimates["dr"].estimate.value
    )
    assert len(late["action_mix"]) == len(told["steps"]) == 2
    assert "influence" not in late["estimates"]["dr"]["estimate"]


def test_the_same_seed_gives_the_same_evaluation() -> None:
    policies: dict[str, TargetPolicy] = {"late": Leaning(0.4)}
    assert plain(evaluated(LOG, policies)) == plain(evaluated(LOG, policies))


def test_a_deterministic_log_is_refused() -> None:
    log = replace(LOG, propensity=np.ones(LOG.n_rows), logged_probabilities=None)
    with pytest.raises(OverlapError, match="the log is deterministic"):
        evaluated(log, {"late": Leaning(0.4)})


def test_a_policy_blind_to_the_mask_is_refused_by_name() -> None:
    with pytest.raises(ProbabilityError, match=r"policy 'blind'.*masked action"):
        evaluated(LOG, {"blind": Unmasked()})


def test_an_unknown_reference_and_a_reserved_name_are_refused() -> None:
    with pytest.raises(NurtureError, match=r"one of \['late'\], got 'drip'"):
        evaluated(LOG, {"late": Leaning(0.4)}, "drip")
    with pytest.raises(NurtureError, match="logging policy's own"):
        evaluated(LOG, {"logged": Leaning(0.4)})


def configured(
    log: EvaluationLog, policies: dict[str, TargetPolicy], **settings: Any
) -> Evaluation:
    config = EvaluationConfig(**settings)
    return evaluate_policies(log, policies, "logged", np.random.default_rng(0), config)


def test_a_policy_that_gains_little_over_rules_is_told_that_they_are_enough() -> None:
    policies: dict[str, TargetPolicy] = {"late": Leaning(0.4), "rules": Leaning(0.38)}
    found = configured(LOG, policies, rules="rules", margin=0.2).policies
    late, plain = found["late"], found["rules"]
    assert late.judgement is not None
    assert late.judgement.verdict is Verdict.RULES_ARE_ENOUGH
    assert late.against_rules is not None
    values = {name: found[name].estimates["dr"].estimate.value for name in found}
    assert late.against_rules.value == pytest.approx(values["late"] - values["rules"])
    assert plain.against_rules is None
    assert plain.judgement is not None
    assert plain.judgement.verdict is Verdict.BETTER


def test_estimators_are_those_asked_for_and_the_preferred_carries_the_difference() -> None:
    policies: dict[str, TargetPolicy] = {"late": Leaning(0.4), "early": Leaning(-0.4)}
    config = EvaluationConfig(estimators=("snips", "ips"), preferred="snips")
    found = evaluate_policies(LOG, policies, "early", np.random.default_rng(0), config).policies
    late = found["late"]
    assert list(late.estimates) == ["snips", "ips"]
    assert late.basis == "snips"
    assert late.difference is not None
    values = {name: found[name].estimates["snips"].estimate.value for name in found}
    assert late.difference.value == pytest.approx(values["late"] - values["early"])


def test_where_the_preferred_estimator_refuses_another_serves_and_is_named() -> None:
    policies: dict[str, TargetPolicy] = {"last": Leaning(np.inf)}
    shown = configured(half_shown_log(), policies, estimators=("snips", "ips"), preferred="snips")
    assert shown.policies["last"].basis == "ips"
    alone = configured(half_shown_log(), policies, estimators=("snips",), preferred="snips")
    found = alone.policies["last"]
    assert (found.basis, found.difference) == (None, None)
    assert found.judgement is not None
    assert found.judgement.verdict is Verdict.CANNOT_TELL_YET
    assert "no estimator that differences may rest on" in found.judgement.reason


def test_a_policy_known_by_its_table_alone_is_judged_like_any_other() -> None:
    late = Leaning(0.4)
    table = TabulatedPolicy(late.action_probabilities(LOG.features, LOG.mask))
    first = plain(configured(LOG, {"late": late}))
    rng = np.random.default_rng(0)
    second = plain(evaluate_policies(LOG, {"late": table}, "logged", rng, EvaluationConfig()))
    assert first == second
    with pytest.raises(ProbabilityError, match="policy 'late'"):
        evaluate_policies(
            LOG,
            {"late": TabulatedPolicy(np.zeros(LOG.mask.shape))},
            "logged",
            rng,
            EvaluationConfig(),
        )


def test_unknown_rules_and_estimators_are_refused() -> None:
    policies: dict[str, TargetPolicy] = {"late": Leaning(0.4)}
    with pytest.raises(NurtureError, match=r"the rules must be one of the policies \['late'\]"):
        configured(LOG, policies, rules="plain")
    with pytest.raises(NurtureError, match="estimators must be among ips, snips"):
        configured(LOG, policies, estimators=("dr", "guess"))
    with pytest.raises(NurtureError, match="hold the preferred one, got ips and 'dr' preferred"):
        configured(LOG, policies, estimators=("ips",))


def test_left_to_choose_the_verdict_rests_on_doubly_robust_whichever_varies_least() -> None:
    policies: dict[str, TargetPolicy] = {"late": Leaning(0.4), "last": Leaning(np.inf)}
    kinds = ("ips", "snips", "dm", "dr", "wdr", "drl")
    found = configured(LOG, policies, estimators=kinds, preferred=AUTO)
    assert found.selection is not None
    errors = {one.name: one.mse for one in found.selection.ranking}
    assert set(errors) == set(kinds)
    assert min(errors, key=errors.__getitem__) != "dr"
    assert found.preferred == "dr"
    assert found.policies["late"].basis == "dr"


def test_only_what_the_log_carries_tells_what_estimators_err() -> None:
    first: dict[str, TargetPolicy] = {"first": Leaning(-49.0)}
    both = configured(half_shown_log(), {**first, "last": Leaning(np.inf)}, preferred=AUTO)
    alone = configured(half_shown_log(), first, preferred=AUTO)
    assert both.selection is not None
    assert alone.selection is not None
    assert both.selection.ranking == alone.selection.ranking


def test_where_the_log_carries_nothing_the_verdict_rests_on_doubly_robust() -> None:
    found = configured(half_shown_log(), {"last": Leaning(np.inf)}, preferred=AUTO)
    assert (found.selection, found.preferred) == (None, "dr")


def hopeless() -> tuple[EvaluationLog, dict[str, TabulatedPolicy]]:
    """A log whose first two decisions were all but impossible, one policy that makes them."""
    rare = LOG.propensity.copy()
    rare[:2] = 1e-200
    log = replace(LOG, propensity=rare, mask=np.ones_like(LOG.mask), logged_probabilities=None)
    taken = np.zeros(log.mask.shape)
    taken[np.arange(log.n_rows), log.action] = 1.0
    near = np.full(log.mask.shape, 1.0 / 3.0)
    near[:2] = (1.0 - taken[:2]) / 2.0
    return log, {"far": TabulatedPolicy(taken), "near": TabulatedPolicy(near)}


@pytest.mark.parametrize("reference", ["logged", "near"])
def test_weights_beyond_floating_point_are_one_policys_own_affair(reference: str) -> None:
    log, policies = hopeless()
    kinds = ("ips", "snips", "dm", "dr", "wdr", "drl", "smis", "mrdr", "magic", "switch_dr")
    config, rng = EvaluationConfig(estimators=kinds), np.random.default_rng(0)
    found = evaluate_policies(log, policies, reference, rng, config)
    json.dumps(plain(found), allow_nan=False)
    lost = found.policies["far"]
    assert lost.judgement is not None
    assert lost.judgement.verdict is Verdict.CANNOT_TELL_YET
    assert lost.judgement.contacts_needed is None
    assert not lost.overlap.feasible
    assert (lost.overlap.ess, lost.overlap.max_weight_share) == (0.0, 1.0)
    assert "exceed floating point" in lost.overlap.reason
    assert {"ips", "snips", "dr"} <= set(lost.refusals)
    near = found.policies["near"]
    assert near.estimates["dr"].interval.lower > -np.inf
    assert near.refusals.keys() <= {"smis"}
    assert near.overlap.ess > 100.0


def test_a_reference_beyond_floating_point_leaves_others_their_values() -> None:
    log, policies = hopeless()
    found = evaluate_policies(log, policies, "far", np.random.default_rng(0), EvaluationConfig())
    judgement = found.policies["near"].judgement
    assert judgement is not None
    assert judgement.verdict is Verdict.CANNOT_TELL_YET


def test_a_policy_that_is_the_reference_is_the_same_policy_by_any_estimator() -> None:
    late = Leaning(0.4)
    table = late.action_probabilities(LOG.features, LOG.mask)
    dusty = table * (1.0 + 1e-15 * np.arange(3))
    policies: dict[str, Any] = {
        "late": late,
        "again": TabulatedPolicy(dusty / dusty.sum(axis=1)[:, None]),
    }
    found = evaluated(LOG, policies, "late").policies["again"]
    assert found.difference is not None
    assert found.judgement is not None
    assert (found.difference.value, found.difference.stderr) == (0.0, 0.0)
    assert found.judgement.verdict is Verdict.NOT_BETTER
    assert "the same policy, acting alike in all 3000 decisions" in found.judgement.reason


@pytest.mark.parametrize("whole", [True, False])
def test_the_logging_policy_itself_is_told_as_such(whole: bool) -> None:
    assert LOG.logged_probabilities is not None
    own = TabulatedPolicy(LOG.logged_probabilities)
    log = LOG if whole else replace(LOG, logged_probabilities=None)
    rng = np.random.default_rng(0)
    found = evaluate_policies(log, {"own": own}, "logged", rng, EvaluationConfig()).policies["own"]
    assert found.difference is not None
    assert found.difference.none
    moved = LOG.logged_probabilities * (1.0 + 0.001 * np.arange(3))
    other = {"own": TabulatedPolicy(moved / moved.sum(axis=1, keepdims=True))}
    near = evaluate_policies(log, other, "logged", rng, EvaluationConfig()).policies["own"]
    assert near.difference is not None
    assert not near.difference.none


def test_a_policy_that_is_the_rules_is_enough_by_them() -> None:
    policies: dict[str, TargetPolicy] = {"late": Leaning(0.4), "plain": Leaning(0.4)}
    found = configured(LOG, policies, rules="plain").policies["late"]
    assert found.judgement is not None
    assert found.judgement.verdict is Verdict.RULES_ARE_ENOUGH
    assert found.against_rules is not None
    assert found.against_rules.none
