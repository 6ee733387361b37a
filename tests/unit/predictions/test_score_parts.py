"""Parts of groups sum to the chance, and each is what its group adds."""

from __future__ import annotations

import numpy as np
import pytest

from nurture_rl.predictions.score_parts import BASE, group_parts

COLUMNS = ("a", "b", "c")
GROUPS = {"fit": ("a",), "intent": ("b", "c")}


def test_parts_sum_to_the_chance() -> None:
    z = np.random.default_rng(0).normal(size=(50, 3))

    def chance(x: np.ndarray) -> np.ndarray:
        return np.asarray(1.0 - np.exp(-0.1 * np.exp(x @ np.array([0.5, -1.0, 0.3]))))

    parts = group_parts(chance, z, COLUMNS, GROUPS)
    assert np.allclose(sum(parts.values()), chance(z), atol=1e-12)
    assert np.allclose(parts[BASE], 1.0 - np.exp(-0.1))


def test_parts_match_a_hand_calculation() -> None:
    # v({}) = 1, v(fit) = 2, v(intent) = 5, v(both) = 10: fit adds (1 + 5) / 2, intent (4 + 8) / 2
    def value(x: np.ndarray) -> np.ndarray:
        return np.asarray((1.0 + x[:, 0]) * (1.0 + x[:, 1] + x[:, 2]))

    parts = group_parts(value, np.array([[1.0, 3.0, 1.0]]), COLUMNS, GROUPS)
    assert [float(parts[name][0]) for name in (BASE, "fit", "intent")] == pytest.approx([1, 3, 6])


def test_a_group_that_says_nothing_adds_nothing() -> None:
    z = np.random.default_rng(1).normal(size=(20, 3))
    parts = group_parts(lambda x: np.exp(x[:, 0]), z, COLUMNS, GROUPS)
    assert np.abs(parts["intent"]).max() == 0.0
