"""Q-learning in a world finds what is known to be best there, and stays where it will be held."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch

from nurture_envs.rollout import returns
from nurture_rl.errors import FitError
from nurture_rl.learned.scored import ScoredPolicy
from nurture_rl.policies.composition import Region
from nurture_rl.policies.policy import check_probabilities
from nurture_rl.rl import online_dqn
from nurture_rl.rl.online_dqn import OnlineDQNConfig, train_online_dqn
from nurture_rl.rl.replay_memory import PlayedContacts, ReplayMemory
from tests.unit.rl.test_held_actor import NEAR_EVEN
from tests.unit.rl.two_step_shop import BEST, MYOPIC, SEND, WAIT, shop_simulation, silent

CONFIG = OnlineDQNConfig(
    iterations=60, n_contacts=256, bins=4, steps=20, hidden=(16,), learning_rate=3e-3
)
TINY = replace(CONFIG, iterations=3, n_contacts=32, steps=5)
STATES = np.array([[0, 0], [1, 1], [1, 0]], np.float32)  # bin and click
FREE = np.ones((3, 3), np.bool_)


@cache
def trained(
    region: Region | None = None, dueling: bool = True, discount: float | None = None
) -> ScoredPolicy:
    config = replace(CONFIG, dueling=dueling, discount=discount)
    return train_online_dqn(shop_simulation(), config, 0, silent, region)


@pytest.mark.slow
@pytest.mark.parametrize("dueling", [True, False])
def test_the_known_best_value_is_reached(dueling: bool) -> None:
    value = returns(shop_simulation(), trained(dueling=dueling), 20_000, seed=9).value
    # One standard error is 0.03 EUR; waiting twice would earn 0.2 EUR.
    assert value.mean() == pytest.approx(BEST, abs=0.1)
    assert value.mean() > 10 * MYOPIC


@pytest.mark.slow
def test_values_are_those_of_the_shop() -> None:
    found = trained().module.scores(torch.from_numpy(STATES))[:, :, 0]
    # A send after a click 4.5, without one 0, waiting 0.2 (see `BEST`); a first send 2.28.
    assert float(found[1, SEND]) == pytest.approx(4.5, abs=0.4)
    assert float(found[2, WAIT]) == pytest.approx(0.2, abs=0.3)
    assert float(found[0, SEND]) == pytest.approx(BEST, abs=0.4)


@pytest.mark.slow
def test_without_looking_ahead_the_first_send_is_not_learned() -> None:  # negative control
    table = trained(discount=0.0).action_probabilities(STATES, FREE)
    assert table[0, SEND] < 1e-12


@pytest.mark.slow
def test_inside_a_region_what_is_valued_is_the_release() -> None:
    policy = trained(NEAR_EVEN)
    inside = NEAR_EVEN.around(policy)
    value = returns(shop_simulation(), inside, 20_000, seed=9).value.mean()
    found = policy.module.scores(torch.from_numpy(STATES[:1]))[0, :, 0].numpy()
    first = inside.action_probabilities(STATES[:1], FREE[:1])[0]
    assert first[SEND] == pytest.approx(0.9 * 0.5 + 0.1 / 3)  # at its limit
    assert float(first @ found) == pytest.approx(value, abs=0.15)
    free = trained().module.scores(torch.from_numpy(STATES[:1]))[0, :, 0].numpy()
    assert float(first @ free) > value + 0.3  # negative control: values of what may do all


@pytest.mark.slow
def test_no_decision_is_forbidden() -> None:
    mask = np.random.default_rng(1).random((200, 3)) < 0.5
    mask[:, WAIT] = True
    features = np.random.default_rng(0).normal(size=(200, 2)).astype(np.float32)
    check_probabilities(trained().action_probabilities(features, mask), mask)


@pytest.mark.parametrize("region", [None, NEAR_EVEN], ids=["free", "inside"])
def test_what_is_played_is_legal_and_inside_but_for_the_exploration(
    region: Region | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []
    step = PlayedContacts.step

    def watched(self: PlayedContacts, table: torch.Tensor) -> Any:
        seen.append((table, self.decision.mask))
        return step(self, table)

    monkeypatch.setattr(PlayedContacts, "step", watched)
    config = replace(TINY, epsilon=0.2, exploring=0.0)
    train_online_dqn(shop_simulation(), config, 0, silent, region)
    most = 1.0 if region is None else 0.9 * 0.5 + 0.1 / 3
    assert len(seen) == 2 + 3 * 4  # one horizon of even draws, then three rounds
    for table, mask in seen[2:]:
        exact = table.double()
        check_probabilities((exact / exact.sum(dim=1, keepdim=True)).numpy(), mask.numpy())
        assert float(table.max()) == pytest.approx(0.2 / 3 + 0.8 * most, abs=1e-6)
        assert float(table.min()) >= 0.2 / 3 - 1e-6


@pytest.mark.parametrize("region", [None, NEAR_EVEN], ids=["free", "inside"])
def test_the_same_seed_gives_the_same_policy(region: Region | None) -> None:
    one, two, other = (
        train_online_dqn(shop_simulation(), TINY, s, silent, region) for s in (3, 3, 4)
    )
    assert torch.equal(one.module.maps, two.module.maps)
    assert not torch.equal(one.module.maps, other.module.maps)


def test_exploration_falls_in_a_line_and_stays() -> None:
    config = OnlineDQNConfig(iterations=10, exploring=0.4, epsilon=0.2)
    assert [config.epsilon_of(k) for k in range(6)] == pytest.approx([1.0, 0.8, 0.6, 0.4, 0.2, 0.2])
    assert replace(config, exploring=0.0).epsilon_of(0) == pytest.approx(0.2)


def test_every_round_tells_finite_numbers() -> None:
    seen: list[dict[str, float]] = []
    train_online_dqn(shop_simulation(), TINY, 0, lambda _, told: seen.append(told))
    assert [set(one) for one in seen] == [{"loss", "mean_episode_return", "epsilon"}] * 3
    assert np.isfinite([list(one.values()) for one in seen]).all()


def test_what_was_played_first_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    added: list[int] = []
    add = ReplayMemory.add

    def watched(self: ReplayMemory, passed: Any) -> None:
        added.append(len(passed.action))
        add(self, passed)

    monkeypatch.setattr(ReplayMemory, "add", watched)
    train_online_dqn(shop_simulation(), TINY, 0, silent)
    assert added == [32] * (2 + 3 * 4)


def test_steps_shrink_over_the_second_half_of_the_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    rates: list[float] = []

    def watched(objective: Any, optimiser: torch.optim.Optimizer, drawn: Any) -> float:
        rates.append(optimiser.param_groups[0]["lr"])
        return 0.5

    monkeypatch.setattr(online_dqn, "descend", watched)
    config = replace(TINY, iterations=5, learning_rate=0.1)
    train_online_dqn(shop_simulation(), config, 0, silent)
    assert rates == pytest.approx([0.1, 0.1, 0.1, 0.08, 0.04])


def test_a_training_that_diverges_names_its_round(monkeypatch: pytest.MonkeyPatch) -> None:
    losses = iter([0.5, float("nan")])
    monkeypatch.setattr(online_dqn, "descend", lambda *given: next(losses))
    with pytest.raises(FitError, match="2 of 3"):
        train_online_dqn(shop_simulation(), TINY, 0, silent)


def test_a_memory_that_just_holds_what_a_bin_brings_is_taken() -> None:
    assert OnlineDQNConfig(n_contacts=100, memory=100).memory == 100


@pytest.mark.parametrize(
    "wrong",
    [{"iterations": 0}, {"bins": 0}, {"steps": 0}, {"hidden": ()}, {"follow": 0.0},
     {"epsilon": 1.5}, {"exploring": -0.1}, {"discount": 2.0}, {"memory": 100},
     {"learning_rate": np.inf}],
)  # fmt: skip
def test_a_setting_out_of_range_is_refused_by_name(wrong: dict[str, Any]) -> None:
    with pytest.raises(FitError, match=f"^{next(iter(wrong))} of OnlineDQN must be "):
        OnlineDQNConfig(**wrong)
