from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from nurture_rl.rl.actor_files import load_actor, save_actor

from nurture_rl.errors import BundleError, ProbabilityError, ShapeError
from nurture_rl.policies.policy import check_probabilities
from nurture_rl.rl.actor import Actor, ActorPolicy, Standardiser

MASK = np.array([[True, True, False, True], [False, True, False, False], [True] * 4])


def policy(hidden: tuple[int, ...] = (8, 8)) -> ActorPolicy:
    module = Actor(3, 4, hidden, torch.Generator().manual_seed(0))
    for parameter in module.parameters():  # far from the almost uniform first actor
        torch.nn.init.normal_(parameter, generator=torch.Generator().manual_seed(1))
    return ActorPolicy("ppo", "abc", ("x", "y", "z"), hidden, 4, module.requires_grad_(False))


def contexts(scale: float = 1.0) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    return (scale * np.random.default_rng(0).normal(size=(3, 3))).astype(np.float32)


@pytest.mark.parametrize("scale", [1.0, 1e6])
def test_masked_actions_have_probability_exactly_0(scale: float) -> None:
    table = policy().action_probabilities(contexts(scale), MASK)
    check_probabilities(table, MASK)
    assert (table[~MASK] == 0.0).all()
    assert table[1].tolist() == [0.0, 1.0, 0.0, 0.0]


def test_the_exported_module_masks_exactly_too() -> None:
    table = policy().module(torch.tensor(contexts(1e6)), torch.tensor(MASK))
    assert bool((table[torch.tensor(~MASK)] == 0.0).all())
    assert table.dtype == torch.float32


def test_gradients_through_masked_rows_are_finite() -> None:
    actor = Actor(3, 4, (8,), torch.Generator().manual_seed(0))
    table = actor.log_probabilities(torch.tensor(contexts()), torch.tensor(MASK))
    entropy = -(table.exp() * table).sum()
    (entropy + table[0, 0] + table[1, 1]).backward()  # type: ignore[no-untyped-call]
    gradients = [p.grad for p in actor.parameters()]
    assert all(g is not None and bool(torch.isfinite(g).all()) for g in gradients)
    assert any(g is not None and float(g.abs().sum()) > 0 for g in gradients)


def test_a_new_actor_is_almost_uniform_over_legal_actions() -> None:
    actor = Actor(3, 4, (8,), torch.Generator().manual_seed(0))
    table = actor(torch.tensor(contexts()), torch.tensor(MASK)).detach().numpy()
    np.testing.assert_allclose(table, MASK / MASK.sum(axis=1, keepdims=True), atol=0.02)


def test_standardisation_is_part_of_the_module() -> None:
    moved = policy()
    moved.module.standardise.mean.fill_(2.0)
    moved.module.standardise.scale.fill_(4.0)
    there = moved.action_probabilities(4.0 * contexts() + 2.0, MASK)
    np.testing.assert_allclose(there, policy().action_probabilities(contexts(), MASK), rtol=1e-4)


def test_a_constant_column_keeps_its_scale() -> None:
    standardise = Standardiser(2)
    standardise.learn(torch.tensor([[5.0, 1.0], [5.0, 3.0]]))
    assert standardise.scale.tolist() == [1.0, 1.0]
    assert standardise(torch.tensor([[5.0, 3.0]])).tolist() == [[0.0, 1.0]]


def test_a_saved_actor_decides_exactly_as_before(tmp_path: Path) -> None:
    folder = tmp_path / "run" / "actor"  # neither is there yet
    save_actor(policy(), folder)
    again = load_actor(folder, "abc")
    before = policy().action_probabilities(contexts(), MASK)
    assert (again.action_probabilities(contexts(), MASK) == before).all()
    assert again.spec() == {"kind": "model", "name": "ppo"}
    assert again.columns == ("x", "y", "z")


def test_an_actor_of_another_catalogue_is_refused(tmp_path: Path) -> None:
    save_actor(policy(), tmp_path)
    with pytest.raises(BundleError, match="trained for catalogue abc, this journey's is xyz"):
        load_actor(tmp_path, "xyz")


@pytest.mark.parametrize("name", ["actor.safetensors", "actor.json"])
def test_a_damaged_actor_is_refused(tmp_path: Path, name: str) -> None:
    save_actor(policy(), tmp_path)
    (tmp_path / name).write_bytes(b"\x08")
    with pytest.raises(BundleError, match="save the policy again"):
        load_actor(tmp_path, "abc")


def test_contexts_of_another_catalogue_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"mask \[n, 4\]"):
        policy().action_probabilities(contexts(), MASK[:, :2])


def test_a_row_without_any_legal_action_is_refused() -> None:
    with pytest.raises(ProbabilityError, match="row 0 has no legal action"):
        policy().action_probabilities(contexts(), np.zeros((3, 4), bool))
