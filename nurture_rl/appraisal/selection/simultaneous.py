"""Several statements at once: critical values, and p-values corrected for how many there are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nurture_rl.errors import ShapeError
from nurture_rl.ope.log import FloatArray
from nurture_rl.ope.ties import negligible


@dataclass(frozen=True, slots=True)
class Family:
    """Statements made together, and how the critical value of all of them is found."""

    level: float = 0.95  # chance that all intervals cover, in (0, 1)
    draws: int = 20_000  # of the largest of correlated t statistics
    two_sided: bool = True


def critical_value(influences: FloatArray, family: Family, rng: np.random.Generator) -> float:
    """How many standard errors let all of k intervals cover together.

        c = quantile of max_k |T_k|,    T ~ t(C - 1) with the correlation of the influences

    which is the limit of the Gaussian multiplier bootstrap with contacts as units, here drawn from
    the k x k correlation instead of from C multipliers. Correlated estimates need less than
    Bonferroni's value, one alone needs t(C - 1); c is kept between the two.

    Args:
        influences: error of each estimate split by contact, rows summing to 0, [k, C]. A row of
            zeros is known exactly and takes no part.
        family: level, draws and sides.
        rng: draws the statistics.

    Raises:
        ShapeError: not [k, C] with k >= 1, or a level outside (0, 1).

    Source: Montiel Olea & Plagborg-Moller (2019), Simultaneous Confidence Bands; Chernozhukov,
        Chetverikov & Kato (2013), Gaussian Approximations and Multiplier Bootstrap for Maxima.
    """
    _require_family(influences, family)
    correlation = correlations(influences)
    uncertain = np.diag(correlation) > 0.0
    count, contacts = int(uncertain.sum()), influences.shape[1]
    if count == 0:
        return 0.0
    alone, split = critical_bounds(count, contacts, family)
    if alone == split:
        return alone
    drawn = correlated_t(correlation[np.ix_(uncertain, uncertain)], contacts - 1, family, rng)
    sized = np.abs(drawn) if family.two_sided else drawn
    quantile = np.quantile(sized.max(axis=1), family.level)
    return float(np.clip(quantile, alone, split))


def critical_bounds(count: int, contacts: int, family: Family) -> tuple[float, float]:
    """Critical value of one statement alone, and Bonferroni's of `count`: between them lies any.

    Args:
        count: statements made, k >= 1.
        contacts: C; one contact bounds nothing.
        family: level and sides.
    """
    if contacts < 2:
        return float("inf"), float("inf")
    from scipy.special import stdtrit

    tails = 2.0 if family.two_sided else 1.0
    alone, split = -stdtrit(contacts - 1, (1.0 - family.level) / tails / np.array([1, count]))
    return float(alone), float(split)


def correlated_t(
    correlation: FloatArray, freedom: int, family: Family, rng: np.random.Generator
) -> FloatArray:
    """Draws of t statistics that share one estimate of scale, [draws, k]."""
    size, direction = np.linalg.eigh(correlation)
    root = direction * np.sqrt(np.maximum(size, 0.0))
    normal = rng.standard_normal((family.draws, len(correlation))) @ root.T
    scale = np.sqrt(rng.chisquare(freedom, size=(family.draws, 1)) / freedom)
    return np.asarray(normal / scale, dtype=np.float64)


def correlations(influences: FloatArray) -> FloatArray:
    """Correlation of estimates by their influences, [k, k]; 0 with what is known exactly."""
    products = influences @ influences.T
    spread = np.sqrt(np.diag(products))
    known = negligible(spread, spread.max(initial=0.0))
    scale = np.where(known, np.inf, spread)
    matrix = np.asarray(products / scale[:, None] / scale, dtype=np.float64)
    np.fill_diagonal(matrix, np.where(known, 0.0, 1.0))
    return matrix


def _require_family(influences: FloatArray, family: Family) -> None:
    if influences.ndim != 2 or influences.shape[0] < 1 or influences.shape[1] < 1:
        raise ShapeError(
            f"influences must be [estimates, contacts], got {influences.shape}; stack the "
            "influences of estimates made on one log"
        )
    if not 0.0 < family.level < 1.0 or family.draws < 1:
        raise ShapeError(
            f"a family needs a level in (0, 1) and draws, got {family.level} and {family.draws}; "
            "write 95 % as 0.95"
        )
