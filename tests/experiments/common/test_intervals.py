"""An interval holds a truth on its own side, and a noisy truth more easily."""

from __future__ import annotations

from experiments.common.intervals import holds


def test_an_interval_holds_a_truth_on_its_own_side() -> None:
    assert holds(12.0, 11.0, 14.5, truth=14.0, stderr=0.0)  # 2 above, the end is 2.5 above
    assert not holds(12.0, 11.0, 13.9, truth=14.0, stderr=0.0)
    assert not holds(16.0, 14.1, 99.0, truth=14.0, stderr=0.0)
    assert holds(16.0, 14.0, 16.1, truth=14.0, stderr=0.0)


def test_a_noisy_truth_moves_the_end_out_in_quadrature() -> None:
    # Off by 2, reach 1.2: the truth's 1.96 s must be at least 1.6, so s at least 0.8163.
    assert not holds(12.0, 11.0, 13.2, truth=14.0, stderr=0.81)
    assert holds(12.0, 11.0, 13.2, truth=14.0, stderr=0.82)
