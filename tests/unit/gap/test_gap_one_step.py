"""A world's predictions on logged rows, against numbers worked out by hand."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from nurture_envs.journey_file import parse_journey
from nurture_envs.worlds.heads import Heads
from nurture_envs.worlds.learned import LearnedWorld
from nurture_rl.simulator.gap.compare import Estimate
from nurture_rl.simulator.gap.one_step import (
    ArmEffect,
    arm_effects,
    calibration,
    chances,
    disagreement,
    effect_comparisons,
    overall_ratio,
)
from nurture_rl.simulator.gap.trajectories import Trajectories
from tests.unit.gap.gap_logs import JOURNEY, episodes

FloatArray = NDArray[np.float64]

# One send and two pauses, so that waiting is a mixture of actions.
TWO_PAUSES = parse_journey(
    {**JOURNEY.resolved, "actions": {"slots": ["now"], "pauses": [1, 2], "exit": True}}
)
SEND, PAUSE_1, PAUSE_2 = range(3)  # and the exit
HEADS = Heads.of(TWO_PAUSES).counts
CLICKED = HEADS.index("clicked")


@dataclass(frozen=True)
class Told:
    """A world of two members that says a chance of everything by action, x[1] more or less."""

    by_action: tuple[float, ...]

    def hazards(self, x: Tensor, action: Tensor, draws: int) -> Tensor:
        mean = torch.tensor(self.by_action)[action].expand(len(HEADS), -1)
        return torch.stack([mean + x[1], mean - x[1]])


def told(*by_action: float) -> LearnedWorld:
    return cast(LearnedWorld, Told(by_action))


def knowing_log(copies: int = 1) -> tuple[Trajectories, FloatArray]:
    """A sender who knows what no feature holds, in exact proportions, and what features explain.

    Half of the 2,000 contacts are mailed with a chance of 0.2, and click on 0.2 of the sends and
    0.1 of the pauses; the other half with 0.8, and on 0.6 and 0.5: a send adds 0.1 to either.
    """
    parts = []
    for chance, cells in ((0.2, (200, 40, 480, 48, 320, 32)), (0.8, (800, 480, 120, 60, 80, 40))):
        for action in (SEND, PAUSE_1, PAUSE_2):
            n, clicks = cells[2 * action : 2 * action + 2]
            parts.append(np.array([[action, chance, i < clicks] for i in range(n)]))
    action, chance, clicked = np.repeat(np.concatenate(parts), copies, axis=0).T
    logged = np.stack([chance, 0.6 * (1 - chance), 0.4 * (1 - chance), 0.0 * chance], axis=1)
    rows = len(action)
    log = episodes([copies] * (rows // copies), action.tolist(), clicked=clicked.tolist())
    taken = logged[np.arange(rows), action.astype(int)]
    log = replace(log, probabilities=logged, propensity=taken)
    return log, np.tile([0.5, 0.3, 0.2, 0.0], (rows, 1))


def clicks(effects: tuple[ArmEffect, ...]) -> ArmEffect:
    (one,) = effects
    assert one.head == "clicked"
    return one


@pytest.mark.slow
def test_chances_come_by_member_row_and_head_whatever_the_number_of_rows() -> None:
    features = np.zeros((20_000, 3), np.float32)  # more than are asked at once
    features[:, 1] = np.arange(20_000)
    action = np.arange(20_000) % 4
    found = chances(told(0.1, 0.2, 0.3, 0.4), features, action, draws=1)
    assert found.shape == (2, 20_000, len(HEADS))
    expected = 0.1 * (1 + action)[:, None] + features[:, 1:2] * np.ones(len(HEADS))
    assert found[0] == pytest.approx(expected, rel=1e-6)
    assert found.mean(axis=0)[7] == pytest.approx(0.4, abs=1e-6)


def test_the_log_weighted_by_its_propensities_shows_what_a_send_does() -> None:
    log, projected = knowing_log()
    one = clicks(arm_effects(log, TWO_PAUSES, projected, told(0.5, 0.2, 0.4, 0.0)))
    # The world's pauses click with (0.3 * 0.2 + 0.2 * 0.4) / 0.5 = 0.28 on the mean.
    assert one.world == pytest.approx(0.5 - 0.28)
    assert one.logged.value == pytest.approx(0.1)
    assert one.naive.value == pytest.approx(520 / 1000 - 180 / 1000)
    assert one.hidden.value == pytest.approx(0.1 - 0.34)
    assert one.base == pytest.approx(700 / 2000)
    assert one.rows == 2000


def test_the_error_of_an_effect_counts_contacts() -> None:
    log, projected = knowing_log()
    one = clicks(arm_effects(log, TWO_PAUSES, projected, told(0.5, 0.2, 0.2, 0.0)))
    # Squared weights times squared distances to the arms' means of 0.4 and 0.3, over 2000^2.
    sent = 5.0**2 * (40 * 0.6**2 + 160 * 0.4**2) + 1.25**2 * (480 * 0.6**2 + 320 * 0.4**2)
    waited = 1.25**2 * (80 * 0.7**2 + 720 * 0.3**2) + 5.0**2 * (100 * 0.7**2 + 100 * 0.3**2)
    assert one.logged.stderr == pytest.approx(np.sqrt(sent + waited) / 2000)
    twice, table = knowing_log(copies=2)  # each contact says everything twice
    again = clicks(arm_effects(twice, TWO_PAUSES, table, told(0.5, 0.2, 0.2, 0.0)))
    assert again.logged.stderr == pytest.approx(one.logged.stderr)


def test_what_a_contact_does_after_a_send_and_after_a_pause_cancels() -> None:
    # Every contact clicks in both bins or in neither: the difference is 0 for each of them.
    log = episodes([2] * 40, [SEND, PAUSE_1] * 40, clicked=([1.0] * 2 + [0.0] * 6) * 10)
    even = np.tile([0.5, 0.3, 0.2, 0.0], (80, 1))
    log = replace(log, probabilities=even, propensity=even[np.arange(80), log.action])
    one = clicks(arm_effects(log, TWO_PAUSES, even, told(0.5, 0.5, 0.5, 0.0)))
    assert (one.logged.value, one.logged.stderr) == pytest.approx((0.0, 0.0), abs=1e-9)


def test_nothing_is_hidden_where_the_features_explain_the_propensities() -> None:
    log, _ = knowing_log()
    assert log.probabilities is not None
    one = clicks(arm_effects(log, TWO_PAUSES, log.probabilities, told(0.5, 0.2, 0.4, 0.0)))
    assert one.hidden == Estimate(0.0, 0.0)
    assert one.naive == one.logged


def test_the_propensity_of_the_action_alone_serves_as_well_as_the_distribution() -> None:
    log, projected = knowing_log()
    world = told(0.5, 0.2, 0.4, 0.0)
    whole = clicks(arm_effects(log, TWO_PAUSES, projected, world))
    scalar = clicks(arm_effects(replace(log, probabilities=None), TWO_PAUSES, projected, world))
    assert scalar.logged.value == pytest.approx(whole.logged.value)
    assert scalar.naive.value == pytest.approx(whole.naive.value)


def test_decisions_without_a_choice_between_sending_and_waiting_say_nothing() -> None:
    log, projected = knowing_log()
    forced = np.arange(2000) >= 1000
    assert log.probabilities is not None
    none = np.where(forced[:, None], [0.0, 0.6, 0.4, 0.0], log.probabilities)
    world = told(0.5, 0.2, 0.4, 0.0)
    half = clicks(arm_effects(replace(log, probabilities=none), TWO_PAUSES, projected, world))
    assert half.rows == 1000
    assert half.base == pytest.approx(120 / 1000)
    assert half.logged.value == pytest.approx(0.1)
    never = np.tile([0.0, 0.6, 0.4, 0.0], (2000, 1))
    assert arm_effects(replace(log, probabilities=never), TWO_PAUSES, projected, world) == ()


def test_an_effect_needs_ten_events_after_a_send() -> None:
    log, projected = knowing_log()
    amounts, sends = log.amounts.copy(), np.flatnonzero(log.action == SEND)
    amounts[sends[:10], TWO_PAUSES.channel_index("viewed")] = 1.0
    amounts[sends[:9], TWO_PAUSES.channel_index("left")] = 1.0
    amounts[log.action != SEND, TWO_PAUSES.channel_index("left")] = 1.0
    found = arm_effects(replace(log, amounts=amounts), TWO_PAUSES, projected, told(*[0.1] * 4))
    assert {one.head for one in found} == {"clicked", "viewed"}


@pytest.mark.parametrize(
    ("world", "logged", "base", "margin"),
    [(0.5, -0.3, 0.2, 0.25), (0.1, -0.3, 0.2, 0.15), (0.1, 0.05, 0.2, 0.1)],
)
def test_a_gap_of_effects_is_small_beside_the_largest_of_effects_and_base(
    world: float, logged: float, base: float, margin: float
) -> None:
    same = Estimate(logged, 0.02)
    (one,) = effect_comparisons((ArmEffect("clicked", same, same, world, base, same, 100),), 0.5)
    assert one.gap == pytest.approx(world - logged)
    assert (one.stderr, one.simulated) == (0.02, Estimate(world, 0.0))
    assert one.margin == pytest.approx(margin)


def test_a_head_is_calibrated_on_bins_with_the_signal_not_on_its_amount() -> None:
    log = episodes([4], [SEND] * 4, viewed=[3, 0, 0, 0], clicked=[0, 0, 0, 1])
    learned = np.array([name == "viewed" for name in HEADS])
    found = calibration(log, TWO_PAUSES, np.full((4, len(HEADS)), 0.3), learned)
    viewed = {one.head: one for one in found.heads}["viewed"]
    assert (viewed.base_rate, viewed.events) == (0.25, 1)
    assert viewed.predicted_rate == pytest.approx(0.3)
    assert {one.head for one in found.heads if not one.learned} == set(HEADS) - {"viewed"}
    assert (found.contacts, found.rows) == (1, 4)


def test_members_disagree_by_a_share_of_their_mean() -> None:
    table = np.array([[[0.1, 0.0], [0.3, 0.0]], [[0.3, 0.0], [0.9, 0.0]]])  # deviations 0.1, 0.3
    assert disagreement(table) == pytest.approx([0.2 / 0.4, 0.0])
    assert disagreement(table[:1]).tolist() == [0.0, 0.0]


def test_the_mean_prediction_stands_against_what_happened() -> None:
    happened = [1.0] * 10 + [0.0] * 30
    seldom = [1.0] * 9 + [0.0] * 31
    log = episodes([2] * 20, [SEND] * 40, clicked=happened, viewed=seldom)
    predicted = np.where(np.array(happened)[:, None] > 0, 0.7, 0.4) * np.ones(len(HEADS))
    (one,) = overall_ratio(log, TWO_PAUSES, predicted, 0.2)
    assert (one.head, one.margin) == ("clicked", 0.2)
    assert [one.simulated.value, one.simulated.stderr] == pytest.approx([0.475, 0.0])
    # 5 of 20 contacts click in both bins: predicted less happened is 2 (0.7 - 1) or 2 * 0.4 each,
    # about 2 * 0.225.
    spread = 5 * (-0.6 - 0.45) ** 2 + 15 * (0.8 - 0.45) ** 2
    assert one.real.value == 0.25
    assert one.real.stderr == pytest.approx(np.sqrt(spread * 20 / 19) / 40)
    assert one.gap == pytest.approx(np.log(0.475 / 0.25), abs=0.03)
