"""An actor inside its trust region acts in training as it will be released."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from nurture_rl.policies.composition import Region, TrustRegion
from nurture_rl.policies.policy import BoolArray, FeatureArray, FloatArray, Spec
from nurture_rl.rl.actor import Actor, Critic
from nurture_rl.rl.held_actor import anchored, held
from nurture_rl.rl.ppo import PPOConfig, _improve, prepare, train_ppo
from nurture_rl.rl.training_rollout import begin, collect
from tests.unit.rl.two_step_shop import SEND, shop_simulation, silent


class Weighted:
    """Follows fixed weights over the legal actions."""

    def action_probabilities(self, features: FeatureArray, mask: BoolArray) -> FloatArray:
        weights = np.array([0.5, 0.3, 0.15, 0.05]) * mask
        return np.asarray(weights / weights.sum(axis=1, keepdims=True), np.float64)

    def spec(self) -> Spec:
        return {"kind": "weighted"}


REGION = Region(Weighted(), max_ratio=2.0, explore=0.1)


def test_the_actor_acts_in_training_as_its_composition_will() -> None:
    rng = np.random.default_rng(0)
    actor = Actor(3, 4, (8,), torch.Generator().manual_seed(0))
    torch.nn.init.normal_(actor.layers[-1].weight, std=2.0)  # type: ignore[arg-type]
    features = rng.normal(size=(400, 3)).astype(np.float32)
    mask = rng.random((400, 4)) < 0.7
    mask[:, 1] = True
    x, legal = torch.tensor(features), torch.tensor(mask)
    trained = held(actor.log_probabilities(x, legal), anchored(REGION, x, legal), REGION).exp()
    released = REGION.around(actor.policy("abc", ("x", "y", "z")))
    assert isinstance(released, TrustRegion)
    table = released.action_probabilities(features, mask)
    np.testing.assert_allclose(trained.detach().numpy(), table, atol=1e-6)
    assert (table > 1.89 * REGION.anchor.action_probabilities(features, mask)).mean() > 0.1


def one(*wanted: float) -> tuple[Tensor, Tensor]:
    """Logits of one context that the actor may learn, and what the anchor does there."""
    logits = torch.tensor([wanted]).log().requires_grad_()
    return logits, torch.tensor([[0.5, 0.3, 0.15, 0.05]])


def gradient(logits: Tensor, anchor: Tensor, action: int, advantage: float) -> list[float]:
    table = torch.log_softmax(logits, dim=1)
    told = held(table, anchor, REGION)
    (advantage * told[0, action]).backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    return [float(one) for one in logits.grad[0]]


class Even:
    """Draws evenly among the legal actions."""

    def action_probabilities(self, features: FeatureArray, mask: BoolArray) -> FloatArray:
        return np.asarray(mask / mask.sum(axis=1, keepdims=True), np.float64)

    def spec(self) -> Spec:
        return {"kind": "even"}


NEAR_EVEN = Region(Even(), max_ratio=1.5, explore=0.1)


def sharp_actor() -> Actor:
    actor = Actor(2, 3, (8,), torch.Generator().manual_seed(0))
    torch.nn.init.normal_(actor.layers[-1].weight, std=3.0)  # type: ignore[arg-type]
    return actor


def test_a_rollout_is_drawn_from_the_policy_as_released_and_learned_from_as_such() -> None:
    simulation = shop_simulation()
    actor = sharp_actor()
    critic = Critic(2, (8,), torch.Generator().manual_seed(1))
    cursor = begin(simulation, 64, 5)
    rollout = collect(actor, critic, cursor, 2, 1.0, NEAR_EVEN)
    released = NEAR_EVEN.around(actor.policy("abc", ("x", "y")))
    features, mask = rollout.features.flatten(0, 1).numpy(), rollout.mask.flatten(0, 1).numpy()
    table = released.action_probabilities(features, mask)
    told = table[np.arange(len(table)), rollout.action.flatten().numpy()]
    assert rollout.log_probability.exp().flatten().tolist() == pytest.approx(told, abs=1e-6)
    batch = prepare(rollout, 1.0, 1.0, 0.95)
    config = PPOConfig(epochs=1, minibatches=1)
    optimizer = torch.optim.Adam(actor.parameters())
    seen = _improve(actor, critic, optimizer, batch, config, NEAR_EVEN, torch.Generator())
    assert seen["kl"] == pytest.approx(0.0, abs=1e-6)  # nothing has moved before the first step


@pytest.mark.slow
def test_what_is_learned_inside_the_region_spends_its_allowance_on_the_best() -> None:
    simulation = shop_simulation()
    config = PPOConfig(iterations=30, n_contacts=512, hidden=(16,), learning_rate=1e-2)
    policy = train_ppo(simulation, config, 0, silent, NEAR_EVEN)
    first = NEAR_EVEN.around(policy).action_probabilities(
        np.zeros((1, 2), np.float32), np.ones((1, 3), bool)
    )[0]
    most = 0.9 * 1.5 / 3 + 0.1 / 3
    assert float(first[SEND]) == pytest.approx(most, abs=1e-3)  # the best first step, at its limit


def test_what_is_free_learns_through_its_share_of_what_is_left() -> None:
    # Actions 2 and 3 are at their limits 0.3 and 0.1; 0.6 is left for 0 and 1, in shares 2 : 1.
    logits, anchor = one(0.2, 0.1, 0.4, 0.3)
    told = held(torch.log_softmax(logits, dim=1), anchor, REGION).exp()
    expected = [
        0.9 * q + 0.1 * mu for q, mu in zip([0.4, 0.2, 0.3, 0.1], anchor[0].tolist(), strict=True)
    ]
    assert told[0].tolist() == pytest.approx(expected, abs=1e-6)
    # d log(0.9 q_0 + 0.1 mu_0) / d logit = 0.9 q_0 / (..) (1 - 2/3) for its own, the reverse for 1.
    slope = 0.36 / 0.41 / 3
    assert gradient(logits, anchor, 0, 1.0) == pytest.approx([slope, -slope, 0, 0], abs=1e-5)


@pytest.mark.parametrize("advantage", [1.0, -1.0])
def test_an_action_at_its_limit_learns_by_the_softmax_of_the_actor(advantage: float) -> None:
    found = gradient(*one(0.2, 0.1, 0.4, 0.3), action=2, advantage=advantage)
    softmax = [-0.2, -0.1, 1.0 - 0.4, -0.3]
    assert found == pytest.approx([advantage * slope for slope in softmax], abs=1e-5)


def test_gradients_are_finite_where_only_headroom_is_left() -> None:
    logits, anchor = one(1.0, 1e-38, 1e-38, 1e-38)
    anchor = torch.tensor([[0.05, 0.5, 0.3, 0.15]])
    found = gradient(logits, anchor, 1, 1.0)
    assert all(np.isfinite(found))
    assert found == pytest.approx([0.0] * 4, abs=1e-6)  # only headroom was shared


def test_without_a_region_there_is_no_anchor() -> None:
    x, legal = torch.zeros(5, 3), torch.ones(5, 4, dtype=torch.bool)
    assert anchored(None, x, legal).shape == (5, 0)
    assert anchored(REGION, x, legal).shape == (5, 4)
