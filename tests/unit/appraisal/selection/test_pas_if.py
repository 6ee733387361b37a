"""Part of the log becomes a log of something like the target, exactly so in its probabilities."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nurture_rl.appraisal.selection.pas_if import (
    PasIfConfig,
    acceptance,
    importance_gap,
    select_by_subsampling,
)
from nurture_rl.errors import NurtureError, OverlapError
from nurture_rl.ope.estimators import ips
from nurture_rl.ope.log import EvaluationLog, FloatArray
from nurture_rl.ope.suite import ESTIMATORS
from nurture_rl.ope.value_model import ValueModelConfig
from tests.unit.appraisal.selection.question_makers import Spy, asked_log, constant, refuse

MODEL = ValueModelConfig(n_folds=3)


def accepted(
    log: EvaluationLog, target: FloatArray, **settings: float
) -> tuple[FloatArray, FloatArray]:
    config = PasIfConfig(accept=settings.get("accept", 0.2))
    logged = log.logged_probabilities
    assert logged is not None
    rng = np.random.default_rng(0)
    return acceptance(logged, target, log.action_factors, rng, config), logged


@pytest.mark.parametrize("accept", [0.2, 0.4])
def test_the_same_share_is_accepted_in_every_context(accept: float) -> None:
    log, target = asked_log(0, 60)
    rho, logged = accepted(log, target, accept=accept)
    assert (logged * rho).sum(axis=1) == pytest.approx(accept)
    assert ((rho >= 0.0) & (rho <= 1.0)).all()


def test_the_logging_policy_as_its_own_target_is_a_random_part() -> None:
    log, _ = asked_log(1, 60)
    assert log.logged_probabilities is not None
    rho, _ = accepted(log, log.logged_probabilities)
    legal = log.mask
    assert rho[legal] == pytest.approx(0.2, abs=1e-3)


def test_pseudo_weights_resemble_the_real_ones() -> None:
    log, target = asked_log(2, 200)
    target = np.where(log.mask, target**3, 0.0)
    target /= target.sum(axis=1, keepdims=True)
    rho, logged = accepted(log, target)
    weight = np.divide(target, logged, out=np.zeros_like(target), where=logged > 0.0)
    pseudo = rho / (1.0 - rho) * 0.8 / 0.2
    gap = (logged * (pseudo - weight) ** 2).sum(axis=1).mean()
    unshifted = (logged * (1.0 - weight) ** 2).sum(axis=1).mean()
    assert gap < 0.1 * unshifted


def test_factors_of_actions_bring_the_pseudo_weights_nearer() -> None:
    log, target = asked_log(13, 200)
    logged = log.logged_probabilities
    assert logged is not None
    weight = np.divide(target, logged, out=np.zeros_like(target), where=logged > 0.0)

    def gap(factors: FloatArray) -> float:
        rho = acceptance(logged, target, factors, np.random.default_rng(0), PasIfConfig())
        pseudo = rho / (1.0 - rho) * 0.8 / 0.2
        return float((logged * (pseudo - weight) ** 2).sum(axis=1).mean())

    place = np.arange(3.0)[:, None]
    alone, known = gap(np.ones((3, 1))), gap(place)
    assert known < 0.999 * alone
    assert gap(1000.0 * place) == pytest.approx(known, rel=1e-6)
    assert gap(np.hstack([place, np.zeros((3, 1))])) == pytest.approx(known, rel=1e-6)


def test_the_slope_of_the_gap_is_its_difference_quotient() -> None:
    rng = np.random.default_rng(3)
    log, target = asked_log(3, 40)
    logged = log.logged_probabilities
    assert logged is not None
    weight = np.divide(target, logged, out=np.zeros_like(target), where=logged > 0.0)
    shape = rng.normal(size=(40, 3, 2))
    theta = np.array([0.7, -0.4])
    value, slope = importance_gap(theta, shape, logged, weight, 0.3)
    assert value > 0.0
    for j in range(2):
        step = np.eye(2)[j] * 1e-5
        after, _ = importance_gap(theta + step, shape, logged, weight, 0.3)
        before, _ = importance_gap(theta - step, shape, logged, weight, 0.3)
        assert slope[j] == pytest.approx((after - before) / 2e-5, rel=1e-4)


def test_the_gap_by_hand() -> None:
    # No tilt: rho = k everywhere, pseudo weight 1; (1/4 (0 - 1)^2 + 3/4 (4/3 - 1)^2).
    logged, weight = np.array([[0.25, 0.75]]), np.array([[0.0, 4.0 / 3.0]])
    value, _ = importance_gap(np.zeros(1), np.ones((1, 2, 1)), logged, weight, 0.3)
    assert value == pytest.approx(0.25 + 0.75 / 9.0)


def test_estimators_are_asked_of_the_rest_as_another_policy_logged_it() -> None:
    log, target = asked_log(4, 300)
    spy = Spy()
    config = PasIfConfig(splits=2, accept=0.3, value_model=MODEL)
    rng = np.random.default_rng(5)
    select_by_subsampling(log, {"t": target}, {"spy": spy}, rng, config)
    rho, logged = accepted(log, target, accept=0.3)
    for question in spy.asked:
        rest = question.log
        assert rest.logged_probabilities is not None
        assert 170 < rest.n_rows < 250
        assert rest.logged_probabilities.sum(axis=1) == pytest.approx(1.0)
        assert question.target.probabilities.sum(axis=1) == pytest.approx(1.0)
        assert (rest.logged_probabilities[~rest.mask] == 0.0).all()
        taken = rest.logged_probabilities[np.arange(rest.n_rows), rest.action]
        assert (rest.propensity == taken).all()
        # The two pseudo policies mix back to the one that logged.
        mixed = 0.3 * question.target.probabilities + 0.7 * rest.logged_probabilities
        match = np.flatnonzero(np.isin(log.reward, rest.reward))
        assert mixed == pytest.approx(logged[match], abs=1e-6)
        assert question.target.probabilities == pytest.approx((logged * rho / 0.3)[match], abs=1e-6)


def test_rows_are_accepted_with_their_chance() -> None:
    """Thirty draws: each row is left out of the rest as often as rho says."""
    log, target = asked_log(6, 200)
    target = np.where(log.mask, target**3, 0.0)
    target /= target.sum(axis=1, keepdims=True)
    spy = Spy()
    config = PasIfConfig(splits=30, accept=0.3, value_model=MODEL)
    select_by_subsampling(log, {"t": target}, {"spy": spy}, np.random.default_rng(0), config)
    kept = sum(np.isin(log.reward, question.log.reward).astype(float) for question in spy.asked)
    rho, _ = accepted(log, target, accept=0.3)
    chance = rho[np.arange(200), log.action]
    score = (30.0 - kept - 30.0 * chance).sum() / np.sqrt(30.0 * (chance * (1.0 - chance)).sum())
    assert abs(score) < 4.0
    assert np.corrcoef(30.0 - kept, chance)[0, 1] > 0.7


def test_an_estimator_is_held_against_the_accepted_rows_own_mean() -> None:
    log, target = asked_log(7, 200)
    spy = Spy()
    config = PasIfConfig(splits=1, value_model=MODEL)
    found = select_by_subsampling(
        log,
        {"t": target},
        {"spy": spy, "none": constant(0.0)},
        np.random.default_rng(0),
        config,
    )
    own = ~np.isin(log.reward, spy.asked[0].log.reward)
    mean = log.reward[own].mean()
    contacts = np.bincount(log.cluster[own], weights=log.reward[own] - mean) / own.sum()
    count = np.unique(log.cluster[own]).size
    variance = count / (count - 1) * (contacts @ contacts)
    by_name = {score.name: score for score in found.ranking}
    assert by_name["none"].mse == pytest.approx(mean**2 - variance)
    one = ips(spy.asked[0].log, spy.asked[0].target.taken)
    assert by_name["spy"].variance == pytest.approx(one.stderr**2)
    assert found.method == "pas-if"


def test_every_target_has_a_rule_of_its_own() -> None:
    log, target = asked_log(8, 120)
    assert log.logged_probabilities is not None
    spy = Spy()
    targets = {"near": log.logged_probabilities, "far": target}
    config = PasIfConfig(splits=2, value_model=MODEL)
    select_by_subsampling(log, targets, {"spy": spy}, np.random.default_rng(0), config)
    spread = [np.std(q.target.taken / q.log.propensity) for q in spy.asked]
    assert len(spread) == 4
    assert max(spread[:2]) < 0.05 < min(spread[2:])


def test_an_estimator_that_refuses_is_not_ranked() -> None:
    log, target = asked_log(9, 120)
    chosen = {"shy": refuse, "dm": ESTIMATORS["dm"]}
    config = PasIfConfig(splits=1, value_model=MODEL)
    found = select_by_subsampling(log, {"t": target}, chosen, np.random.default_rng(0), config)
    assert (found.name, list(found.refusals)) == ("dm", ["shy"])


def test_what_cannot_be_subsampled_is_refused_with_the_other_way() -> None:
    long, target = asked_log(10, 60, 2)
    rng = np.random.default_rng(0)
    with pytest.raises(NurtureError, match="got horizon 2 and one; cross-validate instead"):
        select_by_subsampling(long, {"t": target}, ESTIMATORS, rng, PasIfConfig())
    log, target = asked_log(11, 60)
    bare = replace(log, logged_probabilities=None)
    with pytest.raises(NurtureError, match="horizon 1 and none"):
        select_by_subsampling(bare, {"t": target}, ESTIMATORS, rng, PasIfConfig())
    with pytest.raises(NurtureError, match="10 and 1"):
        select_by_subsampling(log, {"t": target}, ESTIMATORS, rng, PasIfConfig(accept=1.0))


def test_a_log_too_short_to_split_is_refused() -> None:
    log, target = asked_log(12, 6)
    config = PasIfConfig(splits=50, accept=0.01, value_model=MODEL)
    with pytest.raises(OverlapError, match="0 of 6 decisions were accepted"):
        select_by_subsampling(
            log, {"t": target}, {"none": constant(0.0)}, np.random.default_rng(0), config
        )
