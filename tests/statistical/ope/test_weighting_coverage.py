"""Stated 95 % intervals of the weighting estimators cover the exact value."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nurture_rl.ope.estimators import ips
from nurture_rl.ope.intervals import Interval, interval_of
from nurture_rl.ope.targets import TargetOnLog
from nurture_rl.ope.value_model import (
    ValueModelConfig,
    ValuePredictions,
    fit_value,
    value_design,
)
from nurture_rl.ope.weighting.mrdr import MrdrConfig, mrdr
from nurture_rl.ope.weighting.self_normalised import sndr
from nurture_rl.ope.weighting.tuning import tuned_clipped_ips, tuned_dros, tuned_switch_dr
from tests.statistical.ope.contact_world import draw_log, exact_value
from tests.statistical.ope.test_classification_bandits import base_log, problem

REDRAWS, FEWER = 600, 300
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


@pytest.mark.parametrize(("sharper", "most"), [(1.0, 1.0), (2.5, 0.8), (4.0, 0.5)])
def test_tuning_keeps_what_shrinkage_is_for(sharper: float, most: float) -> None:
    """Tuned error over that of DR as the log explores less, contexts redrawn: what docs quote."""
    pytest.importorskip("sklearn")
    given = problem("digits")
    logging = given.logging**sharper
    logging /= logging.sum(axis=1, keepdims=True)
    log, rng, (n, a) = base_log(given), np.random.default_rng(30), logging.shape
    errors: dict[str, list[float]] = {"dr": [], "switch_dr": [], "dros": []}
    own = stated = plain = 0
    for _ in range(FEWER):
        rows = rng.integers(0, n, n)
        action = (rng.random((n, 1)) > logging[rows].cumsum(axis=1)).sum(axis=1).clip(max=a - 1)
        drawn = replace(
            log,
            logged_probabilities=logging[rows],
            action=action,
            propensity=logging[rows, action],
            reward=given.reward[rows, action],
        )
        model = ValuePredictions(given.q[rows, action], (given.target * given.q).sum(axis=1)[rows])
        taken = given.target[rows, action]
        switched, shrunken = (tune(drawn, taken, model) for tune in (tuned_switch_dr, tuned_dros))
        errors["dr"].append(shrunken.least_biased.value - given.truth)
        errors["switch_dr"].append(switched.estimate.value - given.truth)
        errors["dros"].append(shrunken.estimate.value - given.truth)
        own += covers(interval_of(shrunken.chosen, 0.95), given.truth)
        stated += covers(interval_of(shrunken.estimate, 0.95), given.truth)
        plain += covers(interval_of(shrunken.least_biased, 0.95), given.truth)
    size = {name: float(np.sqrt(np.mean(np.square(found)))) for name, found in errors.items()}
    assert size["switch_dr"] < most * size["dr"]
    assert size["dros"] < most * size["dr"]
    assert stated >= plain
    assert own < 0.88 * FEWER
