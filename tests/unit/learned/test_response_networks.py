"""Compiled networks: bit-equal whatever is computed beside a contact, and equal to the formula."""

from __future__ import annotations

from functools import lru_cache

import pytest
import torch
from torch import Tensor

from nurture_envs.worlds.draws import contact_keys, uniforms
from nurture_envs.worlds.heads import ModelSizes, ResponseModel
from nurture_envs.worlds.response_networks import ResponseNetworks

D, A, H, V, E, N = 67, 30, 23, 2, 5, 5000
SIZES = ModelSizes(D, A, tuple(f"column {i}" for i in range(19)), H, V, 1)


@lru_cache(maxsize=1)
def members() -> tuple[ResponseModel, ...]:
    """Networks of a usual size whose every number is noise."""
    generator = torch.Generator().manual_seed(0)
    shared = {
        "embedding": (torch.rand((A, 19), generator=generator) < 0.2).float(),
        "chain": torch.randn((H, H), generator=generator).tril(-1),
        "standard_mean": torch.randn(D, generator=generator),
        "standard_scale": torch.rand(D, generator=generator) + 0.5,
    }
    made = []
    for _ in range(E):
        model = ResponseModel(SIZES).requires_grad_(False)
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.2)
        for name, table in shared.items():
            model.get_buffer(name).copy_(table)
        model.slope.copy_(torch.rand(H, generator=generator) + 0.5)
        model.shift.copy_(torch.randn(H, generator=generator))
        made.append(model)
    return tuple(made)


def contacts() -> tuple[Tensor, Tensor, Tensor]:
    """Features, actions and members of N contacts."""
    generator = torch.Generator().manual_seed(1)
    features = torch.randn((D, N), generator=generator)
    action = torch.randint(0, A, (N,), generator=generator)
    return features, action, torch.randint(0, E, (N,), generator=generator)


def chances(rows: slice) -> Tensor:
    """Value means, and chances given a walk, of some contacts, [H + V, n]."""
    features, action, member = contacts()
    player = ResponseNetworks(members(), "cpu")
    n = len(action[rows])
    out = player.outputs(features[:, rows].contiguous(), action[rows], member[rows])
    keys = torch.zeros(out.shape[1], dtype=torch.int64)
    keys[:n] = contact_keys(0, N)[rows]
    luck = uniforms(keys, torch.zeros_like(keys), 1, H)
    _, chance = player.walk(out[:H], luck)
    return torch.cat([chance, out[H:]])[:, :n]


@pytest.mark.parametrize("n", [1, 7, 64, 1000, 4096])
def test_every_bit_is_the_same_whatever_is_computed_beside_a_contact(n: int) -> None:
    together = chances(slice(0, N))
    assert torch.equal(chances(slice(0, n)), together[:, :n])
    assert torch.equal(chances(slice(N - n, N)), together[:, N - n :])


def test_compiled_outputs_are_those_of_the_formula() -> None:
    features, action, member = contacts()
    out = ResponseNetworks(members(), "cpu").outputs(features, action, member)[:, :N].double()
    for k, model in enumerate(members()):
        rows = member == k
        exact = model.double().raw(model.standard(features.T[rows].double()), action[rows])
        counts = model.slope * exact[:, :H] + model.shift
        wanted = torch.cat([counts, exact[:, H:]], dim=1)
        model.float()
        torch.testing.assert_close(out[:, rows].T, wanted, rtol=1e-4, atol=1e-4)


def test_all_outputs_tell_what_each_member_would_say() -> None:
    features, action, member = contacts()
    player = ResponseNetworks(members(), "cpu")
    every = player.all_outputs(features[:, :300], action[:300])
    own = player.outputs(features[:, :300], action[:300], member[:300])
    chosen = torch.stack([every[int(member[i]), :, i] for i in range(300)], dim=1)
    torch.testing.assert_close(own[:, :300], chosen)
