"""What learners are given is checked once, where it comes in."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from nurture_envs.actions import ActionCatalog
from nurture_rl.errors import ActionError, FitError, LogError, ShapeError
from nurture_rl.learned.training_log import TrainingLog
from tests.unit.policies.planted_journeys import INBOUND

CATALOG = ActionCatalog.of(INBOUND)
A = len(CATALOG)


def log(**changed: Any) -> TrainingLog:
    n, rng = 20, np.random.default_rng(17)
    columns: dict[str, Any] = {
        "catalog": CATALOG,
        "columns": ("x", "y", "z"),
        "features": rng.normal(size=(n, 3)).astype(np.float32),
        "mask": np.ones((n, A), bool),
        "action": rng.integers(0, A, n),
        "reward": rng.normal(size=n),
        "returns": rng.normal(size=n),
        "propensity": np.full(n, np.nan),
        "episode": np.arange(n) // 2,
        "step": np.arange(n) % 2,
        "cluster": 7 * (np.arange(n) // 4),
        "discount": 0.9,
    }
    return TrainingLog(**{**columns, **changed})


def test_rows_are_picked_with_all_their_columns() -> None:
    whole = log()
    some = whole.take(np.array([3, 5, 6]))
    assert some.action.tolist() == whole.action[[3, 5, 6]].tolist()
    assert some.features[1].tolist() == whole.features[5].tolist()
    assert (some.discount, some.columns) == (0.9, ("x", "y", "z"))


def test_clusters_are_numbered_from_0() -> None:
    assert log().code.tolist() == (np.arange(20) // 4).tolist()


def test_a_row_with_one_legal_action_has_no_choice() -> None:
    whole = log()
    mask = whole.mask.copy()
    mask[4] = np.arange(A) == whole.action[4]
    assert replace(whole, mask=mask).choice.tolist() == [i != 4 for i in range(20)]


def test_a_constant_column_has_scale_1() -> None:
    features = log().features.copy()
    features[:, 1] = 0.1
    mean, scale = log(features=features).moments()
    assert mean[0] == pytest.approx(features[:, 0].mean())
    assert scale[0] == pytest.approx(features[:, 0].std())
    assert scale[1] == 1.0


def test_rows_that_cannot_be_learned_from_are_refused() -> None:
    good = log()
    mask = good.mask.copy()
    mask[7, good.action[7]] = False
    with pytest.raises(ActionError, match="row 7 took action"):
        log(mask=mask)
    with pytest.raises(ActionError, match="row 3 took action 14, expected 0 to 13"):
        log(action=np.where(np.arange(20) == 3, 14, good.action))
    for name in ("returns", "reward"):
        with pytest.raises(FitError, match=r"row 5 .* not finite"):
            log(**{name: np.where(np.arange(20) == 5, np.nan, 1.0)})
    with pytest.raises(FitError, match=r"row 0 .* not finite"):
        log(features=np.full((20, 3), np.inf, np.float32))
    with pytest.raises(FitError, match="one legal action only"):
        log(mask=np.eye(A, dtype=bool)[good.action])
    with pytest.raises(FitError, match="got none"):
        good.take(np.zeros(20, bool))


def test_rows_of_one_episode_stand_together_in_order() -> None:
    good = log()
    with pytest.raises(LogError, match="next to each other"):
        log(episode=np.roll(good.episode, 1))
    for later in (1, 0):
        step = good.step.copy()
        step[6:8] = (later, 0)
        with pytest.raises(LogError, match=rf"row 7 has step 0 after step {later} of its own"):
            log(step=step)
    falling = np.where(good.step == 0, 1, 0).astype(np.uint8)
    with pytest.raises(LogError, match="row 1 has step 0 after step 1"):
        log(step=falling)
    assert log(episode=good.episode[::-1].copy()).episode[0] == 9  # in any order of episodes


@pytest.mark.parametrize("name", ["action", "episode", "step", "cluster"])
@pytest.mark.parametrize("value", [1.0, np.nan])
def test_counts_are_integers(name: str, value: float) -> None:
    with pytest.raises(ShapeError, match=f"expected {name} of integers, got float64"):
        log(**{name: np.full(20, value)})


@pytest.mark.parametrize("discount", [-0.1, 1.1, np.nan])
def test_a_discount_lies_between_0_and_1(discount: float) -> None:
    with pytest.raises(FitError, match=r"discount in \[0, 1\]"):
        log(discount=discount)


@pytest.mark.parametrize("wrong", [0.0, -0.5, 1.01, np.inf])
def test_a_propensity_is_a_probability_or_unknown(wrong: float) -> None:
    propensity = np.full(20, np.nan)
    propensity[3:] = 1.0
    assert log(propensity=propensity).propensity[3] == 1.0
    propensity[4] = wrong
    with pytest.raises(FitError, match="row 4 has propensity"):
        log(propensity=propensity)


@pytest.mark.parametrize("name", ["cluster", "returns", "propensity", "step"])
def test_columns_of_another_length_are_refused(name: str) -> None:
    with pytest.raises(ShapeError, match=rf"expected {name} \[20\], one per row, got \(19,\)"):
        log(**{name: np.zeros(19)})


def test_features_of_other_columns_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"expected features \[20, 2\]"):
        log(columns=("x", "y"))
