"""The networks that are trained to act."""

from __future__ import annotations

import numpy as np
import torch

from nurture_rl.rl.actor import Actor, Standardiser

MASK = np.array([[True, True, False, True], [False, True, False, False], [True] * 4])


def contexts() -> torch.Tensor:
    return torch.tensor(np.random.default_rng(0).normal(size=(3, 3)).astype(np.float32))


def test_gradients_through_masked_rows_are_finite() -> None:
    actor = Actor(3, 4, (8,), torch.Generator().manual_seed(0))
    table = actor.log_probabilities(contexts(), torch.tensor(MASK))
    entropy = -(table.exp() * table).sum()
    (entropy + table[0, 0] + table[1, 1]).backward()  # type: ignore[no-untyped-call]
    gradients = [p.grad for p in actor.parameters()]
    assert all(g is not None and bool(torch.isfinite(g).all()) for g in gradients)
    assert any(g is not None and float(g.abs().sum()) > 0 for g in gradients)


def test_masked_actions_are_never_drawn_in_training() -> None:
    actor = Actor(3, 4, (8,), torch.Generator().manual_seed(0))
    table = actor.log_probabilities(1e6 * contexts(), torch.tensor(MASK)).exp()
    assert bool((table[torch.tensor(~MASK)] == 0.0).all())


def test_a_new_actor_is_almost_uniform_over_legal_actions() -> None:
    actor = Actor(3, 4, (8,), torch.Generator().manual_seed(0))
    table = actor.log_probabilities(contexts(), torch.tensor(MASK)).exp().detach().numpy()
    np.testing.assert_allclose(table, MASK / MASK.sum(axis=1, keepdims=True), atol=0.02)


def test_a_constant_column_keeps_its_scale() -> None:
    standardise = Standardiser(2)
    standardise.learn(torch.tensor([[5.0, 1.0], [5.0, 3.0]]))
    assert standardise.scale.tolist() == [1.0, 1.0]
    assert standardise(torch.tensor([[5.0, 3.0]])).tolist() == [[0.0, 1.0]]
