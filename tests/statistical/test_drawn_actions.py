"""Every learner's policy acts as often as it says, and never by a masked action."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from nurture_rl.rl.actor import Actor, Critic
from nurture_rl.rl.training_rollout import begin, collect
from nurture_rl.serving.array_pass import uniforms
from nurture_rl.workflow.learners import LEARNERS
from tools import drawn_actions
from tools.drawn_actions import (
    LEVEL,
    WAYS,
    Drawn,
    FloatArray,
    IntArray,
    asked,
    drawn,
    learned,
    shop,
)

DRAWS = 1 << 20  # of each learner
EACH = LEVEL / (len(LEARNERS) * len(WAYS))  # so that all learners together cry wolf at LEVEL
DRAWING = ("boltzmann", "squarecb", "linear_thompson", "bc", "epsilon_greedy")  # none is certain


@cache
def counted(name: str, way: str) -> Drawn:
    """What came of a learner's share of the draws."""
    seed = 1000 * list(LEARNERS).index(name)
    return drawn(learned(name), *asked(name), WAYS[way], DRAWS // len(WAYS), seed)


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", LEARNERS)
def test_actions_come_as_often_as_the_policy_states(name: str, way: str) -> None:
    found = counted(name, way)
    assert found.counts.sum() >= DRAWS // len(WAYS)
    assert found.p_value() > EACH


@pytest.mark.slow
@pytest.mark.parametrize("name", LEARNERS)
def test_no_masked_action_is_ever_drawn(name: str) -> None:
    for way in WAYS:
        found = counted(name, way)
        assert (~found.mask).any()
        assert found.forbidden == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", DRAWING)
def test_a_propensity_that_is_off_by_a_fifth_of_it_is_noticed(name: str) -> None:
    # negative control: a fifth of the second likeliest action's is said of the likeliest
    found = counted(name, "as served")
    wrong = found.stated.copy()
    rows, order = np.arange(len(wrong)), np.argsort(wrong, axis=1)
    moved = 0.2 * wrong[rows, order[:, -2]]
    wrong[rows, order[:, -1]] += moved
    wrong[rows, order[:, -2]] -= moved
    assert replace(found, stated=wrong).p_value() < EACH


def test_a_draw_that_forgets_the_mask_is_noticed() -> None:
    # negative control
    def unmasked(table: FloatArray, seed: int) -> IntArray:
        return np.random.default_rng(seed).integers(0, table.shape[1], len(table))

    found = drawn(learned("boltzmann"), *asked("boltzmann"), unmasked, 10_000, 0)
    assert found.forbidden > 0
    assert found.p_value() < EACH


def test_a_certain_policy_that_draws_another_action_once_is_noticed() -> None:
    # negative control of the rare actions, which a chi-square could not judge
    stated = np.array([[1.0 - 1e-9, 1e-9], [0.5, 0.5]])
    mask = np.ones((2, 2), np.bool_)
    sound = Drawn(stated, mask, np.array([[1000, 0], [500, 500]]))
    assert sound.p_value() == 1.0
    once = Drawn(stated, mask, np.array([[999, 1], [500, 500]]))
    assert once.p_value() < 1e-5


def test_true_propensities_alarm_as_seldom_as_the_level_says() -> None:
    rng = np.random.default_rng(5)
    stated = rng.dirichlet(np.ones(4), 8)
    counts = [np.stack([rng.multinomial(4000, row) for row in stated]) for _ in range(1000)]
    mask = np.ones((8, 4), np.bool_)
    alarms = sum(Drawn(stated, mask, one).p_value() < 0.05 for one in counts)
    # 50 expected at most, half of them as both counts are doubled; four deviations above are 78.
    assert 10 <= alarms <= 78


def test_a_seed_is_judged_by_its_own_draws_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drawn_actions, "LEARNERS", {"boltzmann": LEARNERS["boltzmann"]})
    kept = tmp_path / "kept.json"
    asked_for = ["--decisions", "2000", "--kept", str(kept), "--seed"]
    assert drawn_actions.main([*asked_for, "10"]) == 0
    wrong = {key: [draws, 5, p] for key, (draws, _, p) in json.loads(kept.read_text()).items()}
    kept.write_text(json.dumps(wrong))
    assert drawn_actions.main([*asked_for, "1"]) == 0
    assert drawn_actions.main([*asked_for, "10"]) == 1


def test_the_luck_of_served_decisions_is_even() -> None:
    luck = uniforms(3, [f"decision-{number}" for number in range(100_000)])
    table = np.tile([0.1, 0.0, 0.6, 0.3], (len(luck), 1))
    cumulative = table[0].cumsum()
    counts = np.bincount(np.searchsorted(cumulative, luck, side="right"), minlength=4)
    mask = np.array([[True, False, True, True]])
    found = Drawn(table[:1], mask, counts[None])
    assert found.forbidden == 0
    assert found.p_value() > LEVEL


@pytest.mark.slow
def test_a_training_rollout_records_the_probability_that_it_drew_by() -> None:
    simulation, luck = shop(), torch.Generator().manual_seed(1)
    actor = Actor(2, len(simulation.catalog), (8,), luck)
    last = actor.layers[-1]
    assert isinstance(last, torch.nn.Linear)
    with torch.no_grad():
        last.bias.copy_(torch.tensor([0.5, 0.0, -1.0]))  # three unlike shares
    rollout = collect(actor, Critic(2, (8,), luck), begin(simulation, 1 << 18, 3), 1, 1.0)
    with torch.no_grad():
        table = actor.log_probabilities(rollout.features[0], rollout.mask[0]).exp()
    assert torch.equal(table[:1].expand_as(table), table)  # all contacts begin alike
    said = rollout.log_probability[0].exp()
    torch.testing.assert_close(said, table.gather(1, rollout.action[0][:, None])[:, 0])
    counts = torch.bincount(rollout.action[0], minlength=3).numpy()
    stated = table[:1].double().numpy()
    found = Drawn(stated / stated.sum(), rollout.mask[0][:1].numpy(), counts[None])
    assert found.forbidden == 0
    assert found.p_value() > LEVEL
