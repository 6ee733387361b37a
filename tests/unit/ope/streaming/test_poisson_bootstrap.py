"""Poisson resamples: their counts, their spread, and that parts of a log draw the same ones."""

from __future__ import annotations

import numpy as np
import pytest

from nurture_rl.errors import ShapeError
from nurture_rl.ope.bounds.bootstrap import BootstrapConfig
from nurture_rl.ope.estimators import ips, snips
from nurture_rl.ope.streaming.accumulate import moments_of
from nurture_rl.ope.streaming.decision_columns import rows_of_log
from nurture_rl.ope.streaming.moments import MomentsConfig, merged
from nurture_rl.ope.streaming.poisson_bootstrap import bootstrap_values, percentile_interval
from tests.unit.ope.streaming.makers import SMALL, by_bucket, decided, some_rows

# Hashes wrap around; where loops run uncompiled, the interpreter warns of it.
pytestmark = pytest.mark.filterwarnings("ignore:(overflow|invalid value) encountered in scalar")

CONFIG = MomentsConfig(n_buckets=256, clips=(np.inf, 1.0), taus=(1.0,), lams=(1.0,))


def test_resampled_values_spread_as_the_clustered_error_says() -> None:
    log, target, model = decided(0, 2000, contacts=1000)
    taken = target[np.arange(2000), log.action]
    moments = moments_of(rows_of_log(log, taken, model), CONFIG)
    found = bootstrap_values(moments, BootstrapConfig(2000, seed=4))
    own = by_bucket(log, 256)
    for values, expected in ((found.ips, ips(own, taken)), (found.snips, snips(own, taken))):
        # A deviation of 2000 draws is known to 1.6 %; Poisson buckets add as much again.
        assert values.std() == pytest.approx(expected.stderr, rel=0.08)
        assert abs(values.mean() - expected.value) < 0.2 * expected.stderr
    assert found.clipped_ips.shape == (2000, 2)
    assert found.clipped_ips[:, 0] == pytest.approx(found.ips)


def test_parts_of_a_log_draw_the_same_resample() -> None:
    rows = some_rows(1, 120)
    whole = moments_of(rows, SMALL)
    parts = merged(*(moments_of(rows.take(np.arange(k, 120, 3)), SMALL) for k in range(3)))
    for name in ("ips", "dr", "sndr", "dros"):
        first, second = (bootstrap_values(one, BootstrapConfig(20, 5)) for one in (whole, parts))
        assert getattr(first, name) == pytest.approx(getattr(second, name))


def test_percentiles_by_hand() -> None:
    found = percentile_interval(np.arange(101.0), 0.9)
    assert (found.lower, found.upper) == pytest.approx((5.0, 95.0))
    assert found.method == "poisson-percentile"


@pytest.mark.parametrize(("n", "level"), [(30, 0.95), (100, 0.0), (100, 1.0)])
def test_tails_without_resamples_are_refused(n: int, level: float) -> None:
    with pytest.raises(ShapeError, match="two resamples beyond it"):
        percentile_interval(np.arange(float(n)), level)


def test_two_resamples_in_the_tails_are_enough() -> None:
    assert percentile_interval(np.arange(8.0), 0.75).level == 0.75
