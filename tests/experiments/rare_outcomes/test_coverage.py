"""Stated 95 % intervals cover at least 94 % where one decision in a hundred pays."""

from __future__ import annotations

import numpy as np
import pytest

from experiments.rare_outcomes.skewed_weights import Chain, chain_coverage
from experiments.rare_outcomes.study import MAKERS, Rare, clustered_coverage, exact_coverage


@pytest.mark.parametrize("n", [1_000, 10_000, 100_000, 1_000_000])
@pytest.mark.parametrize("name", ["chosen", "chosen, weights not known to be equal"])
def test_chosen_intervals_cover_exactly_and_are_no_wider_than_need_be(n: int, name: str) -> None:
    """Coverage is a finite sum over matched counts: nothing is drawn."""
    found = exact_coverage(Rare(n), MAKERS[name])
    exact = exact_coverage(Rare(n), MAKERS["Clopper-Pearson × K"])
    assert found.coverage >= 0.94
    assert found.width <= 1.1 * exact.width


@pytest.mark.parametrize(("each", "correlation"), [(5, 0.1), (20, 0.3)])
@pytest.mark.parametrize("n", [1_000, 10_000])
def test_contacts_that_cluster_are_covered(n: int, each: int, correlation: float) -> None:
    rng = np.random.default_rng(n + each)
    found = clustered_coverage(Rare(n), each, correlation, 2000, rng)
    exact = exact_coverage(Rare(n), MAKERS["Clopper-Pearson × K"])
    # 0.94 less three standard errors of 2,000 logs.
    assert found["chosen"].coverage >= 0.94 - 3 * found["chosen"].stderr
    assert found["chosen"].width <= 1.5 * exact.width
    assert found["clustered t"].coverage < 0.93  # negative control


@pytest.mark.parametrize(("episodes", "rate"), [(1_000, 0.08), (1_000, None)])
def test_heavy_weights_are_covered_where_plain_t_misses_low(
    episodes: int, rate: float | None
) -> None:
    found = chain_coverage(Chain(episodes, rate=rate), 300, np.random.default_rng(1))
    plain, chosen = found["ips"]
    assert chosen.coverage >= 0.94 - 3 * chosen.stderr
    assert chosen.coverage > plain.coverage
    assert chosen.below < plain.below
    for name in ("snips", "dr", "difference"):
        assert found[name][1].coverage >= 0.94 - 3 * found[name][1].stderr, name
