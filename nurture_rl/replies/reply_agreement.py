"""How well given classes agree with people's: recall, precision and Cohen's kappa."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from nurture_rl.simulator.calibration import wilson


@dataclass(frozen=True, slots=True)
class LabelAgreement:
    """One class."""

    label: str
    true: int  # replies of it, by people
    given: int  # replies of it, by the classifier
    both: int

    @property
    def recall(self) -> float | None:
        """Share of the class that was found; None: there is none."""
        return self.both / self.true if self.true else None

    @property
    def precision(self) -> float | None:
        """Share of what was found that is of the class; None: nothing was found."""
        return self.both / self.given if self.given else None

    @property
    def recall_interval(self) -> tuple[float, float]:
        """Of the recall, 95 % (Wilson); from 0 to 1 where there is none."""
        return wilson(self.both, self.true) if self.true else (0.0, 1.0)


@dataclass(frozen=True, slots=True)
class Agreement:
    """All classes of a file."""

    replies: int
    kappa: float  # Cohen's: 1 all agree, 0 no more than by chance
    same: float  # share of replies of the same class
    labels: tuple[LabelAgreement, ...]

    def of(self, label: str) -> LabelAgreement:
        """The agreement on one class."""
        return next(one for one in self.labels if one.label == label)


def agreement(true: Sequence[str], given: Sequence[str]) -> Agreement:
    """Compare classes.

    Args:
        true: by people [reply].
        given: by a classifier [reply].

    Raises:
        ValueError: there are none.
    """
    if not true:
        raise ValueError("expected at least one reply, got none")
    count = len(true)
    trues, givens = Counter(true), Counter(given)
    boths = Counter(one for one, other in zip(true, given, strict=True) if one == other)
    same = sum(boths.values()) / count
    chance = sum(trues[name] * givens[name] for name in trues) / count**2
    kappa = (same - chance) / (1.0 - chance) if chance < 1.0 else 1.0
    names = sorted(trues | givens)
    rows = tuple(LabelAgreement(one, trues[one], givens[one], boths[one]) for one in names)
    return Agreement(count, kappa, same, rows)
