"""Draws are uniform, independent of each other, and a function of key, step, stream and index."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from nurture_envs.worlds.draws import (
    START,
    choose,
    contact_keys,
    next_episode,
    normals,
    population_keys,
    uniforms,
)

N = 100_000
FOUR_SIGMA = 4.0 / N**0.5


def correlation(a: Tensor, b: Tensor) -> float:
    return float(np.corrcoef(a.numpy().ravel(), b.numpy().ravel())[0, 1])


def test_uniforms_lie_in_zero_to_one_with_their_mean_and_variance() -> None:
    u = uniforms(contact_keys(0, N), 3, 0, 4)
    assert (u.dtype, u.shape) == (torch.float32, (4, N))
    assert float(u.min()) >= 0.0
    assert float(u.max()) < 1.0
    for column in u.to(torch.float64):
        assert float(column.mean()) == pytest.approx(0.5, abs=FOUR_SIGMA * 12**-0.5)
        # the variance of (u - 1/2)^2 is 1/180
        assert float(column.var()) == pytest.approx(1 / 12, abs=FOUR_SIGMA * 180**-0.5)


def test_uniforms_fill_their_deciles_evenly() -> None:
    counts = torch.histc(uniforms(contact_keys(5, N), START, 2, 1), bins=10, min=0.0, max=1.0)
    # chi-squared with 9 degrees of freedom: 27.9 is exceeded once in a thousand
    assert float(((counts - N / 10) ** 2 / (N / 10)).sum()) < 27.9


def test_neighbouring_keys_steps_streams_and_indices_share_no_luck() -> None:
    keys = contact_keys(1, N + 1)
    here = uniforms(keys[:N], 3, 0, 2)
    others = {
        "key": uniforms(keys[1:], 3, 0, 2),
        "step": uniforms(keys[:N], 4, 0, 2),
        "start": uniforms(keys[:N], START, 0, 2),
        "stream": uniforms(keys[:N], 3, 1, 2),
        "index": here.flip(0),
        "episode": uniforms(next_episode(keys[:N]), 3, 0, 2),
    }
    for name, other in others.items():
        assert not torch.equal(here, other), name
        assert abs(correlation(here[0], other[0])) < FOUR_SIGMA, name


def test_a_contacts_luck_depends_neither_on_its_batch_nor_on_the_count_of_draws() -> None:
    keys = contact_keys(9, 50)
    steps = torch.arange(50)
    together = uniforms(keys, steps, 2, 5)
    for row in (0, 17, 49):
        alone = uniforms(keys[row : row + 1], int(steps[row]), 2, 3)
        assert torch.equal(alone[:, 0], together[:3, row])
    assert torch.equal(uniforms(keys.flip(0), steps.flip(0), 2, 5).flip(1), together)


def test_keys_of_a_seed_are_single_keys_of_the_seeds_that_follow() -> None:
    many = contact_keys(40, 6)
    assert torch.equal(many, torch.cat([contact_keys(40 + row, 1) for row in range(6)]))
    assert len(torch.unique(many)) == 6


def test_populations_of_different_seeds_share_nobody() -> None:
    n = 20_000
    found = torch.cat([population_keys(seed, n) for seed in (0, 1, 2, -1, 2**40)])
    assert len(torch.unique(found)) == 5 * n
    assert not np.isin(contact_keys(0, n).numpy(), found.numpy()).any()


def test_a_larger_population_begins_with_the_smaller() -> None:
    assert torch.equal(population_keys(7, 100)[:10], population_keys(7, 10))


def test_populations_of_neighbouring_seeds_share_no_luck() -> None:
    here, there = (uniforms(population_keys(seed, N), 0, 0, 1) for seed in (3, 4))
    assert abs(correlation(here, there)) < FOUR_SIGMA


def test_the_next_episode_is_another_one_each_time() -> None:
    first = contact_keys(0, 1000)
    second = next_episode(first)
    assert len(torch.unique(torch.cat([first, second, next_episode(second)]))) == 3000


def test_normals_have_the_moments_of_the_standard_normal() -> None:
    z = normals(contact_keys(2, N), 0, 1, 1).to(torch.float64)[0]
    moments = [float((z**power).mean()) for power in (1, 2, 3, 4)]
    # standard deviations of the powers: 1, sqrt(2), sqrt(15), sqrt(96)
    for found, expected, sigma in zip(
        moments, (0, 1, 0, 3), (1.0, 2**0.5, 15**0.5, 96**0.5), strict=True
    ):
        assert found == pytest.approx(expected, abs=FOUR_SIGMA * sigma)
    assert bool(torch.isfinite(z).all())


def test_what_has_no_probability_is_never_chosen() -> None:
    table = torch.tensor([0.0, 0.3, 0.0, 0.7, 0.0], dtype=torch.float64)
    luck = torch.cat(
        [torch.tensor([0.0, 1 - 2**-24, 0.3]), uniforms(contact_keys(0, 1000), 0, 0, 1)[0]]
    )
    drawn = choose(table.repeat(len(luck), 1), luck)
    assert set(drawn.tolist()) == {1, 3}
    assert drawn[:2].tolist() == [1, 3]


def test_actions_are_chosen_as_often_as_they_should() -> None:
    shares = torch.tensor([0.05, 0.2, 0.75], dtype=torch.float64)
    luck = uniforms(contact_keys(3, N), 0, 7, 1)[0]
    counts = torch.bincount(choose(shares.repeat(N, 1), luck), minlength=3)
    for count, share in zip(counts.tolist(), shares.tolist(), strict=True):
        assert count / N == pytest.approx(share, abs=FOUR_SIGMA * (share * (1 - share)) ** 0.5)


def test_each_row_is_drawn_by_its_own_probabilities() -> None:
    certain = torch.eye(4, dtype=torch.float64)
    assert choose(certain, torch.tensor([0.0, 0.9, 0.5, 0.1])).tolist() == [0, 1, 2, 3]
