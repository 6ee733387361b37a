"""The bootstrap's weights are a function of the contact, so shards and rows agree."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from nurture_rl.ope.bounds.bootstrap import (
    BootstrapConfig,
    poisson_counts,
)

CONFIG = BootstrapConfig(replicates=400, seed=3)


def test_counts_are_poisson_and_independent() -> None:
    counts = poisson_counts(np.arange(5000), CONFIG)
    assert counts.shape == (5000, 400)
    seen = np.bincount(counts.ravel(), minlength=10)[:8] / counts.size
    assert seen == pytest.approx(stats.poisson.pmf(np.arange(8), 1.0), abs=1e-3)
    wide = counts.astype(np.float64)
    between_replicates = np.corrcoef(wide[:, :60].T) - np.eye(60)
    between_contacts = np.corrcoef(wide[:60]) - np.eye(60)
    assert np.abs(between_replicates).max() < 6 / np.sqrt(5000)
    assert np.abs(between_contacts).max() < 6 / np.sqrt(400)


def test_a_count_depends_on_contact_replicate_and_seed_alone() -> None:
    counts = poisson_counts(np.array([7, -3, 2**40]), CONFIG)
    assert (poisson_counts(np.array([2**40, 7]), CONFIG) == counts[[2, 0]]).all()
    fewer = poisson_counts(np.array([7, -3, 2**40]), BootstrapConfig(replicates=7, seed=3))
    assert (fewer == counts[:, :7]).all()
    other = poisson_counts(np.array([7, -3, 2**40]), BootstrapConfig(replicates=400, seed=4))
    assert (other != counts).mean() > 0.4
    # Pinned, so that shards of two releases agree as well.
    assert counts[:, :6].tolist() == [
        [2, 1, 2, 2, 1, 0],
        [0, 2, 1, 0, 2, 1],
        [1, 0, 1, 1, 0, 0],
    ]
