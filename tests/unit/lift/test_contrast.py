"""The difference of two arms, against hand calculations, limits and known truth."""

from __future__ import annotations

import numpy as np
import pytest

from nurture_rl.errors import ShapeError
from nurture_rl.lift.contrast import contrast


def test_difference_of_means_matches_a_hand_calculation() -> None:
    # 20 times: treated 1, 3, mean 2, squares 1; usual 0, 1, 2, mean 1, squares 2 / 3
    treated = np.tile([True, True, False, False, False], 20)
    found = contrast(treated, np.tile([1.0, 3.0, 0.0, 1.0, 2.0], 20), np.ones(100))
    assert (found.treated, found.usual, found.difference) == (2.0, 1.0, 1.0)
    assert found.stderr == pytest.approx(np.sqrt(1.0 / 39 + 2.0 / 3 / 59))
    assert found.influence.sum() == pytest.approx(0.0)


def test_an_arm_with_few_events_varies_as_both_together() -> None:
    # 3 events of 100 against none: the pooled share is 0.015, and 3 of 100 vary more than that
    treated = np.arange(200) < 100
    found = contrast(treated, (np.arange(200) < 3).astype(float), np.ones(200))
    assert found.stderr**2 == pytest.approx(0.03 * 0.97 / 99 + 0.015 * 0.985 / 100)


def test_an_adjusted_arm_without_events_is_not_known_exactly_either() -> None:
    known = np.random.default_rng(5).normal(size=(200, 1))
    treated, amount = np.arange(200) < 100, (np.arange(200) >= 170).astype(float)
    found = contrast(treated, amount, np.ones(200), known)
    alone = 0.3 * 0.7 / 100  # of the arm with 30 events; the covariate foretells next to nothing
    assert found.stderr**2 > alone + 0.8 * 0.15 * 0.85 / 100


def test_an_arm_in_which_nearly_everybody_has_an_event_varies_as_both_together() -> None:
    # 100 of 100 against 80 of 100: the first is not known exactly, for shares of one are none
    treated, amount = np.arange(200) < 100, (np.arange(200) < 180).astype(float)
    found = contrast(treated, amount, np.ones(200))
    assert found.stderr**2 == pytest.approx(0.2 * 0.8 / 99 + 0.1 * 0.9 / 100)


@pytest.mark.parametrize("everybody", [0.0, 1.0])
def test_where_no_unit_differs_from_another_nothing_is_known(everybody: float) -> None:
    found = contrast(np.arange(200) < 100, np.full(200, everybody), np.ones(200))
    assert found.difference == 0.0
    assert found.stderr == np.inf


def test_accounts_weigh_by_their_contacts() -> None:
    # two accounts an arm: (2 of 4, 1 of 1) is 3 / 5, not the mean of 0.5 and 1
    treated = np.array([True, True, False, False])
    found = contrast(treated, np.array([2.0, 1.0, 0.0, 1.0]), np.array([4.0, 1.0, 2.0, 2.0]))
    assert found.treated == pytest.approx(0.6)
    assert found.usual == pytest.approx(0.25)


def test_a_covariate_that_explains_everything_leaves_no_error() -> None:
    rng = np.random.default_rng(0)
    known = rng.normal(size=(200, 1))
    treated = rng.random(200) < 0.5
    found = contrast(treated, 3.0 * known[:, 0] + 2.0 * treated, np.ones(200), known)
    assert found.difference == pytest.approx(2.0)
    assert found.stderr == pytest.approx(0.0, abs=1e-9)
    assert found.explained == pytest.approx(1.0)


def test_adjustment_equals_the_interacted_regression() -> None:
    rng = np.random.default_rng(1)
    known = rng.normal(size=(300, 2))
    treated = rng.random(300) < 0.4
    amount = rng.poisson(np.exp(0.3 * known[:, 0] + 0.2 * treated)).astype(float)
    centred = known - known.mean(axis=0)
    design = np.column_stack([np.ones(300), treated, centred, centred * treated[:, None]])
    slope = np.linalg.lstsq(design, amount, rcond=None)[0]
    assert contrast(treated, amount, np.ones(300), known).difference == pytest.approx(slope[1])


def test_too_many_covariates_are_left_out() -> None:
    rng = np.random.default_rng(2)
    treated = np.arange(40) % 2 == 0
    amount = rng.normal(size=40)
    plain = contrast(treated, amount, np.ones(40))
    found = contrast(treated, amount, np.ones(40), rng.normal(size=(40, 2)))
    assert found.difference == plain.difference
    assert found.explained == 0.0


@pytest.mark.parametrize("clustered", [False, True])
def test_intervals_read_once_cover_the_truth(clustered: bool) -> None:
    """95 % intervals of 400 experiments with skewed counts, covariates and accounts."""
    rng = np.random.default_rng(3)
    covered = 0
    for _ in range(400):
        treated = rng.random(240) < 0.5
        per = rng.integers(1, 5, 240).astype(float) if clustered else np.ones(240)
        known = rng.normal(size=(240, 3))
        taste = rng.gamma(2.0, 0.5, 240) * np.exp(0.3 * known[:, 0] - 0.045)
        amount = rng.poisson(per * taste * (1.0 + 0.3 * treated)).astype(float)
        found = contrast(treated, amount, per, known)
        covered += abs(found.difference - 0.3) <= 1.96 * found.stderr
    assert 0.92 <= covered / 400 <= 0.98


def test_an_error_that_takes_contacts_for_units_would_be_too_small() -> None:
    """Colleagues who act alike: dealing accounts leaves fewer units than contacts."""
    rng = np.random.default_rng(4)
    account = np.repeat(rng.normal(size=100), 10)
    treated = np.repeat(np.arange(100) % 2 == 0, 10)
    alone = contrast(treated, account, np.ones(1000))
    together = contrast(treated[::10], account.reshape(100, 10).sum(axis=1), np.full(100, 10.0))
    assert together.difference == pytest.approx(alone.difference)
    assert together.stderr > 2.5 * alone.stderr


def test_an_arm_without_units_is_refused() -> None:
    with pytest.raises(ShapeError, match="at least 2 units in each arm"):
        contrast(np.array([True, False, False]), np.ones(3), np.ones(3))
    with pytest.raises(ShapeError, match="expected 3 units in every array"):
        contrast(np.array([True, False, False]), np.ones(2), np.ones(3))
