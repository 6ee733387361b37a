"""Stated 95 % intervals cover the exact value about 95 times in 100, and not without clusters."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nurture_rl.ope.estimators import dr, ips, snips
from nurture_rl.ope.intervals import Interval, interval_of, paired_difference
from nurture_rl.ope.value_model import ValueModelConfig, fit_value, value_design
from tests.statistical.ope.contact_world import draw_log, exact_value, forget_contacts

REDRAWS = 1000
# 950 expected; four binomial standard deviations is 28.
FEWEST, MOST = 922, 978
MODEL = ValueModelConfig(n_folds=3, penalties=(1e-3,))


def covers(found: Interval, truth: float) -> bool:
    return found.lower <= truth <= found.upper


@pytest.mark.parametrize("horizon", [1, 3])
def test_intervals_of_every_weighted_estimator_cover_the_exact_value(horizon: int) -> None:
    rng = np.random.default_rng(horizon)
    truth = exact_value(horizon)
    hits = {"ips": 0, "snips": 0, "dr": 0}
    values: dict[str, list[float]] = {name: [] for name in hits}
    for _ in range(REDRAWS):
        log, target = draw_log(rng, contacts=200, horizon=horizon)
        taken = target[np.arange(log.n_rows), log.action]
        predictions = fit_value(value_design(log, rng, MODEL), target)
        for name, estimate in (
            ("ips", ips(log, taken)),
            ("snips", snips(log, taken)),
            ("dr", dr(log, taken, predictions)),
        ):
            hits[name] += covers(interval_of(estimate, 0.95), truth)
            values[name].append(estimate.value)
    for name, count in hits.items():
        assert FEWEST <= count <= MOST, (name, count)
        error = np.mean(values[name]) - truth
        assert abs(error) < 4 * np.std(values[name]) / np.sqrt(REDRAWS), name


def test_dr_varies_less_than_ips_where_the_model_helps() -> None:
    rng = np.random.default_rng(5)
    weighted, robust = [], []
    for _ in range(200):
        log, target = draw_log(rng, contacts=100, horizon=3)
        # A large known part of every reward: the model explains it, plain weights do not.
        log = replace(log, reward=log.reward + 5.0)
        taken = target[np.arange(log.n_rows), log.action]
        predictions = fit_value(value_design(log, rng, MODEL), target)
        weighted.append(ips(log, taken).value)
        robust.append(dr(log, taken, predictions).value)
    assert np.var(robust) < 0.5 * np.var(weighted)


def test_intervals_that_forget_the_contact_cover_too_seldom() -> None:
    """Negative control: two episodes share their contact's luck, so plain errors are too small."""
    rng = np.random.default_rng(6)
    truth = exact_value(1)
    clustered = plain = 0
    for _ in range(REDRAWS):
        log, target = draw_log(rng, contacts=100, horizon=1)
        taken = target[np.arange(log.n_rows), log.action]
        clustered += covers(interval_of(snips(log, taken), 0.95), truth)
        plain += covers(interval_of(snips(forget_contacts(log), taken), 0.95), truth)
    assert FEWEST <= clustered <= MOST
    assert plain < 900


def test_paired_differences_cover_and_are_narrower_than_unpaired_ones() -> None:
    """Target minus logging policy, whose exact difference is a difference of recursions."""
    rng = np.random.default_rng(7)
    hits, ratios = 0, []
    logging_value = 0.5 * (0.6 * 0.0 + 0.4 * 1.0) + 0.5 * (0.45 * 1.5 + 0.55 * 0.5)
    truth = exact_value(1) - logging_value
    for _ in range(REDRAWS):
        log, target = draw_log(rng, contacts=100, horizon=1)
        taken = target[np.arange(log.n_rows), log.action]
        first, second = snips(log, taken), ips(log, log.propensity)
        found = paired_difference(first, second, 0.95)
        hits += covers(found.interval, truth)
        ratios.append(found.stderr / np.hypot(first.stderr, second.stderr))
    assert FEWEST <= hits <= MOST
    assert np.mean(ratios) < 0.6
