"""Ridge regression from sums: equal to the normal equations, and the penalty that predicts best."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import linalg

from nurture_rl.errors import FitError
from nurture_rl.ope.log import FloatArray
from nurture_rl.ope.ridge import RidgeSums, best_penalty, penalised_factor, pooled, require_folds


def part(seed: int, rows: int, noise: float = 1.0) -> RidgeSums:
    phi, y = data(seed, rows, noise)
    return RidgeSums(phi.T @ phi, y @ phi, float(y @ y), rows)


def data(seed: int, rows: int, noise: float) -> tuple[FloatArray, FloatArray]:
    rng = np.random.default_rng(seed)
    phi = np.column_stack([np.ones(rows), rng.normal(size=(rows, 6))])
    return phi, 5.0 + phi[:, 1] + noise * rng.normal(size=rows)


def test_the_factor_is_that_of_the_penalised_normal_equations() -> None:
    own = part(0, 30)
    factor = penalised_factor(own, 0.2)
    penalty = np.diag([0.0, *[0.2 * 30] * 6])
    assert factor.T @ factor == pytest.approx(own.gram + penalty)
    assert np.tril(factor, -1) == pytest.approx(0.0)


def test_pooled_sums_leave_folds_out() -> None:
    parts = [part(seed, 10 + seed) for seed in range(4)]
    found = pooled(parts, (1, 3))
    assert found.rows == 10 + 12
    assert found.gram == pytest.approx(parts[0].gram + parts[2].gram)
    assert found.cross == pytest.approx(parts[0].cross + parts[2].cross)
    assert found.square == pytest.approx(parts[0].square + parts[2].square)


@pytest.mark.parametrize("held_out", [0, 2])
def test_the_penalty_is_that_of_least_squared_error_on_the_next_fold(held_out: int) -> None:
    folds = [data(seed, 12, 4.0) for seed in range(3)]
    parts = [part(seed, 12, 4.0) for seed in range(3)]
    penalties = (1e-6, 0.1, 0.5, 1.0, 3.0, 100.0)
    other = (held_out + 1) % 3
    training = parts[3 - held_out - other]
    phi, y = folds[other]
    losses = []
    for penalty in penalties:
        theta = linalg.solve(
            training.gram + np.diag([0.0, *[penalty * 12] * 6]), training.cross, assume_a="pos"
        )
        losses.append(((y - phi @ theta) ** 2).sum())
    assert best_penalty(parts, held_out, penalties) == penalties[int(np.argmin(losses))]


def test_one_penalty_leaves_no_choice() -> None:
    assert best_penalty([part(0, 9)], 0, (7.0,)) == 7.0


@pytest.mark.parametrize(
    ("folds", "penalties", "contacts", "said"),
    [
        (2, (1.0,), 9, "at least 3 folds and positive penalties, got 2"),
        (3, (), 9, "positive penalties"),
        (3, (1.0, 0.0), 9, "positive penalties"),
        (3, (1.0,), 2, "at least 3 contacts, got 2"),
    ],
)
def test_too_little_to_choose_a_penalty_on_is_refused(
    folds: int, penalties: tuple[float, ...], contacts: int, said: str
) -> None:
    with pytest.raises(FitError, match=said):
        require_folds(folds, penalties, contacts)


def test_three_of_each_are_enough() -> None:
    require_folds(3, (1e-6, 1.0), 3)


def test_a_ridge_too_small_for_its_sums_is_passed_over() -> None:
    """Sums in which rounding left a square below 0, by more than a small ridge adds."""
    parts = [part(seed, 40) for seed in range(4)]
    worn = [replace(one, gram=one.gram - np.diag([0.0, 1e3, *[0.0] * 5])) for one in parts]
    with pytest.raises(FitError, match="sums over 40 rows cannot be solved for a ridge of 1e-06"):
        penalised_factor(worn[0], 1e-6)
    assert best_penalty(worn, 0, (1e-6, 1e3)) == 1e3
    with pytest.raises(FitError, match="cannot be solved for a ridge of 1e-07"):
        best_penalty(worn, 0, (1e-6, 1e-7))


def test_sums_beyond_floating_point_are_refused() -> None:
    own = part(0, 30)
    with pytest.raises(FitError, match="stay closer to the logging policy"):
        penalised_factor(RidgeSums(own.gram * np.inf, own.cross, own.square, 30), 0.1)
