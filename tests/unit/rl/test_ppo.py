from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from nurture_envs.rollout import returns
from nurture_envs.simulation import Simulation
from nurture_rl.errors import FitError
from nurture_rl.learned.scored import ScoredPolicy
from nurture_rl.rl import ppo
from nurture_rl.rl.actor import Actor, Critic
from nurture_rl.rl.ppo import (
    Batch,
    PPOConfig,
    RewardScale,
    _improve,
    _metrics,
    clipped_loss,
    prepare,
    train_ppo,
)
from nurture_rl.rl.training_rollout import Rollout, begin, collect
from tests.unit.learned.test_learned_loops import WORLDS
from tests.unit.rl.two_step_shop import BEST, EXIT, MYOPIC, SEND, WAIT, shop_simulation, silent

CONFIG = PPOConfig(iterations=30, n_contacts=512, hidden=(16,), learning_rate=1e-2)
TINY = replace(CONFIG, iterations=2, n_contacts=32)


def probabilities(policy: ScoredPolicy, bin_: float, clicked: float) -> list[float]:
    features = np.array([[bin_, clicked]], np.float32)
    return [float(p) for p in policy.action_probabilities(features, np.ones((1, 3), bool))[0]]


@pytest.fixture(scope="module")
def trained() -> ScoredPolicy:
    return train_ppo(shop_simulation(), CONFIG, 0, silent)


@pytest.mark.slow
def test_the_known_best_value_is_reached(trained: ScoredPolicy) -> None:
    value = returns(shop_simulation(), trained, 20_000, seed=9).value
    # One standard error is 0.03 EUR; waiting twice would earn 0.2 EUR.
    assert value.mean() == pytest.approx(BEST, abs=0.15)
    assert value.mean() > 10 * MYOPIC


def test_the_trained_actor_sends_first_and_then_only_after_a_click(trained: ScoredPolicy) -> None:
    assert probabilities(trained, 0, 0)[SEND] > 0.9
    assert probabilities(trained, 1, 1)[SEND] > 0.9
    assert probabilities(trained, 1, 0)[WAIT] > 0.6  # waiting is worth 0.2 EUR more than exit


@pytest.mark.slow
def test_without_looking_ahead_the_first_send_is_not_learned() -> None:  # negative control
    blind = train_ppo(shop_simulation(), replace(CONFIG, discount=0.0, trace=0.0), 0, silent)
    assert probabilities(blind, 0, 0)[SEND] < 0.2


@pytest.mark.slow
def test_a_journey_of_one_bin_is_learned() -> None:
    policy = train_ppo(shop_simulation(periods=1), CONFIG, 0, silent)
    chosen = probabilities(policy, 0, 0)
    assert chosen[WAIT] > chosen[EXIT]
    assert chosen[WAIT] > 0.5


@pytest.mark.slow
def test_the_same_seed_gives_the_same_policy() -> None:
    one, two, other = (train_ppo(shop_simulation(), TINY, seed, silent) for seed in (3, 3, 4))
    assert probabilities(one, 0, 0) == probabilities(two, 0, 0)
    assert probabilities(one, 0, 0) != probabilities(other, 0, 0)


