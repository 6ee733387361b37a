"""How well a world's hazards agree with contacts, and with days, it has never seen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nurture_rl.errors import ShapeError

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

_BINS = 10
_Z95 = 1.959964
_LEAST = 1e-7  # keeps the log-loss finite where an event was held impossible


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Decisions of similar predicted chance."""

    predicted: float  # mean predicted chance
    observed: float  # share with the event
    low: float  # 95 % binomial (Wilson) interval of `observed`
    high: float
    n: int


@dataclass(frozen=True, slots=True)
class HeadCalibration:
    """One signal's hazard against held-out contacts."""

    head: str
    learned: bool  # False: a constant rate by routing, because too few events were logged
    n: int  # held-out decisions
    events: int  # held-out decisions with the event
    predicted_rate: float  # this and what follows is weighted where the fit was
    base_rate: float  # observed
    brier: float
    log_loss: float
    constant_log_loss: float  # of always predicting the training contacts' rate
    ece: float  # expected calibration error over ten equally filled bins
    bins: tuple[ReliabilityBin, ...]


@dataclass(frozen=True, slots=True)
class Calibration:
    """Every head's agreement, on decisions used for nothing else."""

    heads: tuple[HeadCalibration, ...]
    contacts: int  # held out
    rows: int  # held out
    from_day: int | None = None  # days since 1970; judged on it and later days, fitted to earlier


def head_calibration(
    head: str,
    chance: FloatArray,
    happened: BoolArray,
    train_rate: float,
    learned: bool,
    weight: FloatArray | None = None,
) -> HeadCalibration:
    """Compare predicted chances [n] with what happened [n].

    Args:
        head: its signal.
        chance: that an event is in the log: the hazard, times the row's exposure where records
            are late.
        happened: whether it is.
        train_rate: share of the fitted rows with an event.
        learned: as in `HeadCalibration`.
        weight: of each row, as in the fit; None: 1. Where the logging policy knew more than the
            features hold, unweighted rows of an action are a biased sample of its effect.

    Raises:
        ShapeError: the arrays are empty or not equally long, or all weights are 0.
    """
    if chance.ndim != 1 or chance.shape != happened.shape or not chance.size:
        raise ShapeError(
            f"chance and happened must both be [n] with n > 0, got {chance.shape} and "
            f"{happened.shape}"
        )
    weight = np.ones(chance.size) if weight is None else weight
    if weight.shape != chance.shape or not weight.sum() > 0.0:
        raise ShapeError(
            f"weights must be [{chance.size}] and not all 0, got {weight.shape} with sum "
            f"{weight.sum():g}; judge on rows that count"
        )
    weight = weight / weight.sum()
    bins = _reliability(chance, happened, weight)
    return HeadCalibration(
        head=head,
        learned=learned,
        n=chance.size,
        events=int(happened.sum()),
        predicted_rate=float(weight @ chance),
        base_rate=float(weight @ happened),
        brier=float(weight @ (chance - happened) ** 2),
        log_loss=_log_loss(chance, happened, weight),
        constant_log_loss=_log_loss(np.full(chance.size, train_rate), happened, weight),
        ece=sum(share * abs(b.predicted - b.observed) for share, b in bins),
        bins=tuple(b for _, b in bins),
    )


def wilson(successes: float, n: float) -> tuple[float, float]:
    """95 % interval of a binomial share.

    Source: Wilson (1927), Probable Inference, the Law of Succession, and Statistical Inference.
    """
    share, z2 = successes / n, _Z95**2
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = _Z95 * np.sqrt(share * (1 - share) / n + z2 / (4 * n**2)) / (1 + z2 / n)
    return max(0.0, float(centre - half)), min(1.0, float(centre + half))


def _reliability(
    chance: FloatArray, happened: BoolArray, weight: FloatArray
) -> list[tuple[float, ReliabilityBin]]:
    """Equally filled bins by predicted chance, each with its share of the weight."""
    order = np.argsort(chance, kind="stable")
    bins = []
    for rows in np.array_split(order, min(_BINS, chance.size)):
        w, share = weight[rows], float(weight[rows].sum())
        if share == 0.0:
            continue
        observed = float(w @ happened[rows]) / share
        effective = share**2 / float(w @ w)  # as many equal rows would be as uncertain
        low, high = wilson(observed * effective, effective)
        predicted = float(w @ chance[rows]) / share
        bins.append((share, ReliabilityBin(predicted, observed, low, high, len(rows))))
    return bins


def _log_loss(chance: FloatArray, happened: BoolArray, weight: FloatArray) -> float:
    p = np.clip(chance, _LEAST, 1.0 - _LEAST)
    return float(-(weight @ np.where(happened, np.log(p), np.log1p(-p))))
