"""Difference softmax: arms that sleep and recover, each held against the others."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

import numpy as np
from numpy.typing import NDArray

from nurture_rl.bandits.action_design import ContextMoments
from nurture_rl.bandits.linear_policy import linear_policy
from nurture_rl.bandits.logged_choices import require_enough
from nurture_rl.errors import FitError
from nurture_rl.learned.choice_rules import Boltzmann
from nurture_rl.learned.scored import ScoredPolicy
from nurture_rl.learned.setting_ranges import LEAST, require_settings
from nurture_rl.learned.training_log import Progress, TrainingLog

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

_FEWEST = 2  # decisions of an arm, below which nothing is said of it


@dataclass(frozen=True, slots=True)
class DifferenceSoftmaxConfig:
    """How arms recover and how to explore."""

    # In the journey's unit, > 0; None: the root mean squared standard error of the scores.
    temperature: float | None = None
    # Feature columns that tell bins since the last send; the first that there is counts.
    recency: tuple[str, ...] = ("days_since_send", "bins_since_send", "since_send")
    # What a send gains with each bin of rest, the journey's unit, >= 0; None: as the log has it.
    recovery: float | None = None
    floor: float = 0.002  # least probability of a legal action

    def __post_init__(self) -> None:
        require_settings(self, temperature=(LEAST, inf), recovery=(0.0, inf))


@dataclass(frozen=True, slots=True)
class _Difference:
    """An arm's score and its standard error, the journey's unit."""

    score: float
    stderr: float


def fit_difference_softmax(
    log: TrainingLog, config: DifferenceSoftmaxConfig, seed: int, progress: Progress
) -> ScoredPolicy:
    """Score each arm by what it earns over the other legal arms, and draw by a softmax.

        s_a = E[R | a legal, a taken] - E[R | a legal, another taken evenly]
        p(a|x) ~ exp((s_a + [a sends] recovery (d(x) - mean d)) / temperature)

    Arms sleep: an arm that is legal only for promising contacts has high returns through no merit
    of its own. Both means are over decisions where the arm was legal, so what those contacts earn
    anyway falls out. With propensities p, rows count 1 / p in the first mean and
    1 / ((k - 1) p) in the second, k the legal arms; without them every row counts the same, and
    the log's habits stay in.

    Arms recover: d is the bins since the last send, and `recovery` what a send gains with each bin
    of rest, fitted as the difference of two weighted slopes and never below 0. The features of a
    journey tell the recency of any send, not that of one message, so all sends recover together
    and the choice between messages does not depend on what was sent last. Without such a column
    there is no recovery: `fit` then has `recency` 0. The published algorithm has
    a penalty for each arm that fades geometrically, and scores relative to the second mean.

    Nothing else of the context counts. A return is what the logging policy made of the rest of the
    episode, so this improves one decision at a time. Rows with one legal action show no choice and
    are left out. An arm with less than 2 decisions has score 0: as good as the others.

    Args:
        log: the decisions.
        config: how arms recover and how to explore.
        seed: not used; nothing is drawn.
        progress: is told once, what the fit saw.

    Returns:
        The policy; its `fit` tells rows with a choice, contacts, whether rows were `weighted` and
        a column of `recency` was found (1 or 0), and the `temperature` and `recovery` used.

    Raises:
        FitError: there are fewer rows than features or fewer than 2 contacts, returns that do not
            vary, or no arm whose error can be told.

    Source: Yancey & Settles (2020), A Sleeping, Recovering Bandit Algorithm for Optimizing
        Recurring Notifications.
    """
    rows = log.take(log.choice)
    require_enough(rows)
    known = bool((rows.propensity > 0.0).all())
    weight = 1.0 / rows.propensity if known else np.ones(rows.action.size)
    arms = [_difference(rows, weight, arm, known) for arm in range(len(log.catalog))]
    temperature = _temperature(arms, config.temperature)
    sends = np.array([action.message is not None for action in log.catalog.actions])
    column, recovery = _recovery(rows, weight, sends, config)
    moments = ContextMoments.of(rows.features)
    maps = np.zeros((1, len(arms), len(log.columns) + 1))
    maps[0, :, 0] = [arm.score for arm in arms]
    if column is not None:
        maps[0, sends, 1 + column] = recovery * moments.scale[column]
    told = {"weighted": float(known), "recency": float(column is not None)}
    told |= {"temperature": temperature, "recovery": recovery}
    policy = linear_policy(rows, moments, maps, Boltzmann(temperature), config.floor, told)
    progress(0, dict(policy.fit))
    return policy


def _difference(rows: TrainingLog, weight: FloatArray, arm: int, known: bool) -> _Difference:
    """How much an arm earns over the others, where it is legal."""
    legal, taken = rows.mask[:, arm], rows.action == arm
    if taken.sum() < _FEWEST or (legal & ~taken).sum() < _FEWEST:
        return _Difference(0.0, 0.0)
    others = legal & ~taken
    # Evenly among the other legal arms, as far as the log tells how it chose.
    spread = weight / (rows.mask.sum(axis=1) - 1) if known else weight
    first, second = _shares(weight, taken), _shares(spread, others)
    score = float((first - second) @ rows.returns)
    residual = first * (rows.returns - first @ rows.returns)
    residual -= second * (rows.returns - second @ rows.returns)
    by_contact = np.bincount(rows.code, residual)
    return _Difference(score, float(np.sqrt(by_contact @ by_contact)))


def _temperature(arms: list[_Difference], given: float | None) -> float:
    if given is not None:
        return given
    error = np.array([arm.stderr for arm in arms if arm.stderr > 0.0])
    if not error.size:
        raise FitError(
            f"expected arms with {_FEWEST} decisions or more whose returns vary, got none; log "
            "longer, or set the temperature"
        )
    return float(np.sqrt((error**2).mean()))


def _recovery(
    rows: TrainingLog, weight: FloatArray, sends: BoolArray, config: DifferenceSoftmaxConfig
) -> tuple[int | None, float]:
    """The column of rest, and what a bin of it adds to a send over not sending, at least 0."""
    column = next((rows.columns.index(one) for one in config.recency if one in rows.columns), None)
    if column is None:
        return None, 0.0
    if config.recovery is not None:
        return column, config.recovery
    rest = rows.features[:, column].astype(np.float64)
    can = (rows.mask & sends).any(axis=1) & (rows.mask & ~sends).any(axis=1)
    sent = sends[rows.action]
    slopes = [_slope(_shares(weight, can & part), rest, rows.returns) for part in (sent, ~sent)]
    return column, max(slopes[0] - slopes[1], 0.0)


def _slope(share: FloatArray, x: FloatArray, y: FloatArray) -> float:
    """Weighted least-squares slope of y on x; 0 where x does not vary."""
    gap = x - share @ x
    spread = float(share @ gap**2)
    return float(share @ (gap * y)) / spread if spread > 0.0 else 0.0


def _shares(weight: FloatArray, part: BoolArray) -> FloatArray:
    total = float(weight[part].sum())
    return np.where(part, weight / total, 0.0) if total > 0.0 else np.zeros(weight.size)
