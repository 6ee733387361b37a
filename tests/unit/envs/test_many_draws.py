from __future__ import annotations

from itertools import combinations

import torch

from nurture_envs.worlds.draws import contact_keys, uniforms

N = 400_000
DRAWS = uniforms(contact_keys(0, N), torch.zeros(N, dtype=torch.int64), 13, 7)


def test_draws_are_uniform() -> None:
    for row in DRAWS:
        counts = torch.histc(row, 64, 0.0, 1.0).double()
        expected = N / 64
        # chi-square with 63 degrees of freedom: mean 63, deviation 11.2
        assert float(((counts - expected) ** 2 / expected).sum()) < 63 + 5 * 11.2
    assert float(DRAWS.min()) >= 0.0
    assert float(DRAWS.max()) < 1.0


def test_rare_events_of_two_heads_meet_as_often_as_independent_ones() -> None:
    rare = (DRAWS < 0.01).double()
    for i, j in combinations(range(7), 2):
        # 40 meetings expected, deviation 6.3
        assert abs(float((rare[i] * rare[j]).sum()) - 40.0) < 4.5 * 6.3


def test_a_draw_does_not_depend_on_the_contacts_or_draws_beside_it() -> None:
    keys, bins = contact_keys(0, 5), torch.zeros(5, dtype=torch.int64)
    assert torch.equal(uniforms(keys, bins, 13, 7), DRAWS[:, :5])


def test_every_bin_and_stream_has_its_own_luck() -> None:
    keys, bins = contact_keys(0, 1000), torch.zeros(1000, dtype=torch.int64)
    first = uniforms(keys, bins, 13, 2)
    for other in (uniforms(keys, bins + 1, 13, 2), uniforms(keys, bins, 14, 2)):
        assert abs(float(torch.corrcoef(torch.stack([first[0], other[0]]))[0, 1])) < 0.13
        assert not bool((first == other).any())
