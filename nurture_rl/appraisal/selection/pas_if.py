"""Policy-adaptive subsampling: part of a log is made to look like the target's own.

A random part of the log, accepted with chance rho(x, a), is a log of the pseudo target; the rest is
one of a pseudo logging policy:

    accepted: pi(a|x) rho(x, a) / k,    rest: pi(a|x) (1 - rho(x, a)) / (1 - k)

with rho fitted so that their ratio resembles the real importance weight. The pseudo target's value
is then known from its own rows, and estimators are asked for it from the rest.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from scipy import optimize, special

from nurture_rl.appraisal.selection.choice import EstimatorChoice
from nurture_rl.appraisal.selection.trials import Trial, choose_by_trials, settings_problem
from nurture_rl.errors import NurtureError, OverlapError
from nurture_rl.ope.estimators import ips
from nurture_rl.ope.log import BoolArray, EvaluationLog, FloatArray, horizon, take_episodes
from nurture_rl.ope.suite import Estimator, Question, answers
from nurture_rl.ope.targets import on_logged_rows
from nurture_rl.ope.value_model import ValueModelConfig, fit_value, value_design

SMALLEST_RATIO = 1e-3  # weights below are told apart no further
STEEPEST = 3.0  # largest coefficient of a feature
BISECTIONS = 50  # settle a row's offset to rounding
OFFSETS = 60.0  # log-odds within which it lies


@dataclass(frozen=True, slots=True)
class PasIfConfig:
    """How the log is split."""

    splits: int = 10
    accept: float = 0.2  # k, share of the log that becomes the pseudo target's, in (0, 1)
    fit_rows: int = 4_000  # rows the rule is fitted on
    value_model: ValueModelConfig = field(default_factory=ValueModelConfig)


def select_by_subsampling(
    log: EvaluationLog,
    targets: Mapping[str, FloatArray],
    estimators: Mapping[str, Estimator],
    rng: np.random.Generator,
    config: PasIfConfig,
) -> EstimatorChoice:
    """Choose the estimator that best finds a value like the target's, known from its own rows.

    Unlike a split at random this keeps the shift from logging to target, so an estimator is judged
    where it will be used. Every context is accepted with chance k, whatever is done there: contexts
    are alike in both parts.

    Args:
        log: logged decisions of horizon 1, with the logging policy's whole distribution.
        targets: target probabilities on the log's rows by policy, [N, a]; errors are averaged.
        estimators: the candidates by name, such as `suite.ESTIMATORS`.
        rng: draws the rows that the rule is fitted on, and those accepted.
        config: splits, share accepted and value models.

    Returns:
        The choice; an estimator that refused in any split is not ranked.

    Raises:
        NurtureError: longer episodes, no logged distribution, no target, no estimator, or settings
            out of range.
        FitError: too few contacts.
        OverlapError: no estimator gave a number in every split, or none was accepted.

    Source: Udagawa et al. (2023), Policy-Adaptive Estimator Selection for Off-Policy Evaluation;
        the share accepted is held in every context here, not only on average.
    """
    logged = log.logged_probabilities
    if horizon(log) > 1 or logged is None:
        raise NurtureError(
            f"subsampling needs one decision per episode and the logged distribution, got horizon "
            f"{horizon(log)} and {'none' if logged is None else 'one'}; cross-validate instead"
        )
    problem = settings_problem(targets, estimators, config.splits, config.accept)
    if problem:
        raise NurtureError(problem)
    trials = [
        trial
        for probabilities in targets.values()
        for trial in _trials(log, logged, probabilities, estimators, (rng, config))
    ]
    return choose_by_trials(trials, "pas-if")


def acceptance(
    logged: FloatArray,
    target: FloatArray,
    action_factors: FloatArray,
    rng: np.random.Generator,
    config: PasIfConfig,
) -> FloatArray:
    """Chance rho that a row with each action joins the pseudo target's log, [N, a].

        rho = sigmoid(theta . f(x, a) + c(x)),    sum_a pi(a|x) rho(x, a) = k for every x

    with f = [log of the real weight w, factors of the action]; the pseudo weight is then
    rho / (1 - rho) (1 - k) / k, and theta minimises its squared distance to w under logging.

    Args:
        logged: logging probabilities, pi, [N, a].
        target: target probabilities, [N, a].
        action_factors: factor columns of the catalogue, [a, f].
        rng: draws the rows it is fitted on.
        config: share accepted and rows.
    """
    weight = np.divide(target, logged, out=np.zeros_like(target), where=logged > 0.0)
    shape = _features(weight, action_factors)
    rows = rng.permutation(len(weight))[: config.fit_rows]
    start = np.zeros(shape.shape[2])
    start[0] = 1.0
    found = optimize.minimize(
        importance_gap,
        start,
        args=(shape[rows], logged[rows], weight[rows], config.accept),
        jac=True,
        method="L-BFGS-B",
        bounds=[(-STEEPEST, STEEPEST)] * start.size,
    )
    odds = _log_odds(found.x, shape, logged, config.accept)
    return np.asarray(special.expit(odds), dtype=np.float64)


def importance_gap(
    theta: FloatArray, shape: FloatArray, logged: FloatArray, weight: FloatArray, accept: float
) -> tuple[float, FloatArray]:
    """Mean squared distance of the pseudo weight to the real one, and its slope in theta.

    The offset c(x) follows theta so that the share accepted stays k: dc = -mean of f, weighted by
    pi rho (1 - rho).
    """
    odds = _log_odds(theta, shape, logged, accept)
    pseudo = np.exp(odds) * (1.0 - accept) / accept
    rho = special.expit(odds)
    lean = logged * rho * (1.0 - rho)
    mean_shape = np.einsum("na,naf->nf", lean, shape) / lean.sum(axis=1, keepdims=True)
    off = pseudo - weight
    push = 2.0 * logged * off * pseudo / len(logged)
    slope = np.einsum("na,naf->f", push, shape) - push.sum(axis=1) @ mean_shape
    return float((logged * off**2).sum() / len(logged)), np.asarray(slope, dtype=np.float64)


def _features(weight: FloatArray, action_factors: FloatArray) -> FloatArray:
    """f(x, a): log weight, then the factors that vary, [N, a, 1 + f]."""
    ratio = np.log(np.maximum(weight, SMALLEST_RATIO))
    varying = action_factors[:, np.ptp(action_factors, axis=0) > 0.0]
    scaled = varying / np.abs(varying).max(axis=0, initial=0.0)
    factors = np.broadcast_to(scaled, (len(weight), *scaled.shape))
    return np.concatenate([ratio[:, :, None], factors], axis=2)


def _log_odds(
    theta: FloatArray, shape: FloatArray, logged: FloatArray, accept: float
) -> FloatArray:
    """theta . f + c with the offset at which a share `accept` of every row is accepted, [N, a]."""
    raw = shape @ theta
    low, high = np.full(len(raw), -OFFSETS), np.full(len(raw), OFFSETS)
    for _ in range(BISECTIONS):
        offset = (low + high) / 2.0
        share = (logged * special.expit(raw + offset[:, None])).sum(axis=1)
        low, high = np.where(share < accept, offset, low), np.where(share < accept, high, offset)
    return np.asarray(raw + ((low + high) / 2.0)[:, None], dtype=np.float64)


def _trials(
    log: EvaluationLog,
    logged: FloatArray,
    target: FloatArray,
    estimators: Mapping[str, Estimator],
    drawn: tuple[np.random.Generator, PasIfConfig],
) -> Iterator[Trial]:
    rng, config = drawn
    rho = acceptance(logged, target, log.action_factors, rng, config)
    pseudo_target = _normalised(logged * rho)
    pseudo_logged = _normalised(logged * (1.0 - rho))
    taken_chance = rho[np.arange(log.n_rows), log.action]
    for _ in range(config.splits):
        accepted = rng.random(log.n_rows) < taken_chance
        if not accepted.any() or accepted.all():
            raise OverlapError(
                f"{accepted.sum()} of {log.n_rows} decisions were accepted, which leaves nothing "
                "to compare; evaluate a longer log"
            )
        own = take_episodes(log, np.flatnonzero(accepted))
        known = ips(own, own.propensity)
        asked = _logged_by(log, ~accepted, pseudo_logged)
        probabilities = pseudo_target[~accepted]
        design = value_design(asked, rng, config.value_model)
        question = Question(
            asked, on_logged_rows(asked, probabilities), fit_value(design, probabilities)
        )
        yield Trial(answers(question, estimators), known, 1.0)


def _logged_by(log: EvaluationLog, inside: BoolArray, logging: FloatArray) -> EvaluationLog:
    """The decisions `inside`, [N], as another policy logged them."""
    own = take_episodes(log, np.flatnonzero(inside))
    rows = logging[inside]
    return replace(
        own, propensity=rows[np.arange(own.n_rows), own.action], logged_probabilities=rows
    )


def _normalised(mass: FloatArray) -> FloatArray:
    return np.asarray(mass / mass.sum(axis=1, keepdims=True), dtype=np.float64)
