"""The compiled pass over two episodes, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from nurture_rl.ope.sequential.fused_loops import fill_returns


def test_two_episodes_by_hand() -> None:
    """Ratios 2, 1/2 with rewards 1, 4; then one decision of ratio 1/2 and reward 2, after a gap."""
    target = np.array([[0.5, 0.5], [0.25, 0.75], [0.75, 0.25]])
    q = np.array([[1.0, 5.0], [3.0, 2.0], [1.0, 4.0]])
    rows = (
        np.array([0, 0, 1]),
        np.array([0.25, 0.5, 0.5]),
        np.array([1.0, 4.0, 2.0]),
        np.array([3, 5, 4]),
    )
    out = np.empty((5, 2))
    fill_returns(target, q, rows, np.array([1.0, 0.5, 0.25]), np.array([0, 2, 3]), out)
    direct, whole, weighted, corrected, final = out
    # v: 3, 2.25, 1.75; the second decision comes two bins after the first.
    assert direct == pytest.approx([3.0, 1.75])
    assert final == pytest.approx([1.0, 0.5])
    assert whole == pytest.approx([1.0 * (1.0 + 0.25 * 4.0), 0.5 * 2.0])
    assert weighted == pytest.approx([2.0 * 1.0 + 0.25 * 1.0 * 4.0, 0.5 * 2.0])
    first = 3.0 + 2.0 * (1.0 - 1.0) + 0.25 * (2.0 * 2.25 + 1.0 * (4.0 - 3.0))
    assert corrected == pytest.approx([first, 1.75 + 0.5 * (2.0 - 4.0)])
