"""Chances of what came first, under censoring, against closed forms and planted truth."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest

from nurture_rl.predictions.incidence import NOTHING, clustered_error, incidence, interval


def test_all_watched_it_is_a_share_with_the_error_of_one() -> None:
    days = np.array([1.0, 2.0, 3.0, 9.0, 9.0, 9.0, 9.0, 9.0])
    came = np.array([0, 0, 0, 0, *[NOTHING] * 4])
    found = incidence(days, came, 0, 5.0)
    assert found.chance == pytest.approx(3 / 8)
    error, clusters = clustered_error(found.influence, np.arange(8))
    assert clusters == 8
    assert error == pytest.approx(sqrt(3 / 8 * 5 / 8 / 7))


def test_with_one_kind_it_is_kaplan_and_meier_with_greenwoods_error() -> None:
    # At risk 6, 4, 2 when one came on days 1, 3 and 5; others left on 2, 4 and 6.
    days, came = np.arange(1.0, 7.0), np.array([0, NOTHING] * 3)
    found = incidence(days, came, 0, 10.0)
    assert found.chance == pytest.approx(1.0 - 5 / 6 * 3 / 4 * 1 / 2)
    greenwood = (1.0 - found.chance) ** 2 * (1 / (6 * 5) + 1 / (4 * 3) + 1 / (2 * 1))
    assert (found.influence**2).sum() == pytest.approx(greenwood)


def test_what_may_come_first_shares_the_chance() -> None:
    rng = np.random.default_rng(0)
    days, came = rng.integers(1, 9, 200).astype(float), rng.integers(NOTHING, 3, 200)
    parts = [incidence(days, came, kind, 6.0) for kind in range(3)]
    any_ = incidence(days, np.minimum(came, 0), 0, 6.0)
    assert sum(one.chance for one in parts) == pytest.approx(any_.chance)
    assert np.sum([one.influence for one in parts], axis=0) == pytest.approx(any_.influence)


def test_influence_is_what_a_chance_changes_by_when_somebody_counts_more() -> None:
    rng = np.random.default_rng(1)
    days, came = rng.integers(1, 9, 30).astype(float), rng.integers(NOTHING, 2, 30)
    found, copies = incidence(days, came, 1, 5.0), 3000
    many = np.repeat(days, copies), np.repeat(came, copies)
    for who in range(0, 30, 7):
        more = incidence(np.append(many[0], days[who]), np.append(many[1], came[who]), 1, 5.0)
        # One copy more of 3000 is a step of 1 / 3000 in the weight of one.
        assert (more.chance - found.chance) * copies == pytest.approx(
            found.influence[who], abs=2e-5
        )


def test_copies_within_accounts_do_not_make_it_surer() -> None:
    rng = np.random.default_rng(2)
    days, came = rng.exponential(5.0, 60), rng.integers(NOTHING, 1, 60)
    one = clustered_error(incidence(days, came, 0, 4.0).influence, np.arange(60))
    copied = incidence(np.repeat(days, 9), np.repeat(came, 9), 0, 4.0)
    assert clustered_error(copied.influence, np.arange(60).repeat(9)) == pytest.approx(one)


def test_intervals_cover_the_planted_chance_where_accounts_differ_and_two_things_compete() -> None:
    """Accounts of five with a rate of their own; censoring by when they came."""
    rng, by = np.random.default_rng(3), 7.0
    heat = rng.gamma(2.0, 0.5, 400_000)
    total = heat * 0.1 + 0.05
    truth = float((heat * 0.1 / total * (1.0 - np.exp(-total * by))).mean())
    covered = naive = 0
    for _ in range(400):
        own = rng.gamma(2.0, 0.5, 40).repeat(5) * 0.1
        when = rng.exponential(1.0 / (own + 0.05))
        kind = (rng.random(200) > own / (own + 0.05)).astype(int)
        watched = rng.uniform(2.0, 14.0, 200)
        came, days = np.where(when <= watched, kind, NOTHING), np.minimum(when, watched)
        found = incidence(days, came, 0, by)
        error, clusters = clustered_error(found.influence, np.arange(40).repeat(5))
        low, high = interval(found.chance, error, clusters)
        covered += low <= truth <= high
        done = came[(came != NOTHING) | (watched >= by)]  # a share of those who are finished
        naive += abs((done == 0).mean() - truth) < 1.96 * error
    assert 363 <= covered <= 397  # 380 expected, four standard deviations
    assert naive < 300


def test_nothing_seen_is_not_sure_to_be_nothing() -> None:
    assert interval(0.0, 0.0, 20) == pytest.approx((0.0, 1.0 - 0.025 ** (1 / 20)))
    assert interval(1.0, 0.0, 20) == pytest.approx((0.025 ** (1 / 20), 1.0))
    assert interval(0.4, 0.0, 1) == (0.0, 1.0)
