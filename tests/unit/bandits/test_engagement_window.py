"""The engagement window: the person's own hours, shrunk to those of the segment."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from nurture_rl.bandits.engagement_window import (
    EngagementWindowConfig,
    fit_engagement_window,
)
from nurture_rl.bandits.send_time_policy import SendTimeConfig, fit_send_time
from nurture_rl.errors import FitError
from nurture_rl.learned.scored import ScoredPolicy
from nurture_rl.learned.training_log import TrainingLog
from tests.unit.bandits.planted_hours import EIGHT, sends_log
from tests.unit.bandits.planted_log import silent

HOURS = (9, 12, 18)
COLUMNS = ("plan=free", *(f"clicks_at_{hour:02d}" for hour in HOURS))
CONFIG = EngagementWindowConfig(own="clicks_at_", segment="plan", draws=16)
SENDS = np.flatnonzero(EIGHT.routed("send"))


def active(n: int, seed: int, habit: float, mornings: float = 0.2, counts: int = 6) -> TrainingLog:
    """Sends that earn 1 at any hour; free plans click at 9 more often than others.

    Args:
        n: decisions, each of a person of its own.
        seed: of all draws.
        habit: how far a person's hours are from the segment's, as a share.
        mornings: share of clicks at 9 outside the free plan; inside it is 0.5 more.
        counts: clicks of a person.
    """
    rng = np.random.default_rng(seed)
    free = rng.random(n) < 0.5
    shares = np.where(
        free[:, None], [mornings + 0.5, 0.1, 0.4 - mornings], [mornings, 0.1, 0.9 - mornings]
    )
    own = np.eye(3)[rng.integers(0, 3, n)]
    clicks = np.array([rng.multinomial(counts, p) for p in (1 - habit) * shares + habit * own])
    features = np.column_stack([free, clicks]).astype(np.float32)
    means = np.where(EIGHT.routed("send"), 1.0, 0.0)
    log = sends_log(EIGHT, lambda x: np.tile(means, (len(x), 1)), features, 1.0, rng)
    return replace(log, columns=COLUMNS)


def slot_of(policy: ScoredPolicy, free: float, *clicks: float) -> int:
    """The likeliest hour of a send."""
    x = np.array([[free, *clicks]], np.float32)
    chances = policy.action_probabilities(x, np.ones((1, len(EIGHT)), np.bool_))[0]
    return int(EIGHT.slots[SENDS[chances[SENDS].argmax()]])


def test_a_person_with_history_is_sent_to_at_his_own_hour() -> None:
    policy = fit_engagement_window(active(2000, 1, 0.5), CONFIG, 0, silent)
    assert slot_of(policy, 0.0, 9, 0, 0) == 9
    assert slot_of(policy, 1.0, 0, 0, 9) == 18


def test_a_person_without_history_is_sent_to_at_the_hour_of_the_segment() -> None:
    policy = fit_engagement_window(active(2000, 1, 0.5), CONFIG, 0, silent)
    assert slot_of(policy, 1.0, 0, 0, 0) == 9
    assert slot_of(policy, 0.0, 0, 0, 0) == 18


def test_the_more_persons_are_alike_the_more_their_own_hours_are_shrunk() -> None:
    strength = [
        fit_engagement_window(active(2000, 2, habit), CONFIG, 0, silent).fit["window_strength"]
        for habit in (0.0, 0.2, 0.8)
    ]
    assert strength[0] > 50.0 > strength[1] > strength[2]
    # A Dirichlet-multinomial of strength s has persons of variance p (1 - p) / (s + 1); persons of
    # habit 0.8 differ so much that their own hours count at once.
    assert strength[2] < 2.0
    firm = fit_engagement_window(active(2000, 2, 0.0), CONFIG, 0, silent)
    assert slot_of(firm, 1.0, 0, 0, 3) == 9  # three clicks do not outweigh the segment


def test_the_order_of_the_slots_is_that_of_the_shrunk_shares() -> None:
    log = active(1500, 3, 0.5)
    policy = fit_engagement_window(log, replace(CONFIG, width=0.01), 0, silent)
    strength = policy.fit["window_strength"]
    last = log.features.astype(np.float64)
    plain = np.array(
        [
            (last[last[:, 0] == s][:, 1:].sum(axis=0) / last[last[:, 0] == s][:, 1:].sum())
            for s in (0, 1)
        ]
    )
    for clicks in ([2, 1, 0], [0, 3, 1], [1, 1, 1], [4, 0, 3]):
        for free in (0, 1):
            shrunk = (np.array(clicks) + strength * plain[free]) / (sum(clicks) + strength)
            assert slot_of(policy, float(free), *clicks) == HOURS[int(shrunk.argmax())]


def test_the_window_never_overrules_whether_to_send() -> None:
    log = active(2000, 4, 0.5)
    worse = replace(log, returns=np.where(log.action == EIGHT.wait, 3.0, log.returns))
    policy = fit_engagement_window(worse, CONFIG, 0, silent)
    x = np.array([[1.0, 50.0, 0.0, 0.0]], np.float32)
    chances = policy.action_probabilities(x, np.ones((1, len(EIGHT)), np.bool_))[0]
    assert chances[EIGHT.wait] > 0.95


def test_the_next_best_legal_hour_takes_over_and_masks_are_exact() -> None:
    policy = fit_engagement_window(active(2000, 1, 0.5), CONFIG, 0, silent)
    mask = np.ones((1, len(EIGHT)), np.bool_)
    mask[0, EIGHT.index("send:welcome@09")] = False
    x = np.array([[1.0, 6.0, 3.0, 0.0]], np.float32)
    chances = policy.action_probabilities(x, mask)[0]
    assert chances[EIGHT.index("send:welcome@09")] == 0.0
    assert EIGHT.slots[SENDS[chances[SENDS].argmax()]] == 12


def test_send_time_without_a_benefit_decides_as_the_window_does() -> None:
    log = active(600, 6, 0.5)
    config = SendTimeConfig(own="clicks_at_", segment="plan", draws=16, level=0.01)
    policy = fit_send_time(log, config, 0, silent)
    window = fit_engagement_window(log, CONFIG, 0, silent)
    x: NDArray[np.float32] = log.features[:50]
    mask = np.ones((50, len(EIGHT)), np.bool_)
    assert policy.fit["applies"] == 0.0
    assert np.array_equal(
        policy.action_probabilities(x, mask), window.action_probabilities(x, mask)
    )


def test_an_hour_at_which_one_person_alone_clicked_does_not_stop_the_fit() -> None:
    log = active(2000, 1, 0.5)
    features = log.features.copy()
    features[:, 2] = 0.0
    features[7] = [0.0, 0.0, 3.0, 0.0]  # the only clicks at 12, and no others
    policy = fit_engagement_window(replace(log, features=features), CONFIG, 0, silent)
    assert slot_of(policy, 0.0, 9, 0, 0) == 9
    assert slot_of(policy, 1.0, 0, 0, 9) == 18
    assert policy.fit["window_strength"] < 100.0


def test_persons_of_one_click_each_are_sent_to_at_the_hour_of_the_list() -> None:
    log = active(2000, 1, 0.5)
    features = log.features.copy()
    features[:, 1:] = [1.0, 0.0, 0.0]
    features[::5, 1:] = [0.0, 0.0, 1.0]  # a fifth at 18, all others at 9
    policy = fit_engagement_window(replace(log, features=features), CONFIG, 0, silent)
    assert slot_of(policy, 0.0, 0, 0, 0) == 9
    assert slot_of(policy, 0.0, 0, 0, 1) == 9  # how far a person differs is not known


def test_columns_that_do_not_name_hours_are_refused() -> None:
    log = active(300, 5, 0.5)
    with pytest.raises(FitError, match="own: expected feature columns that begin with 'opens_'"):
        fit_engagement_window(log, replace(CONFIG, own="opens_"), 0, silent)
    with pytest.raises(FitError, match="own: expected columns clicks_00 to clicks_23"):
        fit_engagement_window(log, replace(CONFIG, own="clicks_"), 0, silent)
