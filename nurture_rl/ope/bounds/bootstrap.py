"""Bootstrap by contact with Poisson weights, in one pass and in mergeable pieces.

How often a contact counts in a replicate is a hash of the contact, the replicate and the seed. So
every row of a contact counts alike wherever it is, shards agree without a word, and the sums of two
shards are the sums of both.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from nurture_rl.errors import ShapeError
from nurture_rl.ope.bounds.interval import Interval, require_level
from nurture_rl.ope.log import FloatArray, IntArray

CHUNK = 8192  # contacts whose counts are written out at a time
STEPS = 65_536  # a count is read off 16 bits: its mean is 1 to within 1e-5
LANES = 4  # counts read off one hash


@dataclass(frozen=True, slots=True)
class BootstrapConfig:
    """How often to replicate, and with which luck."""

    replicates: int = 1000
    seed: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class ReplicateSums:
    """Sums over contacts, plain and in every replicate; those of two shards add up.

    Columns: 1, a, b, a^2, a b, b^2 with a the numerator and b the denominator of a contact.
    """

    plain: FloatArray  # [6]
    replicates: FloatArray  # [B, 6]
    seed: int

    def merge(self, other: ReplicateSums) -> ReplicateSums:
        """Sums of two sets of contacts that share none.

        Raises:
            ShapeError: the two were drawn with other seeds or numbers of replicates.
        """
        if self.seed != other.seed or self.replicates.shape != other.replicates.shape:
            raise ShapeError(
                f"bootstraps merge with the same seed and replicates, got seeds {self.seed} and "
                f"{other.seed}, {len(self.replicates)} and {len(other.replicates)} replicates; "
                "draw both shards with one configuration"
            )
        return ReplicateSums(
            self.plain + other.plain, self.replicates + other.replicates, self.seed
        )


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


def replicate_sums(
    contacts: IntArray, numerator: FloatArray, denominator: FloatArray, config: BootstrapConfig
) -> ReplicateSums:
    """Bootstrap the sums behind a ratio, sum a / sum b, from one row per contact.

    A mean per episode has the contact's sum of values as a and its number of episodes as b; a
    self-normalised value has sum w r and sum w.

    Args:
        contacts: names of the contacts, [C], each once and in one shard only.
        numerator: a, [C].
        denominator: b, [C].
        config: replicates and seed.

    Raises:
        ShapeError: the arrays are not [C], or a contact comes twice.
    """
    if not contacts.shape == numerator.shape == denominator.shape or contacts.ndim != 1:
        raise ShapeError(
            f"contacts, numerator and denominator must be [C], got {contacts.shape}, "
            f"{numerator.shape} and {denominator.shape}; sum over each contact first"
        )
    if np.unique(contacts).size < contacts.size:
        raise ShapeError("a contact comes twice; sum its rows before the bootstrap")
    a, b = numerator, denominator
    moments = np.column_stack([np.ones_like(a), a, b, a * a, a * b, b * b])
    total = np.zeros((config.replicates, moments.shape[1]))
    for first in range(0, a.size, CHUNK):
        rows = slice(first, first + CHUNK)
        total += poisson_counts(contacts[rows], config).T.astype(np.float64) @ moments[rows]
    return ReplicateSums(moments.sum(axis=0), total, config.seed)


def percentile_interval(sums: ReplicateSums, level: float) -> Interval:
    """Quantiles of the replicates' ratios. First-order: short where contacts are few or skewed.

    Source: Efron & Tibshirani (1993), An Introduction to the Bootstrap, ch. 13.
    """
    lower, upper = _quantiles(_ratios(sums), level)
    return Interval(lower, upper, level, "poisson-percentile")


def basic_interval(sums: ReplicateSums, level: float) -> Interval:
    """The replicates' errors turned around the estimate: 2 estimate - quantiles.

    Source: Davison & Hinkley (1997), Bootstrap Methods and their Application, sec. 5.2.
    """
    value = _ratio(sums.plain)
    lower, upper = _quantiles(_ratios(sums), level)
    return Interval(2.0 * value - upper, 2.0 * value - lower, level, "poisson-basic")


def studentised_interval(sums: ReplicateSums, level: float) -> Interval:
    """Errors of the replicates in their own standard errors, turned around the estimate.

    The second-order interval of the three: it follows the skewness that percentiles miss.

    Source: Hall (1992), The Bootstrap and Edgeworth Expansion, ch. 3.
    """
    value, stderr = _ratio(sums.plain), float(_errors(sums.plain[None])[0])
    error = _errors(sums.replicates)
    drawn = np.divide(_ratios(sums) - value, error, out=np.zeros_like(error), where=error > 0.0)
    lower, upper = _quantiles(drawn, level)
    return Interval(value - upper * stderr, value - lower * stderr, level, "poisson-studentised")


def _ratio(sums: FloatArray) -> float:
    return float(sums[1] / sums[2])


def _ratios(sums: ReplicateSums) -> FloatArray:
    top, below = sums.replicates[:, 1], sums.replicates[:, 2]
    if (below <= 0.0).any() or sums.plain[2] <= 0.0:
        raise ShapeError(
            "a replicate has no weight at all: too few contacts carry the denominator for a "
            "bootstrap; take an exact or weighted-Poisson interval"
        )
    return np.asarray(top / below)


def _errors(sums: FloatArray) -> FloatArray:
    """Delta-method standard error of each row's ratio: sqrt(sum (a - ratio b)^2) / sum b."""
    _, a, b, aa, ab, bb = sums.T
    ratio = a / b
    square = aa - 2.0 * ratio * ab + ratio**2 * bb
    return np.asarray(np.sqrt(np.maximum(square, 0.0)) / b)


def _quantiles(drawn: FloatArray, level: float) -> tuple[float, float]:
    require_level(level)
    lower, upper = np.quantile(drawn, [0.5 - level / 2.0, 0.5 + level / 2.0])
    return float(lower), float(upper)


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
