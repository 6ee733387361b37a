"""An early index that stands for a late outcome, and whether it points the same way.

The index is the chance of the late outcome given what was seen early, fitted where the late outcome
is known. What moves the index need not move the outcome: clickbait does the one alone. So effects
of the same choices on both are held against each other, on contacts who matured later.

Source: Athey, Chetty, Imbens & Kang (2019), The Surrogate Index; VanderWeele (2013), Surrogate
Measures and Consistent Surrogates, for the paradox.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nurture_rl.errors import FitError

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

SAME, OPPOSITE, UNKNOWN = "same sign", "OPPOSITE SIGN", "cannot tell"
_Z95 = 1.959964
_RIDGE = 1.0
_STEPS = 50
_FEW = 30  # late outcomes, and contacts without one, below which nothing is fitted


@dataclass(frozen=True, slots=True, eq=False)
class SurrogateIndex:
    """Weights of what is seen early."""

    mean: FloatArray  # [d]
    scale: FloatArray  # [d]
    intercept: float  # log-odds
    slopes: FloatArray  # log-odds per standard deviation, [d]

    def of(self, early: FloatArray) -> FloatArray:
        """Chance of the late outcome, [n, d] -> [n]."""
        z = self.intercept + (early - self.mean) / self.scale @ self.slopes
        return np.asarray(1.0 / (1.0 + np.exp(-z)))


@dataclass(frozen=True, slots=True)
class EffectOnBoth:
    """What a choice does to the index and to the outcome it stands for, per contact."""

    choice: str
    contacts: int  # who had it
    on_index: float
    index_low: float  # 95 % interval
    index_high: float
    on_outcome: float
    outcome_low: float
    outcome_high: float
    verdict: str  # SAME, OPPOSITE or UNKNOWN


def fit_surrogate_index(early: FloatArray, outcome: BoolArray) -> SurrogateIndex:
    """Fit the index to contacts whose late outcome is known.

    Args:
        early: what was seen early, [n, d].
        outcome: [n].

    Raises:
        FitError: too few contacts with the outcome, or without.
    """
    few = int(min(outcome.sum(), (~outcome).sum()))
    if few < _FEW:
        raise FitError(f"{few} matured contacts of the rarer kind, {_FEW} are needed")
    mean, spread = early.mean(0), early.std(0)
    scale = np.where(spread > 1e-9, spread, 1.0)
    x = np.column_stack([np.ones(len(early)), (early - mean) / scale])
    beta = np.zeros(x.shape[1])
    beta[0] = np.log(outcome.mean() / (1.0 - outcome.mean()))
    keep = _RIDGE * np.eye(x.shape[1])
    keep[0, 0] = 0.0
    for _ in range(_STEPS):
        p = 1.0 / (1.0 + np.exp(-(x @ beta)))
        step = np.linalg.solve(
            (x * (p * (1.0 - p))[:, None]).T @ x + keep + 1e-9 * np.eye(beta.size),
            x.T @ (outcome - p) - keep @ beta,
        )
        beta = beta + np.clip(step, -2.0, 2.0)
        if np.abs(step).max() < 1e-9:
            break
    return SurrogateIndex(mean, scale, float(beta[0]), beta[1:])


def effects_on_both(
    index: FloatArray,
    outcome: BoolArray,
    chosen: Mapping[str, BoolArray],
    propensity: Mapping[str, FloatArray],
) -> tuple[EffectOnBoth, ...]:
    """Effects of choices on the index and on the outcome, and whether their signs agree.

    Each is the difference of two Hajek means, of who had the choice and who had not. They are told
    to be of opposite signs where both intervals leave out 0 on different sides.

    Args:
        index: of contacts whose outcome is known, [n].
        outcome: theirs, [n].
        chosen: who had each choice, [n] by name.
        propensity: the logging policy's chance of it, [n] by name; contacts for whom it was
            certain or impossible are left out.
    """
    found = []
    for name, had in chosen.items():
        p = propensity[name]
        open_ = (p > 0.0) & (p < 1.0)
        if not (had[open_].any() and (~had[open_]).any()):
            continue
        with_, p = had[open_], p[open_]
        one = _difference(index[open_], with_, p)
        two = _difference(outcome[open_].astype(np.float64), with_, p)
        found.append(EffectOnBoth(name, int(with_.sum()), *one, *two, _verdict(one, two)))
    return tuple(found)


Interval = tuple[float, float, float]


def _difference(y: FloatArray, had: BoolArray, p: FloatArray) -> Interval:
    parts, psi = [], np.zeros(y.size)
    for side, weight, sign in ((had, 1.0 / p, 1.0), (~had, 1.0 / (1.0 - p), -1.0)):
        w = np.where(side, weight, 0.0)
        mean = float(w @ y / w.sum())
        parts.append(sign * mean)
        psi += sign * w * (y - mean) / w.sum()
    half = _Z95 * float(np.sqrt(psi @ psi))
    return sum(parts), sum(parts) - half, sum(parts) + half


def _verdict(index: Interval, outcome: Interval) -> str:
    if any(low <= 0.0 <= high for _, low, high in (index, outcome)):
        return UNKNOWN
    return SAME if index[0] * outcome[0] > 0.0 else OPPOSITE
