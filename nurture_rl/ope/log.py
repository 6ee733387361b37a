"""The log that every estimator reads: one row per decision, sorted by episode, then step."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nurture_rl.errors import LogError
from nurture_rl.ope.log_checks import require_valid

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class EvaluationLog:
    """Logged decisions, made valid by `evaluation_log`; build it with that function."""

    features: NDArray[np.float32]  # context of each decision, [N, d]
    mask: BoolArray  # legal actions, [N, a]
    action: IntArray  # logged action, position in the catalogue, [N]
    propensity: FloatArray  # logging probability of the logged action, (0, 1], [N]
    logged_probabilities: FloatArray | None  # the logging policy's whole distribution, [N, a]
    reward: FloatArray  # reward of the decision, in `unit`, [N]
    episode: IntArray  # 0 .. E-1 without gaps, non-decreasing, [N]
    step: IntArray  # bin of the decision, increasing inside an episode, [N]
    cluster: IntArray  # account of each episode, or its contact where there is none, [E]
    terminal: BoolArray  # nothing follows because the world ended, [N]
    action_factors: FloatArray  # factor columns of the catalogue, [a, k]
    discount: float  # per bin, in (0, 1]
    unit: str  # what a reward is counted in, such as "EUR"

    @property
    def n_rows(self) -> int:
        """Logged decisions, N."""
        return self.action.size

    @property
    def n_actions(self) -> int:
        """Actions in the catalogue, a."""
        return int(self.mask.shape[1])

    @property
    def n_episodes(self) -> int:
        """Episodes, E."""
        return self.cluster.size


def evaluation_log(
    *,
    features: ArrayLike,
    mask: ArrayLike,
    action: ArrayLike,
    propensity: ArrayLike,
    reward: ArrayLike,
    episode: ArrayLike,
    step: ArrayLike,
    cluster: ArrayLike,
    terminal: ArrayLike,
    action_factors: ArrayLike,
    discount: float,
    unit: str,
    logged_probabilities: ArrayLike | None = None,
) -> EvaluationLog:
    """Check logged decisions and make them an `EvaluationLog`.

    Arguments are the record's fields; a missing propensity is NaN.

    Raises:
        LogError: no row, rows out of order, gaps in episode numbers, rewards or features that are
            not finite, a row after a terminal one, a discount outside (0, 1].
        ShapeError: arrays that do not fit together.
        ActionError: an action outside the catalogue or forbidden by its own mask.
        PropensityError: a propensity that is missing, outside (0, 1], or not what
            `logged_probabilities` says.
        ProbabilityError: logged rows that do not sum to 1 or touch masked actions.
    """
    logged = logged_probabilities
    log = EvaluationLog(
        features=np.asarray(features, dtype=np.float32),
        mask=np.asarray(mask, dtype=np.bool_),
        action=np.asarray(action, dtype=np.int64),
        propensity=np.asarray(propensity, dtype=np.float64),
        logged_probabilities=None if logged is None else np.asarray(logged, dtype=np.float64),
        reward=np.asarray(reward, dtype=np.float64),
        episode=np.asarray(episode, dtype=np.int64),
        step=np.asarray(step, dtype=np.int64),
        cluster=np.asarray(cluster, dtype=np.int64),
        terminal=np.asarray(terminal, dtype=np.bool_),
        action_factors=np.asarray(action_factors, dtype=np.float64),
        discount=float(discount),
        unit=unit,
    )
    require_valid(log)
    return log


def single(log: EvaluationLog) -> bool:
    """Whether every episode has one decision, so that each row is an episode."""
    return log.n_rows == log.n_episodes


def first_rows(log: EvaluationLog) -> IntArray:
    """Row of each episode's first decision, [E]."""
    if single(log):
        return np.arange(log.n_rows, dtype=np.int64)
    length = np.bincount(log.episode, minlength=log.n_episodes)
    return np.asarray(np.cumsum(length) - length, dtype=np.int64)


def positions(log: EvaluationLog) -> IntArray:
    """How many decisions of the same episode came before each row, [N]."""
    if single(log):
        return np.zeros(log.n_rows, dtype=np.int64)
    return np.arange(log.n_rows, dtype=np.int64) - first_rows(log)[log.episode]


def horizon(log: EvaluationLog) -> int:
    """Decisions in the longest episode, H."""
    return 1 if single(log) else int(np.bincount(log.episode).max())


def continuation(log: EvaluationLog) -> FloatArray:
    """Worth now of one unit at the next row: discount^(bins between), 0 at the last row, [N].

    Terminal or cut off, nothing after an episode's last row counts: a value is per episode.
    """
    weight = np.zeros(log.n_rows)
    if single(log):
        return weight
    same = log.episode[1:] == log.episode[:-1]
    weight[:-1] = np.where(same, log.discount ** np.diff(log.step).clip(min=0), 0.0)
    return weight


def discount_from_start(log: EvaluationLog) -> FloatArray:
    """Worth at the episode's first decision of one unit at each row, [N]."""
    if single(log):
        return np.ones(log.n_rows)
    elapsed = log.step - log.step[first_rows(log)][log.episode]
    return np.asarray(np.float64(log.discount) ** elapsed, dtype=np.float64)


def as_single_decisions(log: EvaluationLog) -> EvaluationLog:
    """Make every decision its own one-step episode; contacts stay the clusters.

    For journeys whose estimand is the value per decision.
    """
    return replace(
        log,
        episode=np.arange(log.n_rows, dtype=np.int64),
        cluster=log.cluster[log.episode],
        terminal=np.ones(log.n_rows, dtype=np.bool_),
    )


def take_episodes(log: EvaluationLog, index: ArrayLike) -> EvaluationLog:
    """Keep the episodes in `index`, in that order and numbered anew; one may come twice.

    Raises:
        LogError: no episode, or one that is not in the log.
    """
    chosen = np.asarray(index, dtype=np.int64)
    if chosen.size == 0 or chosen.min() < 0 or chosen.max() >= log.n_episodes:
        raise LogError(
            f"expected episode numbers in 0..{log.n_episodes - 1}, got {chosen.size} of them"
            f"{'' if chosen.size == 0 else f' in {chosen.min()}..{chosen.max()}'}; choose others"
        )
    length = np.bincount(log.episode)[chosen]
    offset = np.concatenate([[0], np.cumsum(length)[:-1]])
    within = np.arange(length.sum()) - np.repeat(offset, length)
    rows = np.repeat(first_rows(log)[chosen], length) + within
    logged = log.logged_probabilities
    return replace(
        log,
        features=log.features[rows],
        mask=log.mask[rows],
        action=log.action[rows],
        propensity=log.propensity[rows],
        logged_probabilities=None if logged is None else logged[rows],
        reward=log.reward[rows],
        episode=np.repeat(np.arange(chosen.size, dtype=np.int64), length),
        step=log.step[rows],
        cluster=log.cluster[chosen],
        terminal=log.terminal[rows],
    )
