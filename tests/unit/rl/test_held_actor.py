"""An actor inside its trust region acts in training as it will be released."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from nurture_rl.policies.composition import Region, TrustRegion
from nurture_rl.policies.policy import BoolArray, FeatureArray, FloatArray, Spec
from nurture_rl.rl.actor import Actor
from nurture_rl.rl.held_actor import anchored, held


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
