"""Stated 95 % intervals of the weighting estimators cover the exact value."""

from __future__ import annotations

import numpy as np
import pytest

from nurture_rl.ope.estimators import ips
from nurture_rl.ope.intervals import Interval, interval_of
from nurture_rl.ope.targets import TargetOnLog
from nurture_rl.ope.value_model import ValueModelConfig, fit_value, value_design
from nurture_rl.ope.weighting.mrdr import MrdrConfig, mrdr
from nurture_rl.ope.weighting.self_normalised import sndr
from nurture_rl.ope.weighting.tuning import tuned_clipped_ips, tuned_dros, tuned_switch_dr
from tests.statistical.ope.contact_world import draw_log, exact_value

REDRAWS = 600
# 570 expected; four binomial standard deviations is 21.
FEWEST, MOST = 549, 591
MODEL = ValueModelConfig(n_folds=3, penalties=(1e-3,))
VARIANCE_MODEL = MrdrConfig(n_folds=3, penalties=(1e-2,))


def covers(found: Interval, truth: float) -> bool:
    return found.lower <= truth <= found.upper


@pytest.mark.parametrize("horizon", [1, 3])
def test_intervals_cover(horizon: int) -> None:
    rng = np.random.default_rng(10 + horizon)
    truth = exact_value(horizon)
    hits = dict.fromkeys(("sndr", "mrdr"), 0)
    tuned_hits = dict.fromkeys(("clipped_ips", "switch_dr", "dros"), 0)
    stderr: dict[str, list[float]] = {"ips": [], "sndr": [], "mrdr": []}
    for _ in range(REDRAWS):
        log, target = draw_log(rng, contacts=150, horizon=horizon)
        taken = target[np.arange(log.n_rows), log.action]
        model = fit_value(value_design(log, rng, MODEL), target)
        on_log = TargetOnLog(target, taken, (taken / log.propensity) ** 2, None)
        stderr["ips"].append(ips(log, taken).stderr)
        for name, estimate in (
            ("sndr", sndr(log, taken, model)),
            ("mrdr", mrdr(log, on_log, VARIANCE_MODEL)),
        ):
            hits[name] += covers(interval_of(estimate, 0.95), truth)
            stderr[name].append(estimate.stderr)
        for name, chosen in (
            ("clipped_ips", tuned_clipped_ips(log, taken)),
            ("switch_dr", tuned_switch_dr(log, taken, model)),
            ("dros", tuned_dros(log, taken, model)),
        ):
            tuned_hits[name] += covers(interval_of(chosen.estimate, 0.95), truth)
    for name, count in hits.items():
        assert FEWEST <= count <= MOST, (name, count)
        assert np.mean(stderr[name]) < np.mean(stderr["ips"]), name
    for name, count in tuned_hits.items():
        assert count >= FEWEST, (name, count)


def test_the_noise_of_the_chosen_candidate_alone_covers_too_seldom() -> None:
    """Negative control: the bias that shrinkage was allowed is in no candidate's own error."""
    rng = np.random.default_rng(20)
    truth, own, stated = exact_value(1), 0, 0
    for _ in range(REDRAWS):
        log, target = draw_log(rng, contacts=150, horizon=1)
        taken = target[np.arange(log.n_rows), log.action]
        model = fit_value(value_design(log, rng, MODEL), target)
        found = tuned_dros(log, taken, model)
        own += covers(interval_of(found.chosen, 0.95), truth)
        stated += covers(interval_of(found.estimate, 0.95), truth)
    assert stated >= FEWEST
    assert own < 500


def test_tuning_does_not_make_a_clipped_estimate_worse() -> None:
    """A rule that added the two widths up, unpaired, would clip at 1 and err twice as much."""
    rng = np.random.default_rng(21)
    truth = exact_value(1)
    plain, clipped = [], []
    for _ in range(REDRAWS):
        log, target = draw_log(rng, contacts=150, horizon=1)
        taken = target[np.arange(log.n_rows), log.action]
        found = tuned_clipped_ips(log, taken)
        plain.append(found.least_biased.value - truth)
        clipped.append(found.estimate.value - truth)
    assert np.mean(np.square(clipped)) < 1.1 * np.mean(np.square(plain))
