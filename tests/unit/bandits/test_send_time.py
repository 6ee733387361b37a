"""Send times: a planted surface is found, a list without one is told so and keeps to the window."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from nurture_rl.bandits.day_waves import day_waves
from nurture_rl.bandits.send_time_policy import (
    SendTimeConfig,
    fit_send_time,
    send_time_verdict,
)
from nurture_rl.errors import FitError
from nurture_rl.learned.scored import ScoredPolicy
from nurture_rl.policies.policy import check_probabilities
from tests.unit.bandits.planted_hours import (
    EIGHT,
    TWELVE,
    FloatArray,
    HourLog,
    catalog_of,
)
from tests.unit.bandits.planted_log import silent

CONFIG = SendTimeConfig(segment="early")
SENDS = np.flatnonzero(EIGHT.routed("send"))
NO_GAP = np.zeros(1)


def learned(planted: HourLog, config: SendTimeConfig = CONFIG) -> ScoredPolicy:
    return fit_send_time(planted.log(), config, 0, silent)


def person(early: float, weekday: int, known: float = 1.0) -> NDArray[np.float32]:
    return np.array([[early, known, *np.eye(7)[weekday]]], np.float32)


def surface(policy: ScoredPolicy, early: float, known: float = 1.0) -> FloatArray:
    """Mean score of each slot on each day, [7, 8]."""
    rows = [
        policy.module.scores(torch.tensor(person(early, day, known))).numpy()[0].mean(axis=1)
        for day in range(7)
    ]
    return np.array(rows)[:, SENDS]


@pytest.fixture(scope="module")
def found() -> ScoredPolicy:
    return learned(HourLog(2500, 1, gain=1.0))


def test_the_planted_surface_is_recovered_for_each_segment(found: ScoredPolicy) -> None:
    planted = HourLog(1, 1, gain=1.0)
    assert found.fit["applies"] == 1.0
    for early in (0.0, 1.0):
        rows = np.vstack([person(early, day) for day in range(7)]).astype(np.float64)
        truth = planted.means(rows, np.zeros(7))[:, SENDS]
        asked = surface(found, early)
        hours = [
            asked - asked.mean(axis=1, keepdims=True),
            truth - truth.mean(axis=1, keepdims=True),
        ]
        assert np.corrcoef(hours[0].ravel(), hours[1].ravel())[0, 1] > 0.9


def test_each_segment_is_sent_to_at_its_own_hour(found: ScoredPolicy) -> None:
    mask = np.ones((1, len(EIGHT)), np.bool_)
    early, late = (found.action_probabilities(person(one, 1), mask)[0] for one in (1.0, 0.0))
    assert early[EIGHT.index("send:welcome@09")] > 0.5
    assert late[EIGHT.index("send:welcome@18")] > 0.5


def test_hour_and_whether_to_send_are_one_choice(found: ScoredPolicy) -> None:
    # A send at a bad hour is worth less than none: where only 21 is left, early people wait.
    mask = np.zeros((1, len(EIGHT)), np.bool_)
    mask[0, [EIGHT.index("send:welcome@21"), EIGHT.wait]] = True
    planted = HourLog(3000, 3, gain=2.0)
    policy = learned(planted)
    value = planted.means(person(1.0, 3).astype(np.float64), NO_GAP)[0]
    assert value[EIGHT.index("send:welcome@21")] < value[EIGHT.wait]
    assert policy.action_probabilities(person(1.0, 3), mask)[0, EIGHT.wait] > 0.8
    assert policy.action_probabilities(person(0.0, 3), mask)[0, EIGHT.wait] < 0.2


def test_a_list_without_an_effect_is_told_so_and_gets_the_engagement_window() -> None:
    policy = learned(HourLog(600, 2, gain=0.0))
    assert policy.fit["applies"] == 0.0
    line = send_time_verdict(policy.fit)
    assert line.startswith("send_time: no detectable benefit on this list (p = ")
    assert "\n" not in line
    # Without columns of own engagement all hours of a send are alike.
    chances = policy.action_probabilities(person(1.0, 1), np.ones((1, len(EIGHT)), np.bool_))[0]
    assert chances[SENDS] == pytest.approx(np.full(len(SENDS), chances[SENDS].mean()))


def test_a_list_too_short_to_test_is_told_so_and_gets_the_engagement_window() -> None:
    policy = learned(HourLog(12, 2, gain=5.0))
    assert policy.fit["applies"] == 0.0
    assert policy.fit["sends"] <= policy.fit["needed"]
    assert "are too few to test: more than" in send_time_verdict(policy.fit)


@pytest.mark.slow
def test_false_benefit_is_found_at_the_stated_rate() -> None:
    config = replace(CONFIG, resamples=99, draws=1, multipliers=1)
    applies = [learned(HourLog(100, 5000 + seed, gain=0.0), config).fit for seed in range(200)]
    # 10 of 200 expected at 5 %; 21 or more have a chance of 0.1 %.
    assert sum(one["applies"] for one in applies) <= 20


def test_a_planted_effect_is_said_to_matter(found: ScoredPolicy) -> None:
    assert send_time_verdict(found.fit).startswith("send_time: hours matter on this list (p = ")
    # The best of 8 slots is worth half the range over the mean slot.
    assert found.fit["hour_gain"] == pytest.approx(0.5, abs=0.12)


def test_a_contact_of_unknown_zone_gets_a_flatter_surface() -> None:
    policy = learned(HourLog(5000, 4, gain=1.5, unknown=0.4, early=1.0))
    known, unknown = (np.ptp(surface(policy, 1.0, known=flag).mean(axis=0)) for flag in (1.0, 0.0))
    assert unknown < 0.5 * known
    # And is not sent to at one hour with any certainty.
    mask = np.ones((1, len(EIGHT)), np.bool_)
    sure, unsure = (
        policy.action_probabilities(person(1.0, 1, flag), mask)[0, SENDS].max()
        for flag in (1.0, 0.0)
    )
    assert unsure < sure


def test_probabilities_are_distributions_and_0_where_masked(found: ScoredPolicy) -> None:
    features, _ = HourLog(300, 6, gain=1.0).contexts()
    mask = np.random.default_rng(7).random((600, len(EIGHT))) < 0.6
    mask[:, EIGHT.wait] = True
    rows = found.action_probabilities(features, mask)
    check_probabilities(rows, mask)
    assert (rows[~mask] == 0.0).all()


def test_segments_that_are_alike_are_pooled_and_segments_that_differ_are_not() -> None:
    log = HourLog(2500, 8, gain=1.0).log()
    different = fit_send_time(log, CONFIG, 0, silent)
    names = np.random.default_rng(9).random(log.action.size // 2) < 0.5
    shuffled = replace(log, features=log.features.copy())
    shuffled.features[:, 0] = names.repeat(2)
    alike = fit_send_time(shuffled, replace(CONFIG, level=0.999), 0, silent)
    assert alike.fit["ridge_segment"] > 10.0 * different.fit["ridge_segment"]


def test_waves_are_circular_smooth_and_0_for_what_is_not_sent_at_an_hour() -> None:
    catalog = catalog_of({"a": TWELVE["pricing_number"]}, range(24))
    waves = day_waves(catalog, 3)
    assert waves[catalog.wait] == pytest.approx(np.zeros(6))
    sends = waves[:24]
    assert sends.mean(axis=0) == pytest.approx(np.zeros(6), abs=1e-12)
    step = np.abs(np.diff(np.vstack([sends, sends[:1]]), axis=0)).max(axis=0)
    assert (step < 0.3).all()  # 23:00 to midnight is a step as any other
    assert np.ptp(sends[:, 2]) == pytest.approx(np.ptp(sends[:, 0]) / 9.0, rel=0.05)


def test_a_test_that_could_never_find_a_benefit_is_refused() -> None:
    # The least p-value of 38 signs is twice 1 / 39.
    with pytest.raises(FitError, match=r"resamples of SendTime must be at least 39 .* got 38"):
        SendTimeConfig(resamples=38)
    assert SendTimeConfig(resamples=39).resamples == 39


def test_a_journey_of_one_hour_or_an_unknown_column_is_refused() -> None:
    with pytest.raises(FitError, match="sends at two local hours or more, got 1"):
        day_waves(catalog_of({"a": TWELVE["pricing_number"]}, (9,)), 3)
    with pytest.raises(
        FitError, match="segment: expected feature columns that begin with 'industry='"
    ):
        learned(HourLog(200, 1, gain=0.0), replace(CONFIG, segment="industry"))
    with pytest.raises(FitError, match="own: expected columns weekday=00"):
        learned(HourLog(200, 1, gain=0.0), replace(CONFIG, own="weekday="))
