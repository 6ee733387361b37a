"""How well a world's hazards agree with contacts it has never seen."""

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
    predicted_rate: float
    base_rate: float  # observed
    brier: float
    log_loss: float
    constant_log_loss: float  # of always predicting the training contacts' rate
    ece: float  # expected calibration error over ten equally filled bins
    bins: tuple[ReliabilityBin, ...]


@dataclass(frozen=True, slots=True)
class Calibration:
    """Every head's agreement, on contacts used for nothing else."""

    heads: tuple[HeadCalibration, ...]
    contacts: int  # held out
    rows: int  # held out

    @property
    def constant_heads(self) -> tuple[str, ...]:
        """Heads with too few events to learn from."""
        return tuple(head.head for head in self.heads if not head.learned)


def head_calibration(
    head: str, chance: FloatArray, happened: BoolArray, train_rate: float, learned: bool
) -> HeadCalibration:
    """Compare predicted chances [n] with what happened [n].

    Raises:
        ShapeError: the arrays are empty or not equally long.
    """
    if chance.ndim != 1 or chance.shape != happened.shape or not chance.size:
        raise ShapeError(
            f"chance and happened must both be [n] with n > 0, got {chance.shape} and "
            f"{happened.shape}"
        )
    bins = _reliability(chance, happened)
    return HeadCalibration(
        head=head,
        learned=learned,
        n=chance.size,
        events=int(happened.sum()),
        predicted_rate=float(chance.mean()),
        base_rate=float(happened.mean()),
        brier=float(((chance - happened) ** 2).mean()),
        log_loss=_log_loss(chance, happened),
        constant_log_loss=_log_loss(np.full(chance.size, train_rate), happened),
        ece=sum(b.n * abs(b.predicted - b.observed) for b in bins) / chance.size,
        bins=bins,
    )


def wilson(successes: float, n: int) -> tuple[float, float]:
    """95 % interval of a binomial share.

    Source: Wilson (1927), Probable Inference, the Law of Succession, and Statistical Inference.
    """
    share, z2 = successes / n, _Z95**2
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = _Z95 * np.sqrt(share * (1 - share) / n + z2 / (4 * n**2)) / (1 + z2 / n)
    return max(0.0, float(centre - half)), min(1.0, float(centre + half))


def _reliability(chance: FloatArray, happened: BoolArray) -> tuple[ReliabilityBin, ...]:
    order = np.argsort(chance, kind="stable")
    bins = []
    for rows in np.array_split(order, min(_BINS, chance.size)):
        low, high = wilson(float(happened[rows].sum()), len(rows))
        bins.append(
            ReliabilityBin(
                float(chance[rows].mean()), float(happened[rows].mean()), low, high, len(rows)
            )
        )
    return tuple(bins)


def _log_loss(chance: FloatArray, happened: BoolArray) -> float:
    p = np.clip(chance, _LEAST, 1.0 - _LEAST)
    return float(-np.where(happened, np.log(p), np.log1p(-p)).mean())
