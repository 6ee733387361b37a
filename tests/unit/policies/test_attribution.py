"""Parts of a score: by hand where it is linear or a product, and summing to it whatever it is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nurture_rl.policies.attribution import MOST_PLAYERS, attributed
from nurture_rl.policies.policy import FeatureArray, FloatArray

OWN = np.array([1.0, 2.0, 3.0, 5.0], np.float32)
REFERENCE = np.array([0.0, 2.0, 1.0, 1.0], np.float32)
GROUPS = [[0], [1], [2, 3]]  # the second is at its reference


def linear(x: FeatureArray) -> FloatArray:
    weights = np.array([[2.0, 0.0], [7.0, 1.0], [-1.0, 0.5], [0.25, 3.0]])
    return np.asarray(x.astype(np.float64) @ weights + 4.0)


def product(x: FeatureArray) -> FloatArray:
    wide = x.astype(np.float64)
    return np.asarray((wide[:, 0] * wide[:, 2])[:, None] + 1.0)


def network(x: FeatureArray) -> FloatArray:
    rng = np.random.default_rng(0)
    hidden = np.tanh(x.astype(np.float64) @ rng.normal(size=(x.shape[1], 16)))
    return np.asarray(hidden @ rng.normal(size=(16, 2)))


@pytest.mark.parametrize("is_linear", [True, False])
def test_the_parts_of_a_linear_score_are_weight_times_distance_by_either_way(
    is_linear: bool,
) -> None:
    found = attributed(linear, OWN, REFERENCE, GROUPS, is_linear)
    assert found.is_linear is is_linear
    assert found.groups == ((0,), (2,))
    # 2 (1 - 0); -1 (3 - 1) + 0.25 (5 - 1); and of the second score 0.5 (3 - 1) + 3 (5 - 1)
    assert found.contributions == pytest.approx(np.array([[2.0, 0.0], [-1.0, 13.0]]))
    assert found.residual == pytest.approx(np.zeros(2), abs=1e-12)


def test_two_features_that_act_together_share_what_they_make() -> None:
    found = attributed(product, OWN, REFERENCE, [[0], [2]], False)
    # f = 1 + x0 x2 goes from 1 to 4: x0 alone adds 1, x2 alone nothing, and after x0 twice as much.
    assert found.contributions[:, 0] == pytest.approx([2.0, 1.0])
    assert (found.base[0], found.value[0]) == (1.0, 4.0)


def test_a_score_that_is_wrongly_called_linear_is_split_as_what_it_is() -> None:
    found = attributed(product, OWN, REFERENCE, [[0], [2]], True)
    assert not found.is_linear
    assert found.contributions[:, 0] == pytest.approx([2.0, 1.0])


@pytest.mark.parametrize("n", [3, 25])
def test_the_parts_of_any_score_sum_to_it(n: int) -> None:
    rng = np.random.default_rng(n)
    own, reference = (rng.normal(size=n).astype(np.float32) for _ in range(2))
    found = attributed(network, own, reference, [[at] for at in range(n)], False)
    told: Any = network(np.stack([reference, own]))
    assert found.contributions.sum(axis=0) == pytest.approx(told[1] - told[0], abs=1e-12)
    assert np.abs(found.residual).max() < 1e-12
    assert len(found.groups) == min(n, MOST_PLAYERS)
    assert sorted(at for joined in found.groups for at in joined) == list(range(n))
    again = attributed(network, own, reference, [[at] for at in range(n)], False)
    assert np.array_equal(found.contributions, again.contributions)


def test_a_context_that_is_the_reference_has_no_parts() -> None:
    found = attributed(network, OWN, OWN, GROUPS, False)
    assert found.groups == ()
    assert found.contributions.shape == (0, 2)
    assert found.residual.tolist() == [0.0, 0.0]
