"""Estimates from sums equal those in memory, with buckets for contacts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nurture_rl.errors import LogError, OverlapError
from nurture_rl.ope.bounds.few import binomial_interval
from nurture_rl.ope.estimators import ValueEstimate, dm, dr, ips, snips
from nurture_rl.ope.log import EvaluationLog, FloatArray
from nurture_rl.ope.streaming.accumulate import moments_of
from nurture_rl.ope.streaming.decision_columns import rows_of_log
from nurture_rl.ope.streaming.estimates import (
    exact_streamed_interval,
    mean_weights,
    point_values,
    streamed_estimates,
)
from nurture_rl.ope.streaming.moments import no_moments
from nurture_rl.ope.value_model import ValuePredictions
from nurture_rl.ope.weighting.self_normalised import sndr
from nurture_rl.ope.weighting.shrinking import clipped_ips, dros, switch_dr
from nurture_rl.ope.weighting.tuning import tuned_clipped_ips, tuned_dros, tuned_switch_dr
from tests.unit.ope.log_makers import bandit_log
from tests.unit.ope.streaming.makers import SMALL, by_bucket, decided, some_rows

# Hashes wrap around; where loops run uncompiled, the interpreter warns of it.
pytestmark = pytest.mark.filterwarnings("ignore:(overflow|invalid value) encountered in scalar")


def require_equal(found: ValueEstimate, expected: ValueEstimate) -> None:
    assert found.value == pytest.approx(expected.value, rel=1e-9)
    assert found.stderr == pytest.approx(expected.stderr, rel=1e-9)
    assert found.influence == pytest.approx(expected.influence, rel=1e-9, abs=1e-12)
    assert found.ess == pytest.approx(expected.ess, rel=1e-9)
    assert (found.n_episodes, found.n_clusters) == (expected.n_episodes, expected.n_clusters)


def in_memory() -> tuple[EvaluationLog, FloatArray, ValuePredictions]:
    log, target, model = decided(0, 400, contacts=90)
    return log, target[np.arange(400), log.action], model


def test_every_estimate_is_the_one_in_memory() -> None:
    log, taken, model = in_memory()
    found = streamed_estimates(moments_of(rows_of_log(log, taken, model), SMALL))
    own = by_bucket(log, SMALL.n_buckets)
    expected = {
        "ips": ips(own, taken),
        "snips": snips(own, taken),
        "dm": dm(own, model),
        "dr": dr(own, taken, model),
        "sndr": sndr(own, taken, model),
        "clipped_ips": tuned_clipped_ips(own, taken, SMALL.clips).estimate,
        "switch_dr": tuned_switch_dr(own, taken, model, SMALL.taus).estimate,
        "dros": tuned_dros(own, taken, model, SMALL.lams).estimate,
    }
    assert found.all().keys() == expected.keys()
    for name, estimate in expected.items():
        require_equal(found.all()[name], estimate)


def test_tuned_families_choose_as_in_memory() -> None:
    log, taken, model = in_memory()
    found = streamed_estimates(moments_of(rows_of_log(log, taken, model), SMALL))
    own = by_bucket(log, SMALL.n_buckets)
    for name, expected in (
        ("clipped_ips", tuned_clipped_ips(own, taken, SMALL.clips)),
        ("switch_dr", tuned_switch_dr(own, taken, model, SMALL.taus)),
        ("dros", tuned_dros(own, taken, model, SMALL.lams)),
    ):
        assert found.tuned[name].parameter == expected.parameter
        assert found.tuned[name].considered == expected.considered
        require_equal(found.tuned[name].chosen, expected.chosen)


def test_point_values_are_every_candidates() -> None:
    log, taken, model = in_memory()
    moments = moments_of(rows_of_log(log, taken, model), SMALL)
    found = point_values(moments.sums.sum(axis=0), SMALL)
    assert found.ips == pytest.approx(ips(log, taken).value)
    assert found.snips == pytest.approx(snips(log, taken).value)
    assert found.dm == pytest.approx(dm(log, model).value)
    assert found.dr == pytest.approx(dr(log, taken, model).value)
    assert found.sndr == pytest.approx(sndr(log, taken, model).value)
    clipped = [clipped_ips(log, taken, clip).value for clip in SMALL.clips]
    assert found.clipped_ips == pytest.approx(clipped)
    switched = [switch_dr(log, taken, model, tau).value for tau in SMALL.taus]
    assert found.switch_dr == pytest.approx(switched)
    shrunken = [dros(log, taken, model, lam).value for lam in SMALL.lams]
    assert found.dros == pytest.approx(shrunken)


def test_a_family_without_a_grid_is_left_out() -> None:
    log, taken, model = in_memory()
    config = replace(SMALL, taus=())
    found = streamed_estimates(moments_of(rows_of_log(log, taken, model), config))
    assert sorted(found.tuned) == ["clipped_ips", "dros"]


def test_the_exact_interval_is_that_of_the_log() -> None:
    action = [0, 1] * 30
    log = bandit_log(action, [0.5] * 60, [2.0 if i % 12 == 0 else 0.0 for i in range(60)])
    taken = np.array([1.0, 0.0] * 30)
    nothing = ValuePredictions(np.zeros(60), np.zeros(60))
    moments = moments_of(rows_of_log(log, taken, nothing), SMALL)
    # Five outcomes of 2 EUR, all on action 0 with weight 2.
    assert exact_streamed_interval(moments, 0.9) == binomial_interval(5, 60, 0.9, scale=4.0)


@pytest.mark.parametrize("case", ["two weights", "two rewards", "a loss", "none"])
def test_other_logs_have_no_exact_interval(case: str) -> None:
    n = 400
    reward = np.where(np.arange(n) % 2 == 0, 1.0, 0.0)
    taken = np.full(n, 0.5)
    if case == "two weights":
        taken[4], reward[20:] = 0.4, 0.0
    elif case == "two rewards":
        reward[4], reward[20:] = 2.0, 0.0
    elif case == "a loss":
        reward = -reward
    elif case == "none":
        reward[:] = 0.0
    log = bandit_log([0] * n, [0.5] * n, reward.tolist())
    nothing = ValuePredictions(np.zeros(n), np.zeros(n))
    assert exact_streamed_interval(moments_of(rows_of_log(log, taken, nothing), SMALL), 0.9) is None


def test_mean_weights_by_code() -> None:
    rows = replace(some_rows(1, 6), groups={"week": np.array([0, 0, 0, 2, 2, 2])})
    weight = rows.taken / rows.propensity
    found = mean_weights(moments_of(rows, SMALL), "week")
    assert found[:, 0] == pytest.approx([weight[:3].mean(), np.nan, weight[3:].mean()], nan_ok=True)
    errors = [weight[:3].std() / np.sqrt(3), np.nan, weight[3:].std() / np.sqrt(3)]
    assert found[:, 1] == pytest.approx(errors, nan_ok=True)


def test_nothing_summed_and_nothing_matched_are_refused() -> None:
    with pytest.raises(LogError, match="no decision was summed"):
        streamed_estimates(no_moments(SMALL))
    rows = replace(some_rows(2, 7), taken=np.zeros(7))
    with pytest.raises(OverlapError, match="all 7 importance weights are 0"):
        streamed_estimates(moments_of(rows, SMALL))
