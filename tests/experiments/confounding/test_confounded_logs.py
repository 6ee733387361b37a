"""What a send does is told from who it was sent to, where the sender logged its chances."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest

from experiments.common.played import played_data
from experiments.confounding.study import (
    FREQUENT,
    Picker,
    SendEffect,
    effect_table,
    naive_effect,
    send_effect,
    study_world,
    tastes,
    true_effect,
)
from nurture_envs.simulation import Simulation
from nurture_envs.worlds.inbound_lead import InboundLeadParams, InboundLeadWorld
from nurture_rl.simulator.fit import WorldConfig
from nurture_rl.simulator.network_training import TrainingConfig

SIMULATION = study_world()
CONTACTS, SEED = 3000, 1


@lru_cache(maxsize=2)
def effect(sender: str) -> SendEffect:
    config = WorldConfig(members=1, training=TrainingConfig(epochs=15))
    return send_effect(SIMULATION, sender, CONTACTS, SEED, config)


def test_a_hand_picked_list_makes_sends_look_more_than_twice_as_good() -> None:
    assert effect("hand-picked").naive > 2.2 * effect("hand-picked").truth


def test_a_world_fitted_without_weights_believes_a_part_of_it() -> None:
    found = effect("hand-picked")
    assert found.unweighted > 1.35 * found.truth


def test_a_world_fitted_with_weights_knows_better() -> None:
    found = effect("hand-picked")
    assert abs(found.weighted - found.truth) < 0.5 * abs(found.unweighted - found.truth)
    assert found.weighted == pytest.approx(found.truth, rel=0.2)
    assert 0.6 < found.effective_share < 0.95


def test_by_lot_there_is_nothing_to_undo() -> None:
    policy = Picker.of(SIMULATION, tastes(SIMULATION)["by lot"])
    data = played_data(SIMULATION, policy, 3000, SEED)
    truth = true_effect(SIMULATION, policy, 3000, SEED)
    # 1,300 meetings in 30,000 decisions: the standard error of the difference is 0.0024.
    assert naive_effect(SIMULATION, data, policy) == pytest.approx(truth, abs=0.007)


def test_truth_needs_no_policy_and_gives_none_where_nothing_is_asked() -> None:
    params = InboundLeadParams(meeting_base=FREQUENT, meeting_asked=0.0)
    deaf = Simulation(InboundLeadWorld(SIMULATION.journey, params))
    policy = Picker.of(deaf, tastes(deaf)["hand-picked"])
    assert abs(true_effect(deaf, policy, 500, SEED)) < 0.001
    data = played_data(deaf, policy, 4000, SEED)
    assert naive_effect(deaf, data, policy) > 0.015  # all of it is who was picked


def test_the_table_gives_points_and_the_error_of_the_bias() -> None:
    logs = [SendEffect("s", seed, 0.01, 0.03, 0.02, 0.01 + 0.002 * seed, 0.8) for seed in (0, 1)]
    row = effect_table(logs).splitlines()[-1]
    assert row == "| s | 2 | 1.00 | 3.00 (0.00) | 2.00 (0.00) | 1.10 (0.10) | 80% |"
    assert np.isnan(float(effect_table(logs[:1]).split("(")[1].split(")")[0]))
