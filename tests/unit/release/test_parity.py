"""States that an exported policy is compared on, and when it is refused on them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nurture_envs.actions import ActionCatalog
from nurture_rl.errors import BundleError
from nurture_rl.policies.references import Random
from nurture_rl.release.parity import (
    States,
    normal_states,
    parity_data,
    random_states,
    require_parity,
)
from tests.unit.release.bundles import journey

CATALOG = ActionCatalog.of(journey())
A = len(CATALOG)
RNG = np.random.default_rng


def masks_are_of_all_kinds(states: States) -> bool:
    legal = np.delete(states.mask, CATALOG.wait, axis=1).mean(axis=1)
    return bool(states.mask[:, CATALOG.wait].all() and legal.std() > 0.25)


def test_normal_states_have_the_moments_of_the_training() -> None:
    mean, scale = np.array([0.0, 5.0, -3.0]), np.array([1.0, 0.1, 20.0])
    states = normal_states(mean, scale, (4000, A), CATALOG.wait, RNG(0))
    assert states.features.dtype == np.float32
    error = scale / np.sqrt(4000)
    assert (np.abs(states.features.mean(axis=0) - mean) < 4.0 * error).all()
    assert states.features.std(axis=0) == pytest.approx(scale, rel=0.05)
    assert masks_are_of_all_kinds(states)


def test_random_states_stay_around_the_contexts_given() -> None:
    given = np.stack([np.repeat([0.0, 100.0], 50), np.full(100, 7.0)], axis=1).astype(np.float32)
    states = random_states(given, CATALOG.wait, A, 4000, RNG(1))
    assert (states.features[:, 1] == 7.0).all()  # what never varies is not moved
    near = np.where(states.features[:, 0] > 50.0, 100.0, 0.0)
    # Noise of half the standard deviation of 50, cut where the halves meet.
    assert 15.0 < (states.features[:, 0] - near).std() < 25.0
    assert near.mean() == pytest.approx(50.0, abs=4.0)
    assert masks_are_of_all_kinds(states)


def stated(off: float = 0.0) -> dict[str, Any]:
    states = normal_states(np.zeros(2), np.ones(2), (5, A), CATALOG.wait, RNG(2))
    data = parity_data(Random(CATALOG, (("pause", 0.5), ("send", 0.5))), states)
    data["probabilities"][3][CATALOG.wait] += off
    return data


@pytest.mark.parametrize("off", [0.0, 9e-6, -9e-6])
def test_what_rounding_leaves_is_allowed(off: float) -> None:
    require_parity(Random(CATALOG, (("pause", 0.5), ("send", 0.5))), stated(off), "parity.json")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (stated(1.1e-5), "differ by 1.1e-05"),
        (stated(-1.1e-5), "differ by 1.1e-05"),
        (stated(float("nan")), "differ by nan"),
        ({**stated(), "probabilities": [[1.0]]}, r"expected probabilities \(5, 14\).*\(1, 1\)"),
        ({"features": [], "mask": []}, "expected features, mask and probabilities"),
    ],
)
def test_other_answers_are_refused(data: dict[str, Any], words: str) -> None:
    with pytest.raises(BundleError, match=words):
        require_parity(Random(CATALOG, (("pause", 0.5), ("send", 0.5))), data, "parity.json")
