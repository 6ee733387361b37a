"""Shared limits by loops against those of `population`."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nurture_envs.loops import shared_limits
from nurture_envs.population import LOTTERY, Population, lived_on, settle, together
from nurture_envs.worlds.draws import contact_keys

N, WAIT = 500, 0
CALLS, SENDS = np.array([False, True, False]), np.array([False, False, True])


@pytest.mark.parametrize("capacity", [None, 0.0, 6.0, 100.0, 1e6])
@pytest.mark.parametrize("growth", [None, 0.5, 2.0])
def test_the_same_contacts_go_first(capacity: float | None, growth: float | None) -> None:
    population = Population(seller_capacity=capacity, volume_growth=growth, volume_floor=100.0)
    company = together(population, N, torch.device("cpu"))
    keys, bins = contact_keys(4, N), torch.arange(N) % 9
    chosen = torch.randint(0, 3, (N,), generator=torch.Generator().manual_seed(1))
    wanted = settle(population, company, chosen == 2, chosen == 1, keys, bins)
    action, refused = chosen.numpy().copy(), np.full(N, 9, np.int32)
    rooms = shared_limits.rooms_of(population, company.volume.numpy(), N)
    shared_limits.settle(
        keys.numpy(), bins.numpy(), LOTTERY, (CALLS, SENDS), rooms, WAIT, action, refused
    )
    np.testing.assert_array_equal(refused, wanted.numpy())
    np.testing.assert_array_equal(action, np.where(wanted.numpy() == 0, chosen.numpy(), WAIT))


def test_of_equal_draws_the_earlier_contact_goes_first() -> None:
    keys, bins = np.full(6, 77), np.zeros(6, np.int64)
    action, refused = np.array([1, 0, 1, 1, 2, 1]), np.zeros(6, np.int32)
    shared_limits.settle(
        keys, bins, LOTTERY, (CALLS, SENDS), (2, shared_limits.UNLIMITED), WAIT, action, refused
    )
    np.testing.assert_array_equal(action, [1, 0, 1, 0, 2, 0])


@pytest.mark.parametrize("size", [1, 2, 4, 7])
def test_colleagues_are_the_others_of_an_account(size: int) -> None:
    company = together(Population(account_size=size), 23, torch.device("cpu"))
    mark = torch.rand(23, generator=torch.Generator().manual_seed(2)) < 0.5
    wanted = lived_on(company, mark, ~mark, torch.ones(())).around.colleague_sends
    count = np.full(23, -1.0, np.float32)
    shared_limits.of_others(mark.numpy(), size, count)
    np.testing.assert_array_equal(count, torch.as_tensor(wanted).numpy())


def test_an_illegal_action_becomes_a_wait_in_the_columns_of_its_block() -> None:
    mask = np.zeros((3, 8), np.bool_)
    mask[0], mask[2, 3], mask[1, 5] = True, True, True
    chosen, action = np.array([2, 2, 1, 0]), np.full(4, 9)
    shared_limits.choose(mask.reshape(-1), 8, 3, chosen, WAIT, action)
    np.testing.assert_array_equal(action, [2, 0, 1, 0])
