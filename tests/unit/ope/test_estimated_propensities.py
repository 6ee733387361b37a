"""Estimated propensities: right where the model is, frequencies where the programme was fixed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nurture_rl.errors import FitError
from nurture_rl.ope.action_chances import FloatArray, masked_softmax
from nurture_rl.ope.estimated_propensities import ProgrammeLog, estimated_propensities


def drawn(seed: int, n: int = 6000, steps: int = 3) -> tuple[ProgrammeLog, FloatArray]:
    """A softmax programme of four actions, the last of which it never takes; and its chances."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n, 3)).astype(np.float32)
    mask = rng.random((n, 4)) < 0.8
    mask[:, 0] = True
    step = np.arange(n) % steps
    theta = rng.normal(size=(3, 4))
    scores = features @ theta + np.array([1.0, 0.0, 0.5, 0.0]) + 0.8 * (step[:, None] == 1)
    able = mask.copy()
    able[:, 3] = False
    chances = masked_softmax(np.asarray(scores, np.float64), able)
    action = (rng.random((n, 1)) > chances.cumsum(axis=1)).sum(axis=1).clip(max=3)
    action = np.where(able[np.arange(n), action], action, 0)
    return ProgrammeLog(features, mask, action, step, np.arange(n) // steps), chances


def test_a_programme_that_the_model_can_say_is_found() -> None:
    log, chances = drawn(0)
    found = estimated_propensities(log)
    apart = 0.5 * np.abs(found.probabilities - chances).sum(axis=1)
    assert apart.mean() < 0.03
    assert found.error < 0.01
    assert found.power == pytest.approx(1.0, abs=0.1)
    np.testing.assert_allclose(found.probabilities.sum(axis=1), 1.0)
    assert not found.probabilities[~log.mask].any()


def test_what_was_never_tried_has_no_chance_and_is_told() -> None:
    log, _ = drawn(1)
    found = estimated_propensities(log)
    assert found.untried == (3,)
    assert not found.probabilities[:, 3].any()


def test_nobody_is_asked_of_a_model_that_saw_them() -> None:
    # One contact does what nobody else does: a model without it gives that next to no chance.
    log, _ = drawn(2, n=900)
    mine = log.cluster == 7
    odd = replace(log, action=np.where(mine, 3, log.action), mask=log.mask | mine[:, None])
    found = estimated_propensities(odd)
    assert 0.0 < found.probabilities[mine, 3].max() < 0.05


def test_a_step_in_which_everybody_got_the_same_is_fixed_and_stays_near_certain() -> None:
    log, _ = drawn(3)
    rng = np.random.default_rng(4)
    drip = log.step == 2
    action = np.where(drip & log.mask[:, 2], np.where(rng.random(log.action.size) < 0.99, 2, 0),
                      np.where(drip, 0, np.where(log.action == 2, 0, log.action)))  # fmt: skip
    found = estimated_propensities(replace(log, action=action))
    (one,) = found.fixed
    assert (one.step, one.action) == (2, 2)
    here = drip & log.mask[:, 2]
    assert one.share == pytest.approx((action[here] == 2).mean())
    assert found.probabilities[here, 2].min() > 0.97
    assert found.probabilities[here & (action == 0), 0].max() < 0.03  # no floor


def test_a_fixed_step_is_found_where_few_could_be_mailed_and_where_most_are() -> None:
    """What a programme does most may be a send; and a fixed bin may have many who cannot get it."""
    log, _ = drawn(6)
    rng = np.random.default_rng(7)
    drip = log.step == 2
    mask = log.mask.copy()
    mask[drip, 2] &= rng.random(int(drip.sum())) < 0.3  # fewer than those who wait
    action = np.where(drip, np.where(mask[:, 2], 2, 0), np.where(log.action == 2, 0, log.action))
    (one,) = estimated_propensities(replace(log, mask=mask, action=action)).fixed
    assert (one.step, one.action, one.share) == (2, 2, 1.0)
    daily = np.where(log.mask[:, 2], 2, 0)
    assert (daily == 2).mean() > 0.5
    found = estimated_propensities(replace(log, action=daily))
    assert [(one.step, one.action) for one in found.fixed] == [(0, 2), (1, 2), (2, 2)]


def test_a_bin_in_which_nobody_is_mailed_is_no_fixed_send() -> None:
    log, _ = drawn(8)
    action = np.where(log.step == 1, 0, np.where(log.mask[:, 1], 1, log.action))
    found = estimated_propensities(replace(log, action=action))
    assert 1 not in [one.step for one in found.fixed]
    moved = replace(log, action=(action + 1) % 4, mask=np.roll(log.mask, 1, axis=1), wait=1)
    assert [one.step for one in estimated_propensities(moved).fixed] == [
        one.step for one in found.fixed
    ]


def test_chances_of_a_programme_without_any_chance_are_one_or_nothing() -> None:
    log, _ = drawn(5)
    action = np.where(log.mask[:, 2], 2, 0)
    found = estimated_propensities(replace(log, action=action))
    assert found.probabilities[np.arange(action.size), action].min() > 0.97
    assert found.certain > 0.95


def test_too_few_contacts_are_refused() -> None:
    log, _ = drawn(6)
    with pytest.raises(FitError, match="at least 5 contacts with a choice, got 2"):
        estimated_propensities(replace(log, cluster=log.cluster % 2))


def test_a_programme_without_a_choice_is_refused() -> None:
    log, _ = drawn(7)
    only = np.zeros_like(log.mask)
    only[np.arange(log.action.size), log.action] = True
    with pytest.raises(FitError, match="no decision of the programme had a choice"):
        estimated_propensities(replace(log, mask=only))
