"""A training log on one device, and what follows each of its decisions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from nurture_rl.errors import FitError
from nurture_rl.learned.scored import REACH
from nurture_rl.learned.training_log import TrainingLog
from nurture_rl.policies.composition import Region
from nurture_rl.policies.policy import FloatArray
from nurture_rl.rl.best_inside import Limits, best_released


@dataclass(frozen=True, slots=True, eq=False)
class Transitions:
    """Decisions in the order of the log: what follows row i is row i + 1, where anything does.

    A pause of three bins is one decision, and `onward` discounts all of its bins. Nothing follows
    the last row of an episode, whether it ended by itself or at the horizon: nothing after the
    horizon counts towards the value of an episode, and the bin is one of the features. Episodes
    that the log cuts short are not in a training log, so nothing else is left to bootstrap.
    """

    features: Tensor  # standardised contexts, [n, d] float32
    mask: Tensor  # True where legal, [n, a] bool
    action: Tensor  # logged action, [n, 1] int64
    reward: Tensor  # of all bins until the next decision, in units of `scale`, [n] float32
    onward: Tensor  # discount^(bins to the next row), 0 at an episode's last, [n] float32
    scale: float  # standard deviation of the returns, the journey's unit
    moments: tuple[FloatArray, FloatArray]  # mean and scale of the features, [d] each
    limits: Limits | None = None  # what the release lets be done; None: everything legal

    @classmethod
    def of(
        cls,
        log: TrainingLog,
        device: str = "cpu",
        reach: float = REACH,
        region: Region | None = None,
    ) -> Transitions:
        """Put a log on a device.

        Args:
            log: the decisions.
            device: where training runs.
            reach: standard deviations beyond which features saturate.
            region: how the policy will be held near its anchor; None: not at all.

        Raises:
            FitError: returns are too large to be told apart in float32.
        """
        mean, spread = log.moments()
        with np.errstate(over="ignore", invalid="ignore"):
            scale = float(log.returns.std()) or 1.0
            reward = (log.reward / scale).astype(np.float32)
        if not np.isfinite(scale) or not np.isfinite(reward).all():
            raise FitError(
                f"returns spread by {scale:g}, expected a spread and rewards that float32 can "
                "hold; give rewards a larger unit"
            )
        standard = ((log.features - mean) / spread).clip(-reach, reach)

        def put(values: np.typing.NDArray[np.generic]) -> Tensor:
            return torch.from_numpy(np.array(values)).to(device)  # a copy, never the log itself

        return cls(
            features=put(standard.astype(np.float32)),
            mask=put(log.mask),
            action=put(log.action[:, None].astype(np.int64)),
            reward=put(reward),
            onward=put(_onward(log).astype(np.float32)),
            scale=scale,
            moments=(mean, spread),
            limits=Limits.of(region, log.features, log.mask, device) if region else None,
        )

    def __len__(self) -> int:
        return len(self.reward)

    @property
    def shape(self) -> tuple[int, int]:
        """Features d and actions a."""
        return self.features.shape[1], self.mask.shape[1]

    def after(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Features and mask of the next decision, [r, d] and [r, a].

        Those of another episode where nothing follows, which `onward` then weighs 0.
        """
        following = self._following(rows)
        return self.features[following], self.mask[following]

    def best_after(self, rows: Tensor, scores: Tensor) -> Tensor:
        """What ranking actions by scores does at the next decision, see `best_released`, [r, a].

        Args:
            rows: [r].
            scores: of every action at the next decision, [r, a].
        """
        following = self._following(rows)
        limits = None if self.limits is None else self.limits.take(following)
        return best_released(scores, self.mask[following], limits)

    def _following(self, rows: Tensor) -> Tensor:
        return (rows + 1).clamp(max=len(self) - 1)

    def backed_up(self, rows: Tensor, worth: Tensor) -> Tensor:
        """Reward and discounted worth of what follows.

        Args:
            rows: [r].
            worth: of the next decision, in units of `scale`, [r] or [r, m].

        Returns:
            Shaped like `worth`.
        """
        shape = (-1, *(1,) * (worth.dim() - 1))
        return self.reward[rows].view(shape) + self.onward[rows].view(shape) * worth


def _onward(log: TrainingLog) -> FloatArray:
    """discount^(bins to the next row of the same episode), 0 where there is none, [n]."""
    same = np.append(log.episode[1:] == log.episode[:-1], False)
    gap = np.append(np.diff(log.step), 0)
    found: FloatArray = np.where(same, log.discount ** np.where(same, gap, 1.0), 0.0)
    return found
