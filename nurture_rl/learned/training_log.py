"""Logged decisions as learners take them; what a learner cannot work with is refused here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nurture_envs.actions import ActionCatalog
from nurture_rl.errors import ActionError, FitError, ShapeError
from nurture_rl.learned.returns import require_order
from nurture_rl.policies.policy import BoolArray, FeatureArray, FloatArray, IntArray, require_batch

Progress = Callable[[int, dict[str, float]], None]  # step of the training, its numbers


@dataclass(frozen=True, slots=True, eq=False)
class TrainingLog:
    """Finished episodes of the training contacts, sorted by episode, then step.

    Raises:
        ShapeError: the arrays do not fit together, or numbers that count are not integers.
        ActionError: a logged action is not in the catalogue or was not legal.
        LogError: an episode's rows are apart or its steps do not increase.
        FitError: there is no row, no row has a choice, a number is not finite, a propensity is
            outside (0, 1], or the discount outside [0, 1].
    """

    catalog: ActionCatalog  # the journey's actions
    columns: tuple[str, ...]  # feature columns, in order
    features: FeatureArray  # contexts, [n, d]
    mask: BoolArray  # True where legal, [n, a]
    action: IntArray  # logged action, position in the catalogue, [n]
    reward: FloatArray  # of the decision's bins until the next one, the journey's unit, [n]
    returns: FloatArray  # discounted reward to the end of the episode, the journey's unit, [n]
    propensity: FloatArray  # of the logged action; NaN where the log does not tell it, [n]
    episode: IntArray  # its rows next to each other, [n]
    step: IntArray  # bin of the decision, increasing inside an episode, [n]
    cluster: IntArray  # contact, or account where it is known, any integers, [n]
    discount: float  # per bin, in [0, 1]; 0 where every decision is its own episode

    def __post_init__(self) -> None:
        n = self.action.size
        for name in ("action", "reward", "returns", "propensity", "episode", "step", "cluster"):
            if getattr(self, name).shape != (n,):
                raise ShapeError(
                    f"expected {name} [{n}], one per row, got {getattr(self, name).shape}"
                )
        for name in ("action", "episode", "step", "cluster"):
            if getattr(self, name).dtype.kind not in "iu":
                raise ShapeError(
                    f"expected {name} of integers, got {getattr(self, name).dtype}; number its "
                    "values first"
                )
        require_batch(self.features, self.mask, len(self.catalog))
        if self.features.shape != (n, len(self.columns)):
            raise ShapeError(
                f"expected features [{n}, {len(self.columns)}], got {self.features.shape}"
            )
        self._require_logged_legally()
        self._require_finite()
        require_order(self.episode, self.step)
        if not self.choice.any():
            raise FitError(
                "expected decisions with a choice, every row has one legal action only; give the "
                "log's mask (without it, what had a probability above 0 was legal), or learn from "
                "a log in which chance had a say"
            )

    @property
    def choice(self) -> BoolArray:
        """Rows with more than one legal action, [n]; the others show no choice."""
        return np.asarray(self.mask.sum(axis=1) > 1)

    @property
    def code(self) -> IntArray:
        """The clusters as 0 .. C-1, [n]."""
        return np.unique(self.cluster, return_inverse=True)[1].astype(np.int64)

    def take(self, rows: NDArray[np.bool_] | NDArray[np.int64]) -> TrainingLog:
        """Some of the rows, in the order of the log."""
        constant = {name: getattr(self, name) for name in ("catalog", "columns", "discount")}
        parts = {name: getattr(self, name)[rows] for name in self.__slots__ if name not in constant}
        return TrainingLog(**constant, **parts)

    def moments(self) -> tuple[FloatArray, FloatArray]:
        """Mean and standard deviation of each feature, see `moments_of`."""
        return moments_of(self.features)

    def _require_logged_legally(self) -> None:
        outside = (self.action < 0) | (self.action >= len(self.catalog))
        if outside.any():
            row = int(outside.argmax())
            raise ActionError(
                f"row {row} took action {self.action[row]}, expected 0 to {len(self.catalog) - 1}; "
                "look ids up in the catalogue of the log"
            )
        illegal = ~self.mask[np.arange(self.action.size), self.action]
        if illegal.any():
            row = int(illegal.argmax())
            raise ActionError(
                f"row {row} took action {self.action[row]}, which its own mask forbids"
            )

    def _require_finite(self) -> None:
        if not self.action.size:
            raise FitError("expected decisions to learn from, got none")
        good = np.isfinite(self.features).all(axis=1)
        good &= np.isfinite(self.returns) & np.isfinite(self.reward)
        if not good.all():
            raise FitError(
                f"row {int((~good).argmax())} has a feature, reward or return that is not finite; "
                "leave out decisions whose outcome has not matured"
            )
        wrong = (self.propensity <= 0.0) | (self.propensity > 1.0)  # NaN passes
        if wrong.any():
            row = int(wrong.argmax())
            raise FitError(
                f"row {row} has propensity {self.propensity[row]:g}, expected more than 0 and at "
                "most 1, or NaN where the log does not tell it"
            )
        if not 0.0 <= self.discount <= 1.0:
            raise FitError(f"expected a discount in [0, 1], got {self.discount}")


def moments_of(features: FeatureArray) -> tuple[FloatArray, FloatArray]:
    """Mean and standard deviation of each feature, [d] each; 1 where a column is constant.

    Args:
        features: contexts, [n, d].
    """
    mean = features.mean(axis=0, dtype=np.float64)
    spread = features.std(axis=0, dtype=np.float64)
    # Summing equal numbers leaves rounding dust, which must not become a unit of scale.
    return mean, np.where(spread > 1e-7 * (1.0 + np.abs(mean)), spread, 1.0)
