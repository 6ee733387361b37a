"""A trust region is as long as contacts that were not learned from can judge."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest

from nurture_rl.appraisal.estimation import EvaluationConfig, evaluate_policies
from nurture_rl.appraisal.region_choice import ChosenRegion, RegionSize, choose_region
from nurture_rl.errors import NurtureError, OverlapError
from nurture_rl.ope.log import EvaluationLog, FloatArray, evaluation_log
from nurture_rl.ope.targets import TargetPolicy
from nurture_rl.policies.composition import TrustRegion
from nurture_rl.policies.policy import BoolArray, FeatureArray, Spec

RATIOS = (1.5, 2.0, 3.0, 6.0)
CONFIG = EvaluationConfig()
_CELLS, _DECISIONS, _ACTIONS = 20, 4, 6


@dataclass(frozen=True)
class Alike:
    """Takes every action alike."""

    def action_probabilities(self, features: FeatureArray, mask: BoolArray) -> FloatArray:
        return np.full(mask.shape, 1.0 / mask.shape[1])

    def spec(self) -> Spec:
        return {"kind": "random"}


@dataclass(frozen=True)
class ByCell:
    """Takes one action in each cell of contacts."""

    best: tuple[int, ...]

    def action_probabilities(self, features: FeatureArray, mask: BoolArray) -> FloatArray:
        best = np.array(self.best)[features.argmax(axis=1)]
        return np.asarray(np.eye(mask.shape[1])[best], np.float64)

    def spec(self) -> Spec:
        return {"kind": "by_cell"}


PLANTED = tuple(cell % _ACTIONS for cell in range(_CELLS))


def shop(episodes: int, seed: int, gain: float) -> EvaluationLog:
    """Every action alike often; the planted one of a cell brings a gain beside the noise."""
    rng = np.random.default_rng(seed)
    n = episodes * _DECISIONS
    cell, action = rng.integers(_CELLS, size=n), rng.integers(_ACTIONS, size=n)
    return evaluation_log(
        features=np.eye(_CELLS)[cell],
        mask=np.ones((n, _ACTIONS)),
        action=action,
        propensity=np.full(n, 1.0 / _ACTIONS),
        logged_probabilities=np.full((n, _ACTIONS), 1.0 / _ACTIONS),
        reward=gain * (action == np.array(PLANTED)[cell]) + rng.normal(size=n),
        episode=np.repeat(np.arange(episodes), _DECISIONS),
        step=np.tile(np.arange(_DECISIONS), episodes),
        cluster=np.arange(episodes),
        terminal=np.tile(np.arange(_DECISIONS) == _DECISIONS - 1, episodes),
        action_factors=np.eye(_ACTIONS),
        discount=1.0,
        unit="EUR",
    )


def learned(log: EvaluationLog) -> ByCell:
    """The action of the highest mean reward in each cell of a log."""
    cell = log.features.argmax(axis=1)
    place = cell * _ACTIONS + log.action
    size = _CELLS * _ACTIONS
    total = np.bincount(place, weights=log.reward, minlength=size)
    mean = total / np.maximum(np.bincount(place, minlength=size), 1)
    return ByCell(tuple(mean.reshape(_CELLS, _ACTIONS).argmax(axis=1).tolist()))


def chosen(
    log: EvaluationLog,
    policy: ByCell,
    release_episodes: int | None = None,
    ratios: tuple[float, ...] = RATIOS,
) -> ChosenRegion:
    inside: dict[RegionSize, TargetPolicy] = {
        RegionSize(ratio): TrustRegion(policy, Alike(), ratio, 0.0) for ratio in ratios
    }
    then = release_episodes or log.n_episodes
    return choose_region(log, inside, None, "logged", then, np.random.default_rng(0), CONFIG)


def test_a_longer_log_carries_a_longer_region() -> None:
    found = [chosen(shop(n, 0, 1.0), ByCell(PLANTED)).size.max_ratio for n in (40, 400, 8_000)]
    assert found == sorted(found)
    assert found[0] == RATIOS[0]
    assert found[1] < found[2]


def bound(found: ChosenRegion) -> float:
    """The expected lower bound of the ratio that was taken."""
    return next(row.lower for row in found.regions if row.size.max_ratio == found.size.max_ratio)


def test_where_there_is_nothing_to_gain_the_region_stays_short_and_nothing_is_shown() -> None:
    found = [chosen(shop(300, 2 * k, 0.0), learned(shop(300, 2 * k + 1, 0.0))) for k in range(10)]
    assert np.mean([one.size.max_ratio for one in found]) < 2.0
    assert sum(bound(one) > 0.0 for one in found) <= 1


def test_contacts_that_were_learned_from_would_show_a_gain_where_there_is_none() -> None:
    logs = [shop(300, seed, 0.0) for seed in range(5)]
    seen = [chosen(log, learned(log)) for log in logs]
    assert sum(bound(one) > 0.0 for one in seen) >= 4
    assert max(one.size.max_ratio for one in seen) > RATIOS[0]


def test_what_cannot_be_carried_is_not_asked_nor_anything_longer() -> None:
    found = chosen(shop(400, 0, 1.0), ByCell(PLANTED))
    carried = [row.carried for row in found.regions]
    first = carried.index(False)
    assert 0 < first < len(RATIOS)
    assert all(np.isfinite(row.lower) for row in found.regions[:first])
    assert all(np.isnan(row.lower) for row in found.regions[first:])
    assert f"ratio {found.size.max_ratio:g}: of it most can be shown" in found.reason


def test_the_nearest_to_the_log_is_taken_where_none_can_be_carried() -> None:
    found = chosen(shop(40, 0, 1.0), ByCell(PLANTED))
    assert (found.size.max_ratio, found.regions[0].carried) == (1.5, False)
    assert found.reason.startswith(
        "ratio 1.5, the nearest to the log, for none can be judged: effective"
    )


def test_as_many_contacts_give_the_judges_own_bound_and_four_times_as_many_halve_it() -> None:
    log, policy = shop(900, 3, 1.0), ByCell(PLANTED)
    same, later = chosen(log, policy).regions[0], chosen(log, policy, 3600).regions[0]
    inside = {"asked": TrustRegion(policy, Alike(), 1.5, 0.0)}
    told = evaluate_policies(log, inside, "logged", np.random.default_rng(0), CONFIG)
    difference = told.policies["asked"].difference
    assert difference is not None
    assert (same.difference, same.lower) == (difference.value, difference.interval.lower)
    assert later.difference - later.lower == pytest.approx(0.5 * (same.difference - same.lower))
    assert later.ess == same.ess == told.policies["asked"].overlap.ess
    assert later.expected_ess == pytest.approx(4.0 * same.ess)


def test_the_order_of_the_ratios_does_not_matter() -> None:
    log = shop(400, 0, 1.0)
    assert repr(chosen(log, ByCell(PLANTED))) == repr(
        chosen(log, ByCell(PLANTED), ratios=RATIOS[::-1])
    )


def test_no_ratio_and_a_log_without_chance_are_refused() -> None:
    log = shop(40, 0, 1.0)
    with pytest.raises(NurtureError, match="trust regions of one size or more"):
        chosen(log, ByCell(PLANTED), ratios=())
    sure = replace(log, propensity=np.ones(log.n_rows), logged_probabilities=None)
    with pytest.raises(OverlapError):
        chosen(sure, ByCell(PLANTED))
