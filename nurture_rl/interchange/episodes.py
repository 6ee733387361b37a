"""Whole episodes with what other libraries ask of them: the observation after the last decision."""

from __future__ import annotations

import importlib
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nurture_envs.actions import ActionCatalog
from nurture_envs.features import FeatureSpec
from nurture_envs.journey import Journey
from nurture_rl.errors import ConfigError, LogError, ShapeError
from nurture_rl.ope.log import EvaluationLog, continuation, evaluation_log, first_rows

FloatArray = NDArray[np.float64]
Features = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Subject:
    """What the columns and the numbers of a file mean."""

    journey: str
    feature_names: tuple[str, ...]  # columns of an observation, [d]
    action_ids: tuple[str, ...]  # action k of the file, [a]
    action_factors: tuple[tuple[float, ...], ...]  # [a, k]
    catalog: str  # content hash of the actions
    discount: float  # per bin, in (0, 1]
    unit: str  # of rewards

    @classmethod
    def of(cls, journey: Journey) -> Subject:
        """What a journey's decisions are about."""
        catalog = ActionCatalog.of(journey)
        return cls(
            journey=journey.name,
            feature_names=FeatureSpec.of(journey).columns,
            action_ids=catalog.ids,
            action_factors=tuple(tuple(map(float, row)) for row in catalog.factors),
            catalog=catalog.hash,
            discount=journey.reward.discount,
            unit=journey.reward.unit,
        )

    @property
    def plain(self) -> dict[str, Any]:
        """The same as JSON values."""
        return asdict(self)


@dataclass(frozen=True, slots=True, eq=False)
class Episodes:
    """Finished episodes; build it with `episodes_of`."""

    log: EvaluationLog  # propensities, masks and logged distributions included
    final: Features  # what a decision after each episode's last would have known, [E, d]
    subject: Subject

    @property
    def bounds(self) -> NDArray[np.int64]:
        """Episode e is rows bounds[e] to bounds[e + 1] of the log, [E + 1]."""
        return np.append(first_rows(self.log), self.log.n_rows)

    @property
    def logged(self) -> FloatArray:
        """The logging policy's distribution, [N, a]; NaN where the log does not have it."""
        probabilities = self.log.logged_probabilities
        return np.full(self.log.mask.shape, np.nan) if probabilities is None else probabilities

    @property
    def discounts(self) -> FloatArray:
        """Worth now of one unit at the next decision, 0 after a terminal one, [N].

        A cut-off episode's last decision carries the discount of one bin: its value goes on from
        the final observation.
        """
        log, worth = self.log, continuation(self.log)
        last = self.bounds[1:] - 1
        worth[last] = np.where(log.terminal[last], 0.0, log.discount)
        return worth


def episodes_of(log: EvaluationLog, final: Features, subject: Subject) -> Episodes:
    """Check that log, final observations and subject belong together.

    Args:
        log: as `evaluation_log` checks it.
        final: the observation after each episode's last decision, [E, d].
        subject: the journey's names and units.

    Raises:
        ShapeError: arrays that do not fit together or the subject.
        LogError: a final observation is not finite, or bins are skipped where the future is
            discounted: a reader of the file would discount one bin for each decision.
    """
    expected = (log.n_episodes, log.features.shape[1])
    if final.shape != expected:
        raise ShapeError(
            f"expected one final observation per episode, {expected}, got {final.shape}"
        )
    if not np.isfinite(final).all():
        bad = int(np.flatnonzero(~np.isfinite(final).all(axis=1))[0])
        raise LogError(
            f"the final observation of episode {bad} is not finite; compute the features of the "
            "bin after its last decision, or leave the episode out"
        )
    sizes = (len(subject.feature_names), len(subject.action_ids))
    if sizes != (log.features.shape[1], log.n_actions):
        raise ShapeError(
            f"journey {subject.journey!r} has (features, actions) = {sizes}, the log has "
            f"{(log.features.shape[1], log.n_actions)}; use the journey that made the log"
        )
    same = log.episode[1:] == log.episode[:-1]
    skipped = np.flatnonzero(same & (np.diff(log.step) != 1))
    if skipped.size and log.discount < 1.0:
        row = int(skipped[0])
        raise LogError(
            f"episode {log.episode[row]} goes from bin {log.step[row]} to bin {log.step[row + 1]} "
            f"and the discount per bin is {log.discount}; log one decision per bin"
        )
    return Episodes(log, np.asarray(final, np.float32), subject)


def rebuilt(
    subject: Subject,
    columns: dict[str, NDArray[Any]],
    lengths: NDArray[np.int64],
    final: Features,
) -> Episodes:
    """Episodes from the columns of a file.

    Args:
        subject: as the file names it.
        columns: features, mask, action, propensity, probabilities, reward, step, terminal, [N, ..]
            each, and contact, [N].
        lengths: decisions of each episode, [E].
        final: final observations, [E, d].

    Raises:
        NurtureError: what `evaluation_log` and `episodes_of` refuse.
    """
    first = np.cumsum(lengths) - lengths
    table = columns["probabilities"]
    log = evaluation_log(
        features=columns["features"],
        mask=columns["mask"],
        action=columns["action"],
        propensity=columns["propensity"],
        logged_probabilities=None if np.isnan(table).any() else table,
        reward=columns["reward"],
        episode=np.repeat(np.arange(len(lengths)), lengths),
        step=columns["step"],
        cluster=columns["contact"][first],
        terminal=columns["terminal"],
        action_factors=np.array(subject.action_factors),
        discount=subject.discount,
        unit=subject.unit,
    )
    return episodes_of(log, final, subject)


def require_package(name: str) -> Any:
    """Import a library of the `interop` extra, or a module inside it.

    Raises:
        ConfigError: it is not installed, or of a version that has no such module.
    """
    package = name.partition(".")[0]
    extra = 'pip install "nurture-rl[interop]"'
    try:
        return importlib.import_module(name)
    except ImportError as error:
        if isinstance(error, ModuleNotFoundError) and error.name == package:
            raise ConfigError(
                f"this needs the package {package!r}, which is not installed; {extra}"
            ) from error
        raise ConfigError(
            f"the installed package {package!r} cannot be used ({error}); install the version "
            f"that goes with this one: {extra}"
        ) from error
