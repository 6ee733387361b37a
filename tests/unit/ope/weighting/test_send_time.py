"""Kernel estimators of a chosen moment: by hand, at the window's ends, against a known curve."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nurture_rl.errors import LogError, OverlapError, PropensityError, ShapeError
from nurture_rl.ope.log import FloatArray
from nurture_rl.ope.weighting.send_time import (
    SendTimes,
    bandwidths,
    kernel_dr,
    kernel_ips,
    kernel_snips,
    kernel_weights,
    send_times,
    tuned_send_time,
)


def small() -> SendTimes:
    """Three moments of a day that is open from 8 to 20, each logged with density 1/12."""
    return send_times(
        time=[10.0, 11.0, 15.0],
        density=[1 / 12] * 3,
        reward=[2.0, 4.0, 100.0],
        contact=[5, 5, 9],
        window=(8.0, 20.0),
    )


def curve(rng: np.random.Generator, n: int) -> SendTimes:
    """Reward 1 + t^2 / 36 + noise, moments drawn with density (t + 6) / 144 on [0, 12]."""
    time = -6.0 + np.sqrt(36.0 + 288.0 * rng.random(n))
    return send_times(
        time=time,
        density=(time + 6.0) / 144.0,
        reward=1.0 + time**2 / 36.0 + rng.normal(size=n),
        contact=np.arange(n),
        window=(0.0, 12.0),
    )


def at(moment: float, n: int) -> FloatArray:
    return np.full(n, moment)


def test_weights_by_hand() -> None:
    # Distances 0, 1/2 and 5/2 bandwidths: kernel 3/4, 9/16, 0; times 12 / 2.
    assert kernel_weights(small(), at(10.0, 3), 2.0) == pytest.approx([4.5, 3.375, 0.0])


def test_values_by_hand() -> None:
    log, target = small(), at(10.0, 3)
    weighted = kernel_ips(log, target, 2.0)
    assert weighted.value == pytest.approx((4.5 * 2 + 3.375 * 4) / 3)
    # Contact 5 has 9 - 7.5 and 13.5 - 7.5, contact 9 has 0 - 7.5; over 3 decisions.
    assert weighted.influence == pytest.approx([2.5, -2.5])
    assert weighted.n_clusters == 2
    normalised = kernel_snips(log, target, 2.0)
    assert normalised.value == pytest.approx(22.5 / 7.875)
    assert normalised.ess == pytest.approx(7.875**2 / (4.5**2 + 3.375**2))
    assert normalised.influence == pytest.approx([0.0, 0.0])
    robust = kernel_dr(log, target, 2.0, np.array([1.0, 5.0, 7.0]), np.array([3.0, 1.0, 2.0]))
    assert robust.value == pytest.approx((6.0 + 4.5 * 1 - 3.375 * 1) / 3)


def test_the_snips_error_is_that_of_the_ratio() -> None:
    log = replace(small(), contact=np.array([1, 2, 3]))
    found = kernel_snips(log, at(10.0, 3), 2.0)
    expected = np.array([4.5 * (2 - found.value), 3.375 * (4 - found.value), 0.0]) / 7.875
    assert found.influence == pytest.approx(expected)


@pytest.mark.parametrize("moment", [8.0, 8.5, 14.0, 19.0, 20.0])
def test_weights_are_one_on_average_also_at_the_ends_of_the_window(moment: float) -> None:
    grid = np.linspace(8.0, 20.0, 24_001)
    log = send_times(
        time=grid,
        density=np.full(grid.size, 1 / 12),
        reward=grid,
        contact=np.arange(grid.size),
        window=(8.0, 20.0),
    )
    weights = kernel_weights(log, at(moment, grid.size), 2.0)
    assert weights.mean() == pytest.approx(1.0, abs=2e-4)
    # The mean moment under the kernel: the moment itself unless an end cuts the kernel.
    shift = {8.0: 0.75, 20.0: -0.75}.get(moment)
    if shift is not None:
        assert kernel_ips(log, at(moment, grid.size), 2.0).value == pytest.approx(
            moment + shift, abs=5e-3
        )


def test_a_known_curve_is_recovered_and_its_error_covers() -> None:
    rng, hits = np.random.default_rng(0), 0
    for _ in range(200):
        log = curve(rng, 800)
        found = kernel_snips(log, at(6.0, 800), 1.0)
        # Smoothing a parabola adds h^2/5 times half its curvature; the density tilts a little.
        hits += abs(found.value - (2.0 + 1 / 180)) < 1.96 * found.stderr
    assert 178 <= hits <= 200


def test_a_model_takes_the_bias_of_a_wide_bandwidth_away() -> None:
    log = curve(np.random.default_rng(1), 20_000)
    target, truth = at(6.0, 20_000), 2.0
    model, there = 1.0 + log.time**2 / 36.0, np.full(20_000, truth)
    wide = kernel_ips(log, target, 6.0)
    robust = kernel_dr(log, target, 6.0, model, there)
    assert abs(wide.value - truth) > 4 * wide.stderr
    assert abs(robust.value - truth) < 4 * robust.stderr
    assert robust.stderr < wide.stderr


def test_the_bandwidth_is_wide_where_the_curve_is_flat_and_narrow_where_it_is_not() -> None:
    log = curve(np.random.default_rng(2), 20_000)
    flat = replace(log, reward=np.random.default_rng(3).normal(size=20_000))
    steep = replace(log, reward=30.0 * np.exp(-((log.time - 6.0) ** 2)))
    target = at(6.0, 20_000)
    assert tuned_send_time(flat, target).parameter == 6.0
    assert tuned_send_time(steep, target).parameter < 2.0
    assert tuned_send_time(flat, target, (2.5,)).parameter == 2.5


def test_bandwidths_grow_to_half_the_window() -> None:
    found = bandwidths((8.0, 20.0))
    assert len(found) == 8
    assert found[-1] == 6.0
    assert found[-2] == pytest.approx(4.0)
    assert list(found) == sorted(found)


def test_no_moment_near_the_targets_is_refused() -> None:
    with pytest.raises(OverlapError, match="within 1 hours"):
        kernel_snips(small(), at(18.0, 3), 1.0)


@pytest.mark.parametrize(
    ("target", "bandwidth"),
    [(at(10.0, 2), 1.0), (at(7.9, 3), 1.0), (at(20.1, 3), 1.0), (at(10.0, 3), 0.0)],
)
def test_targets_outside_the_window_are_refused(target: FloatArray, bandwidth: float) -> None:
    with pytest.raises(ShapeError, match="3 target moments in"):
        kernel_weights(small(), target, bandwidth)


def test_the_ends_of_the_window_belong_to_it() -> None:
    ends = send_times(
        time=[8.0, 20.0], density=[0.1, 0.1], reward=[1, 2], contact=[0, 1], window=(8.0, 20.0)
    )
    assert kernel_weights(ends, np.array([8.0, 20.0]), 2.0) == pytest.approx([7.5, 7.5])


@pytest.mark.parametrize(
    ("changed", "error", "match"),
    [
        ({"time": [10.0, 21.0, 15.0]}, LogError, "1 moments"),
        ({"time": [7.0, 11.0, 15.0]}, LogError, "1 moments"),
        ({"reward": [np.nan, 1.0, 1.0]}, LogError, "1 rewards"),
        ({"density": [0.0, 1.0, 1.0]}, PropensityError, "first row 0 with 0"),
        ({"density": [1.0, np.nan, 1.0]}, PropensityError, "first row 1"),
        ({"density": [1.0, 1.0, np.inf]}, PropensityError, "first row 2"),
        ({"contact": [1, 2]}, ShapeError, "one length"),
        ({"window": (20.0, 8.0)}, ShapeError, "ends after it begins"),
        ({"time": [], "density": [], "reward": [], "contact": []}, LogError, "no decision"),
    ],
)
def test_a_log_that_cannot_be_used_is_refused(
    changed: dict[str, object], error: type[Exception], match: str
) -> None:
    given = {
        "time": [10.0, 11.0, 15.0],
        "density": [0.1, 0.1, 0.1],
        "reward": [1.0, 2.0, 3.0],
        "contact": [1, 2, 3],
        "window": (8.0, 20.0),
    }
    with pytest.raises(error, match=match):
        send_times(**(given | changed))  # type: ignore[arg-type]


def test_predictions_must_fit_the_log() -> None:
    with pytest.raises(ShapeError, match=r"predictions must be \[3\]"):
        kernel_dr(small(), at(10.0, 3), 2.0, np.ones(2), np.ones(3))
    with pytest.raises(ShapeError, match=r"predictions must be \[3\]"):
        kernel_dr(small(), at(10.0, 3), 2.0, np.ones(3), np.ones(2))
