"""What a report holds of a learned world and a log of the lamp shop."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest
import torch

from nurture_envs.actions import ActionCatalog
from nurture_envs.worlds.learned import LearnedWorld
from nurture_rl.policies.references import Random
from nurture_rl.simulator.data import WorldData
from nurture_rl.simulator.fit import WorldConfig, fit_world
from nurture_rl.simulator.gap.gap_evidence import Evidence
from nurture_rl.simulator.gap.report import reality_gap
from nurture_rl.simulator.gap.settings import GapConfig
from nurture_rl.simulator.network_training import TrainingConfig
from tests.unit.simulator.lamp_shop import lamp_log, lamp_shop, silent

JOURNEY = lamp_shop()
CHANCES = np.array([0.4, 0.5, 0.05, 0.05])  # of the lamp log's actions
VIEWED = JOURNEY.channel_index("viewed")


@lru_cache(maxsize=1)
def world() -> LearnedWorld:
    """Barely trained; purchases and clicks are too few to learn."""
    training = TrainingConfig(epochs=1)
    config = WorldConfig(members=2, hidden=(4,), rank=1, fewest_events=450, training=training)
    return fit_world(lamp_log(400, seed=0), JOURNEY, config, 0, silent).world


def held_out() -> WorldData:
    data = lamp_log(200, seed=1)
    n = len(data.action)
    return replace(
        data,
        probabilities=np.tile(CHANCES, (n, 1)),
        propensity=CHANCES[data.action],
    )


def evidence(
    data: WorldData, of: LearnedWorld | None = None, config: GapConfig | None = None
) -> Evidence:
    weights = tuple(zip(("send", "pause", "escalate", "exit"), CHANCES.tolist(), strict=True))
    policy = Random(ActionCatalog.of(JOURNEY), weights)
    given = config or GapConfig(fewest_episodes=1)
    return reality_gap(of or world(), data, policy, given, np.random.default_rng(0)).evidence


def test_heads_that_the_world_never_learned_are_told_from_those_it_did() -> None:
    found = evidence(held_out())
    assert found.calibration is not None
    assert {one.head for one in found.calibration.heads if not one.learned} == {
        "clicked",
        "answered",
        "left",
        "bought",
    }
    assert found.unlearned == ("bought",)  # main, and frequent in the log
    assert {name for name, _ in found.disagreement} == {
        "delivered", "clicked", "viewed", "answered", "left", "bought"
    }  # fmt: skip
    assert {one.head for one in found.effects} >= {"delivered", "clicked", "viewed", "bought"}
    assert any(one.family == "one step" for one in found.comparisons)
    assert not any("hidden state" in note for note in found.notes)


@pytest.mark.parametrize(
    ("fewest", "most", "n"), [(1, 40_000, 300), (400, 40_000, 400), (1, 250, 250)]
)
def test_the_world_plays_a_multiple_of_the_logged_episodes(fewest: int, most: int, n: int) -> None:
    config = GapConfig(ratio=1.5, fewest_episodes=fewest, most_episodes=most)
    found = evidence(held_out(), config=config)
    assert (found.episodes, found.simulated_episodes) == (200, n)


def test_without_propensities_no_effect_is_judged_and_a_note_says_so() -> None:
    data = held_out()
    unknown = replace(
        data,
        probabilities=np.zeros(data.mask.shape),
        propensity=np.full(len(data.action), np.nan),
    )
    found = evidence(unknown)
    assert found.effects == ()
    assert any("has a propensity" in note for note in found.notes)


@pytest.mark.slow
def test_lateness_is_shown_as_far_as_the_world_knows_of_it() -> None:
    data = held_out()
    views = np.flatnonzero(data.amounts[:, VIEWED] > 0)
    delay = np.full(data.amounts.shape, -1)
    delay[views, VIEWED] = 0
    delay[views[:30], VIEWED] = 2
    late = torch.zeros(12, len(JOURNEY.channels))
    late[0] = 1.0
    late[:, VIEWED] = 1.0 / 12.0
    for table, length in ((world().delays, 8), (late, 12)):
        found = evidence(replace(data, event_delay=delay), replace(world(), delays=table))
        (shares,) = found.delays
        assert shares.head == "viewed"
        assert shares.real == pytest.approx(
            [1 - 30 / len(views), 0, 30 / len(views)] + [0] * (length - 3)
        )
        told = table[:, VIEWED].tolist()
        assert shares.simulated == pytest.approx(told + [0] * (length - len(told)))
        assert found.delays_known
        assert not any("recording delays" in note for note in found.notes)
    silent_log = evidence(data)
    assert not silent_log.delays_known
    assert any("recording delays were not checked" in note for note in silent_log.notes)
