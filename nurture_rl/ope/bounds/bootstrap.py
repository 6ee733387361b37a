"""The counts of a bootstrap by contact, Poisson with mean 1.

How often a contact counts in a replicate is a hash of the contact, the replicate and the seed. So
every row of a contact counts alike wherever it is, and shards agree without a word.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from nurture_rl.ope.log import IntArray

STEPS = 65_536  # a count is read off 16 bits: its mean is 1 to within 1e-5
LANES = 4  # counts read off one hash


@dataclass(frozen=True, slots=True)
class BootstrapConfig:
    """How often to replicate, and with which luck."""

    replicates: int = 1000
    seed: int = 0


def poisson_counts(contacts: IntArray, config: BootstrapConfig) -> NDArray[np.uint8]:
    """How often each contact counts in each replicate, Poisson with mean 1, [C, B].

    Source: Chamandy, Muralidharan, Najmi & Naidu (2012), Estimating Uncertainty for Massive Data
        Streams; the hash is the finaliser of Steele, Lea & Flood (2014), SplitMix.
    """
    firsts = np.arange(0, config.replicates, LANES, dtype=np.uint64)
    keys = firsts * np.uint64(0xD1B54A32D192ED03)
    start = _mixed(np.array([config.seed], dtype=np.int64).astype(np.uint64))
    own = _mixed(np.asarray(contacts, dtype=np.int64).astype(np.uint64) ^ start)
    bits = _mixed(own[:, None] + keys).view(np.uint16)[:, : config.replicates]
    return _QUANTILES[bits]


def _mixed(bits: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Every bit of the answer depends on every bit of the question."""
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))


def _poisson_quantiles() -> NDArray[np.uint8]:
    """The Poisson(1) count at each of the 16-bit levels."""
    levels = np.linspace(0.0, 1.0, STEPS, endpoint=False)
    return np.searchsorted(special.pdtr(np.arange(20), 1.0), levels).astype(np.uint8)


_QUANTILES = _poisson_quantiles()