@pytest.mark.slow
@pytest.mark.parametrize("pessimism", [0.0, 0.5])
def test_the_policy_is_the_same_whether_contacts_are_played_compiled_or_not(
    pessimism: float,
) -> None:
    world, config = WORLDS["linked heads"], replace(TINY, n_contacts=200)
    plain, loops = (
        train_ppo(Simulation(world, pessimism=pessimism, compiled=kind), config, 0, silent)
        for kind in (False, True)
    )
    pairs = zip(plain.module.parameters(), loops.module.parameters(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)


def test_every_iteration_reports_finite_metrics() -> None:
    seen: list[dict[str, float]] = []
    train_ppo(shop_simulation(), TINY, 0, lambda _, metrics: seen.append(metrics))
    assert len(seen) == 2
    assert set(seen[0]) == {
        "mean_episode_return",
        "explained_variance",
        "entropy",
        "kl",
        "clip_share",
    }
    assert np.isfinite([list(metrics.values()) for metrics in seen]).all()


@pytest.mark.slow
def test_the_critic_comes_to_explain_what_episodes_earn() -> None:
    seen: list[dict[str, float]] = []
    train_ppo(shop_simulation(), CONFIG, 0, lambda _, metrics: seen.append(metrics))
    explained = [metrics["explained_variance"] for metrics in seen]
    assert abs(explained[0]) < 0.1
    # Of luck nothing can be explained: what is bought has most of the variance.
    assert 0.1 < np.mean(explained[-5:]) < 0.3


def test_explained_variance_does_not_depend_on_the_size_of_the_targets() -> None:
    rollout = play(4)
    ready = prepare(rollout, 1.0, 1.0, 1.0)
    for size in (1.0, 0.01):
        target = size * ready.target
        value = (target + size * torch.linspace(-0.5, 0.5, len(target))).reshape(4, 200)
        found = _metrics(replace(rollout, value=value), replace(ready, target=target))
        left = torch.linspace(-0.5, 0.5, len(target)).var(correction=0)
        expected = 1.0 - float(left / ready.target.var(correction=0))
        assert found["explained_variance"] == pytest.approx(expected, rel=1e-3)
    constant = replace(ready, target=torch.ones(800))
    assert _metrics(rollout, constant)["explained_variance"] == 0.0


def play(length: int) -> Rollout:
    generator = torch.Generator().manual_seed(0)
    actor, critic = Actor(2, 3, (4,), generator), Critic(2, (4,), generator)
    shop = shop_simulation()
    return collect(actor, critic, begin(shop, 200, 5), length, 1.0)


def test_contacts_start_over_in_bin_0_after_their_episode_ended() -> None:
    rollout = play(6)
    bins, done = rollout.features[..., 0], rollout.done
    assert bool((bins[1:][done[:-1]] == 0).all())
    assert bool((bins[1:][~done[:-1]] == 1).all())
    assert bool(done[bins == 1].all())  # the horizon


def test_returns_are_counted_from_the_start_of_each_episode() -> None:
    rollout = play(6)
    earned, finished = torch.zeros(200), []
    for reward, done, running in zip(rollout.reward, rollout.done, rollout.running, strict=True):
        earned = earned + reward
        torch.testing.assert_close(running, earned)  # the discount is 1
        finished.append(earned[done])
        earned = earned * ~done
    torch.testing.assert_close(rollout.finished, torch.cat(finished))


def test_each_episode_of_a_contact_has_its_own_luck() -> None:
    generator = torch.Generator().manual_seed(0)
    actor, critic = Actor(2, 3, (4,), generator), Critic(2, (4,), generator)
    cursor = begin(shop_simulation(), 200, 5)
    first = cursor.player.standing().keys
    rollout = collect(actor, critic, cursor, 2, 1.0)
    assert bool(rollout.done.any(dim=0).all())
    assert not bool((cursor.player.standing().keys == first).any())


def test_value_targets_are_the_scaled_returns_when_the_trace_is_full() -> None:
    rollout = play(2)
    ready = prepare(rollout, 4.0, 1.0, 1.0)
    whole = ~rollout.done[0]  # the second bin then ends the episode
    expected = (rollout.reward.sum(dim=0) / 4.0)[whole]
    torch.testing.assert_close(ready.target[:200][whole], expected)
    torch.testing.assert_close(ready.target[200:][whole], rollout.reward[1][whole] / 4.0)


def batch(**changes: torch.Tensor) -> Batch:
    parts = {
        "features": torch.zeros(2, 2),
        "mask": torch.ones(2, 3, dtype=torch.bool),
        "anchor": torch.zeros(2, 0),
        "action": torch.tensor([0, 1]),
        "log_probability": torch.log(torch.tensor([0.25, 0.5])),
        "advantage": torch.tensor([1.0, -1.0]),
        "target": torch.zeros(2),
        "free": torch.ones(2, dtype=torch.bool),
    }
    return Batch(**(parts | changes))


def test_the_clipped_objective_matches_hand_calculation() -> None:
    table = torch.log(torch.tensor([[0.5, 0.25, 0.25], [0.25, 0.25, 0.5]]))
    loss, seen = clipped_loss(table, batch(), clip=0.2, entropy=0.0)
    # ratios 2 and 0.5; min(2, 1.2) = 1.2 and min(-0.5, -0.8) = -0.8
    assert float(loss) == pytest.approx(-(1.2 - 0.8) / 2)
    assert seen["clip_share"] == 1.0
    assert seen["kl"] == pytest.approx((2 - 1 - np.log(2) + 0.5 - 1 + np.log(2)) / 2)
    assert seen["entropy"] == pytest.approx(1.5 * np.log(2))


def test_forced_decisions_teach_the_actor_nothing() -> None:
    logits = torch.zeros(2, 3, requires_grad=True)
    forced = batch(free=torch.tensor([True, False]))
    loss, _ = clipped_loss(torch.log_softmax(logits, dim=1), forced, clip=5.0, entropy=0.1)
    # The ratio of the only free decision is (1/3) / 0.25.
    assert float(loss.detach()) == pytest.approx(-(4.0 / 3.0 + 0.1 * np.log(3.0)))
    (gradient,) = torch.autograd.grad(loss, logits)
    assert float(gradient[0].abs().sum()) > 0
    assert float(gradient[1].abs().sum()) == 0
    none = batch(free=torch.zeros(2, dtype=torch.bool))
    assert float(clipped_loss(logits.detach(), none, clip=0.2, entropy=0.1)[0]) == 0.0


def test_advantages_are_standardised_over_decisions_with_a_choice() -> None:
    rollout = play(4)
    forced = rollout.mask.clone()
    forced[0] = torch.tensor([False, True, False])
    ready = prepare(replace(rollout, mask=forced), 3.0, 1.0, 0.95)
    free = ready.advantage[ready.free]
    assert int(ready.free.sum()) == 3 * 200
    assert float(free.mean()) == pytest.approx(0.0, abs=1e-5)
    assert float(free.std(correction=0)) == pytest.approx(1.0, abs=1e-4)


def test_the_reward_scale_is_the_spread_of_everything_seen() -> None:
    parts = [np.array([1.0, 2.0, 4.0]), np.array([[-3.0, 10.0]]), np.array([0.5])]
    scale = RewardScale()
    seen = [scale.update(torch.tensor(part)) for part in parts]
    assert seen[-1] == pytest.approx(np.concatenate([p.ravel() for p in parts]).std())


def test_the_entropy_is_a_bonus_and_a_small_move_is_not_clipped() -> None:
    table = torch.log(torch.tensor([[0.275, 0.475, 0.25], [0.25, 0.45, 0.3]]))
    plain, seen = clipped_loss(table, batch(), clip=0.2, entropy=0.0)
    # ratios 1.1 and 0.9, both inside of 0.8 to 1.2
    assert float(plain) == pytest.approx(-(1.1 - 0.9) / 2)
    assert seen["clip_share"] == 0.0
    spread = -float((table.exp() * table).sum()) / 2
    bonus, _ = clipped_loss(table, batch(), clip=0.2, entropy=0.3)
    assert float(bonus) == pytest.approx(-(1.1 - 0.9) / 2 - 0.3 * spread)


def test_larger_advantages_count_more_clipped_or_not() -> None:
    table = torch.log(torch.tensor([[0.275, 0.475, 0.25], [0.25, 0.45, 0.3]]))  # 1.1 and 0.9
    given = batch(advantage=torch.tensor([2.0, -0.5]))
    free, _ = clipped_loss(table, given, clip=0.2, entropy=0.0)
    assert float(free) == pytest.approx(-(1.1 * 2.0 - 0.9 * 0.5) / 2)
    # At 1.05 and 0.95 the clipped gains are the smaller ones.
    clipped, _ = clipped_loss(table, given, clip=0.05, entropy=0.0)
    assert float(clipped) == pytest.approx(-(1.05 * 2.0 - 0.95 * 0.5) / 2)


def improved(config: PPOConfig, **changes: torch.Tensor) -> tuple[Actor, Critic, list[int]]:
    """Networks after `_improve` on two decisions, and the rows of each step."""
    luck = torch.Generator().manual_seed(0)
    actor, critic = Actor(2, 3, (), luck), Critic(2, (), luck)
    rows: list[int] = []
    step = torch.optim.SGD([*actor.parameters(), *critic.parameters()], lr=0.5)

    class Watched(Batch):
        def take(self, chosen: torch.Tensor) -> Batch:
            rows.append(len(chosen))
            return super().take(chosen)

    given = batch(**changes)
    watched = Watched(*(getattr(given, name) for name in Batch.__slots__))
    _improve(actor, critic, step, watched, config, None, luck)
    return actor, critic, rows


def test_the_critic_goes_towards_its_targets() -> None:
    config = replace(TINY, epochs=1, minibatches=1, max_grad_norm=100.0, target_kl=1e9)
    _, critic, _ = improved(config, target=torch.tensor([4.0, 2.0]))
    # Features are 0: the value is a bias, 0 at first; loss 0.5 mean (b - t)^2 has slope -3.
    assert critic(torch.zeros(1, 2)).tolist() == pytest.approx([0.5 * 3.0])


def test_every_row_is_in_one_minibatch_of_each_pass() -> None:
    config = replace(TINY, epochs=3, minibatches=2, target_kl=1e9)
    assert improved(config)[2] == [1, 1] * 3
    assert improved(replace(config, minibatches=5))[2] == [1, 1] * 3
    assert improved(replace(config, minibatches=1))[2] == [2] * 3


def test_passes_end_when_the_policy_has_moved_too_far() -> None:
    # The actor draws a third each, the log 0.25 and 0.5: a KL of 0.048 nats from the start.
    near = replace(TINY, epochs=3, minibatches=1, target_kl=0.01)
    actor, _, rows = improved(near)
    assert rows == [2]
    last = list(actor.parameters())[-1]  # the bias of the logits
    assert last.tolist() == [0.0, 0.0, 0.0]
    assert improved(replace(near, target_kl=1e9))[2] == [2] * 3


def test_steps_shrink_in_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    rates: list[float] = []

    def watched(actor: Any, critic: Any, optimizer: torch.optim.Optimizer, *rest: Any) -> Any:
        rates.append(optimizer.param_groups[0]["lr"])
        return {"entropy": 1.0, "kl": 0.0, "clip_share": 0.0}

    monkeypatch.setattr(ppo, "_improve", watched)
    train_ppo(shop_simulation(), replace(TINY, iterations=4, learning_rate=0.2), 0, silent)
    assert rates == pytest.approx([0.2, 0.15, 0.1, 0.05])


@pytest.mark.parametrize(
    "wrong",
    [{"iterations": 0}, {"n_contacts": 0}, {"epochs": 0}, {"minibatches": 0}, {"hidden": (-1,)},
     {"hidden": ()}, {"learning_rate": -1.0}, {"learning_rate": np.inf}, {"clip": -1.0},
     {"entropy": -0.1}, {"trace": 1.1}, {"max_grad_norm": 0.0}, {"target_kl": np.nan},
     {"discount": 2.0}],
)  # fmt: skip
def test_a_setting_out_of_range_is_refused_by_name(wrong: dict[str, Any]) -> None:
    with pytest.raises(FitError, match=f"^{next(iter(wrong))} of PPO must be "):
        PPOConfig(**wrong)
