"""What learners are given is checked once, where it comes in."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from nurture_envs.actions import ActionCatalog
from nurture_rl.errors import ActionError, FitError, ShapeError
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


@pytest.mark.parametrize("name", ["cluster", "returns", "propensity", "step"])
def test_columns_of_another_length_are_refused(name: str) -> None:
    with pytest.raises(ShapeError, match=rf"expected {name} \[20\], one per row, got \(19,\)"):
        log(**{name: np.zeros(19)})


def test_features_of_other_columns_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"expected features \[20, 2\]"):
        log(columns=("x", "y"))
