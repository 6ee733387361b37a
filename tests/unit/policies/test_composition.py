"""Mixtures, the trust region and the floor, by hand and over random distributions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nurture_rl.policies.composition import (
    Floor,
    Mixture,
    Region,
    TrustRegion,
    capped,
    tilted,
    with_floor,
)
from nurture_rl.policies.policy import (
    BoolArray,
    FeatureArray,
    FloatArray,
    PolicyError,
    Spec,
    check_probabilities,
    normalised,
)


@dataclass(frozen=True)
class Table:
    """Says the same rows whatever it is asked."""

    rows: tuple[tuple[float, ...], ...]

    def action_probabilities(self, features: FeatureArray, mask: BoolArray) -> FloatArray:
        """The rows, [n, a]."""
        return np.array(self.rows)

    def spec(self) -> Spec:
        """A name for messages."""
        return {"kind": "table"}


X = np.zeros((1, 1), np.float32)
OPEN = np.ones((1, 3), np.bool_)


def test_a_mixture_weighs_both_propensities_by_hand() -> None:
    mixture = Mixture(Table(((1.0, 0.0, 0.0),)), Table(((0.2, 0.3, 0.5),)), share=0.1)
    # 0.9 * 1 + 0.1 * 0.2, 0.1 * 0.3, 0.1 * 0.5
    assert mixture.action_probabilities(X, OPEN)[0] == pytest.approx([0.92, 0.03, 0.05])


def test_mixtures_of_no_share_and_of_all_are_their_parts() -> None:
    first, second = Table(((0.7, 0.2, 0.1),)), Table(((0.2, 0.3, 0.5),))
    assert Mixture(first, second, 0.0).action_probabilities(X, OPEN)[0].tolist() == [0.7, 0.2, 0.1]
    assert Mixture(first, second, 1.0).action_probabilities(X, OPEN)[0].tolist() == [0.2, 0.3, 0.5]


def test_a_share_outside_the_unit_interval_is_refused() -> None:
    with pytest.raises(PolicyError, match=r"share must lie in \[0, 1\], got 1\.2"):
        Mixture(Table(()), Table(()), 1.2)


def test_a_faulty_part_is_not_repaired_on_the_way() -> None:
    mask = np.array([[True, True, False]])
    fault = Table(((0.5, 0.25, 0.25),))
    rows = Mixture(fault, Table(((1.0, 0.0, 0.0),)), 0.5).action_probabilities(X, mask)
    assert rows[0, 2] == 0.125


def test_the_trust_region_cuts_and_the_next_choices_take_over_by_hand() -> None:
    wanted, anchor = np.array([[0.8, 0.15, 0.05]]), np.array([[0.2, 0.3, 0.5]])
    # limit (0.4, 0.6, 1.0): 0.6 is left for the others in their own proportions 3 : 1
    inside = capped(wanted, anchor, 2.0)
    assert inside[0] == pytest.approx([0.4, 0.45, 0.15])
    policy = TrustRegion(Table(((0.8, 0.15, 0.05),)), Table(((0.2, 0.3, 0.5),)), 2.0, explore=0.1)
    expected = 0.9 * inside[0] + 0.1 * anchor[0]
    assert policy.action_probabilities(X, OPEN)[0] == pytest.approx(expected)


def test_an_action_that_the_next_round_pushes_to_its_limit_stays_there() -> None:
    # 0.5 is cut off action 0; action 1 would get 0.9 of it and stops at its limit 0.2.
    inside = capped(np.array([[0.9, 0.09, 0.01]]), np.array([[0.2, 0.1, 0.7]]), 2.0)
    assert inside[0] == pytest.approx([0.4, 0.2, 0.4])


def test_where_all_that_is_wanted_is_at_its_limit_the_headroom_is_shared() -> None:
    # limit (0.4, 0.6, 1.0); 0.6 is left for actions that nobody wants, in shares of 0.6 : 1.0
    inside = capped(np.array([[1.0, 0.0, 0.0]]), np.array([[0.2, 0.3, 0.5]]), 2.0)
    assert inside[0] == pytest.approx([0.4, 0.225, 0.375])


def test_wishes_too_small_to_be_divided_by_get_no_more_than_is_left() -> None:
    inside = capped(np.array([[1.0, 1e-310, 0.0]]), np.array([[0.1, 0.9, 0.0]]), 2.0)
    assert inside[0] == pytest.approx([0.2, 0.8, 0.0])


@pytest.mark.parametrize("ratio", [0.9, np.inf, np.nan])
def test_a_region_that_is_none_is_refused(ratio: float) -> None:
    with pytest.raises(PolicyError, match="max_ratio must be >= 1 and finite"):
        Region(Table(()), ratio, 0.0)


def test_the_trust_region_is_nearest_in_divergence() -> None:
    rng = np.random.default_rng(3)
    wanted, anchor = rng.dirichlet(np.ones(5)), rng.dirichlet(np.ones(5))
    inside = capped(wanted[None], anchor[None], 1.5)[0]
    nearest = float((inside * np.log(inside / wanted)).sum())
    others = rng.dirichlet(np.ones(5), 200_000)
    others = others[(others <= 1.5 * anchor).all(axis=1)]
    assert len(others) > 20
    assert nearest <= float((others * np.log(others / wanted)).sum(axis=1).min())


def test_a_policy_inside_the_trust_region_is_left_alone() -> None:
    wanted, anchor = np.array([[0.3, 0.3, 0.4]]), np.array([[0.2, 0.3, 0.5]])
    assert capped(wanted, anchor, 2.0)[0] == pytest.approx(wanted[0], abs=1e-15)


def test_a_trust_region_of_ratio_one_is_the_anchor() -> None:
    anchor = np.array([[0.2, 0.3, 0.5]])
    assert capped(np.array([[1.0, 0.0, 0.0]]), anchor, 1.0)[0] == pytest.approx(anchor[0])


def test_a_forced_row_stays_forced() -> None:
    forced = Table(((0.0, 1.0, 0.0),))
    rows = TrustRegion(forced, forced, 3.0, 0.2).action_probabilities(X, OPEN)
    assert rows.tolist() == [[0.0, 1.0, 0.0]]


def test_a_region_goes_around_any_policy() -> None:
    policy, anchor = Table(((0.8, 0.15, 0.05),)), Table(((0.2, 0.3, 0.5),))
    assert Region(anchor, 2.0, 0.1).around(policy) == TrustRegion(policy, anchor, 2.0, 0.1)


def test_a_trust_region_below_ratio_one_is_refused() -> None:
    with pytest.raises(PolicyError, match="max_ratio must be >= 1 and finite"):
        TrustRegion(Table(()), Table(()), 0.9, 0.0)


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    ratio=st.floats(1.0, 50.0),
    explore=st.floats(0.0, 1.0),
    sharpness=st.floats(0.1, 30.0),
)
def test_the_trust_region_keeps_ratio_support_mask_and_sum(
    seed: int, ratio: float, explore: float, sharpness: float
) -> None:
    rng = np.random.default_rng(seed)
    mask = rng.random((6, 5)) < 0.7
    mask[:, 0] = True
    tried = mask & (rng.random((6, 5)) < 0.7)  # what the anchor ever does
    tried[:, 0] = True
    wanted = normalised(rng.exponential(size=(6, 5)) ** sharpness + 1e-12, mask)
    anchor = normalised(rng.exponential(size=(6, 5)) + 1e-6, tried)
    both = Table(tuple(map(tuple, wanted))), Table(tuple(map(tuple, anchor)))
    rows = TrustRegion(*both, ratio, explore).action_probabilities(
        np.zeros((6, 1), np.float32), mask
    )
    check_probabilities(rows, mask)
    assert (rows[~tried] == 0.0).all()
    assert (rows <= ratio * anchor * (1 + 1e-12)).all()
    assert (rows >= explore * anchor * (1 - 1e-12)).all()


def test_without_the_cap_the_ratio_is_exceeded() -> None:  # negative control
    wanted, anchor = np.array([[0.9, 0.1, 0.0]]), np.array([[0.2, 0.3, 0.5]])
    assert (wanted / anchor).max() > 2.0 >= (capped(wanted, anchor, 2.0) / anchor).max() - 1e-12


def test_the_floor_lifts_every_legal_action_by_hand() -> None:
    mask = np.array([[True, True, False]])
    rows = Floor(Table(((1.0, 0.0, 0.0),)), 0.1).action_probabilities(X, mask)
    # (1 - 2 * 0.1) * 1 + 0.1, 0.1
    assert rows[0] == pytest.approx([0.9, 0.1, 0.0])
    assert rows[0, 2] == 0.0


def test_the_floor_leaves_a_forced_row_alone() -> None:
    mask = np.array([[False, True, False]])
    assert with_floor(np.array([[0.0, 1.0, 0.0]]), mask, 0.2).tolist() == [[0.0, 1.0, 0.0]]


def test_each_row_counts_its_own_legal_actions() -> None:
    mask = np.array([[True, True, True], [True, False, False], [True, True, False]])
    rows = with_floor(np.tile([1.0, 0.0, 0.0], (3, 1)), mask, 0.2)
    assert rows == pytest.approx(np.array([[0.6, 0.2, 0.2], [1.0, 0.0, 0.0], [0.8, 0.2, 0.0]]))


def test_a_floor_of_no_rows_is_no_row_whatever_the_floor() -> None:
    assert with_floor(np.zeros((0, 3)), np.ones((0, 3), bool), 1.5).shape == (0, 3)


def test_a_floor_that_more_than_fills_a_row_is_refused() -> None:
    with pytest.raises(PolicyError, match=r"0\.4 on each of 3 legal .* at most 0\.333"):
        with_floor(np.full((1, 3), 1 / 3), OPEN, 0.4)


def test_a_tilted_region_multiplies_the_anchor_and_caps_it_by_hand() -> None:
    factors, anchor = np.array([[0.8, 0.1, 0.1]]), np.array([[0.2, 0.3, 0.5]])
    # products (0.16, 0.03, 0.05) of 0.24 in all
    assert tilted(factors, anchor)[0] == pytest.approx([2 / 3, 1 / 8, 5 / 24])
    # limit 0.4 on the first: 0.6 is left for the others in their proportions 3 : 5
    region = TrustRegion(Table(((0.8, 0.1, 0.1),)), Table(((0.2, 0.3, 0.5),)), 2.0, 0.1, tilt=True)
    inside = 0.9 * np.array([0.4, 0.225, 0.375]) + 0.1 * anchor[0]
    assert region.action_probabilities(X, OPEN)[0] == pytest.approx(inside)
    assert region.spec()["tilt"] is True
    assert "tilt" not in Region(Table(()), 2.0, 0.1).around(Table(())).spec()


def test_factors_that_are_alike_or_that_leave_nothing_keep_the_anchor() -> None:
    anchor = np.array([[0.0, 0.3, 0.7]])
    assert tilted(np.full((1, 3), 1 / 3), anchor)[0] == pytest.approx(anchor[0])
    assert tilted(np.array([[1.0, 0.0, 0.0]]), anchor)[0].tolist() == anchor[0].tolist()


@pytest.mark.parametrize("temperature", [0.3, 1.0, 5.0])
def test_nothing_inside_pays_more_for_its_distance_than_the_capped_tilt(temperature: float) -> None:
    rng = np.random.default_rng(4)
    values, anchor = rng.normal(size=(1, 4)), rng.dirichlet(np.ones(4), size=1)
    best = capped(tilted(np.exp(values / temperature), anchor), anchor, 2.0)
    others = rng.dirichlet(np.ones(4), size=4000)
    others = others[(others <= 2.0 * anchor).all(axis=1)]
    assert len(others) > 100

    def worth(table: FloatArray) -> FloatArray:
        gone = (table * np.log(np.maximum(table, 1e-300) / anchor)).sum(axis=1)
        return np.asarray((table * values).sum(axis=1) - temperature * gone)

    assert (worth(others) <= worth(best) + 1e-9).all()
