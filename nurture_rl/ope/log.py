"""The log that every estimator reads: one row per decision, sorted by episode, then step."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nurture_rl.decisions import picked
from nurture_rl.errors import ActionError, LogError, PropensityError, ShapeError
from nurture_rl.ope.log_checks import TOLERANCE, require_probabilities
from nurture_rl.wording import counted, plural

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
_BY_ROW = ("features", "action", "propensity", "reward", "episode", "step", "terminal")
_BY_ACTION = ("mask", "logged_probabilities")


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
    # Propensities are a model's, nobody logged them: every number then has bounds beside it.
    estimated: bool = False

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

    Args:
        features: context of each decision, [N, d].
        mask: legal actions, [N, a].
        action: logged action, position in the catalogue, [N].
        propensity: logging probability of the logged action, NaN where it is missing, [N].
        reward: of the decision, in `unit`, [N].
        episode: 0 .. E-1 without gaps, non-decreasing, [N].
        step: bin of the decision, increasing inside an episode, [N].
        cluster: account of each episode, or its contact where there is none, [E].
        terminal: nothing follows because the world ended, [N].
        action_factors: factor columns of the catalogue, [a, k].
        discount: per bin, in (0, 1].
        unit: what a reward is counted in, such as "EUR".
        logged_probabilities: the logging policy's whole distribution, [N, a].

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
    numbers = np.repeat(np.arange(chosen.size, dtype=np.int64), length)
    parts = picked(log, (*_BY_ROW, *_BY_ACTION), rows)
    return replace(log, **parts | {"episode": numbers, "cluster": log.cluster[chosen]})


def require_valid(log: EvaluationLog) -> None:
    """Check everything `evaluation_log` promises; shapes first, so that the rest can index."""
    _require_shapes(log)
    _require_order(log)
    _require_values(log)
    _require_actions(log)
    _require_propensities(log)
    _require_distributions(log)


def _require_shapes(log: EvaluationLog) -> None:
    n = log.action.size
    if n == 0:
        raise LogError("the log has no decision; expected at least one, check the filters before")
    if log.mask.ndim != 2 or log.features.ndim != 2 or log.action_factors.ndim != 2:
        raise ShapeError("features, mask and action_factors must be [N, d], [N, a] and [a, k]")
    a = log.mask.shape[1]
    expected = {
        **dict.fromkeys(_BY_ROW, (n,)),
        **dict.fromkeys(_BY_ACTION, (n, a)),
        "features": (n, log.features.shape[1]),
        "cluster": (log.cluster.size,),
        "action_factors": (a, log.action_factors.shape[1]),
    }
    wrong = [
        f"{name} {part.shape} instead of {shape}"
        for name, shape in expected.items()
        if (part := getattr(log, name)) is not None and part.shape != shape
    ]
    if wrong:
        raise ShapeError(f"{n} actions were given, so expected other shapes: {'; '.join(wrong)}")


def _require_order(log: EvaluationLog) -> None:
    jump = np.diff(log.episode)
    if log.episode[0] != 0 or ((jump != 0) & (jump != 1)).any():
        raise LogError("episodes must be numbered 0, 1, 2, ... without gaps; sort and renumber")
    if log.episode[-1] + 1 != log.cluster.size:
        raise ShapeError(
            f"cluster names the contact of {counted(log.cluster.size, 'episode')}, but the log has "
            f"{log.episode[-1] + 1}; give one contact per episode"
        )
    late = np.flatnonzero((jump == 0) & (np.diff(log.step) <= 0))
    if late.size:
        raise LogError(
            f"step must increase inside an episode, but row {late[0] + 1} does not come after "
            f"row {late[0]}; sort by episode, then step, and keep one decision per bin"
        )
    ghost = np.flatnonzero((jump == 0) & log.terminal[:-1])
    if ghost.size:
        raise LogError(
            f"row {ghost[0]} is terminal but its episode goes on in row {ghost[0] + 1}; "
            "cut the episode there or clear the flag"
        )


def _require_values(log: EvaluationLog) -> None:
    for name, values in (("reward", log.reward), ("features", log.features)):
        bad = np.flatnonzero(~np.isfinite(values).reshape(log.n_rows, -1).all(axis=1))
        if bad.size:
            raise LogError(
                f"{name} must be finite, but {bad.size} of {log.n_rows} rows "
                f"{plural(bad.size, 'is', 'are')} not, first row "
                f"{bad[0]}; leave out decisions whose outcome has not matured"
            )
    if not 0.0 < log.discount <= 1.0:
        raise LogError(f"discount must lie in (0, 1], got {log.discount}; take it from the journey")


def _require_actions(log: EvaluationLog) -> None:
    a = log.n_actions
    outside = np.flatnonzero((log.action < 0) | (log.action >= a))
    if outside.size:
        raise ActionError(
            f"actions must lie in 0..{a - 1}, but row {outside[0]} has {log.action[outside[0]]}; "
            "index them by the catalogue that made the mask"
        )
    illegal = np.flatnonzero(~log.mask[np.arange(log.n_rows), log.action])
    if illegal.size:
        raise ActionError(
            f"expected logged actions that their own mask allows, but {illegal.size} "
            f"{plural(illegal.size, 'is', 'are')} forbidden, first row "
            f"{illegal[0]} with action {log.action[illegal[0]]}; log the mask the policy saw"
        )


def _require_propensities(log: EvaluationLog) -> None:
    missing = np.flatnonzero(np.isnan(log.propensity))
    if missing.size:
        raise PropensityError(
            f"{missing.size} of {log.n_rows} propensities {plural(missing.size, 'is', 'are')} "
            f"missing, first row {missing[0]}; "
            "log the probability of every decision, or leave these decisions out: 1 is no stand-in"
        )
    bad = np.flatnonzero((log.propensity <= 0.0) | (log.propensity > 1.0 + TOLERANCE))
    if bad.size:
        raise PropensityError(
            f"propensities must lie in (0, 1], but {bad.size} {plural(bad.size, 'does', 'do')} "
            f"not, first row {bad[0]} with {log.propensity[bad[0]]:g}; an action that was taken "
            "had a chance"
        )


def _require_distributions(log: EvaluationLog) -> None:
    logged = log.logged_probabilities
    if logged is None:
        return
    require_probabilities(logged, log.mask, "logged_probabilities")
    stated = logged[np.arange(log.n_rows), log.action]
    off = np.flatnonzero(np.abs(stated - log.propensity) > TOLERANCE)
    if off.size:
        raise PropensityError(
            f"{counted(off.size, 'propensity differs', 'propensities differ')} from "
            f"logged_probabilities at the logged action, first "
            f"row {off[0]}: {log.propensity[off[0]]:g} against {stated[off[0]]:g}; "
            "check the catalogue order and which action was really taken"
        )
