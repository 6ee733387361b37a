"""Neural fitted-Q evaluation, cross-fitted by contact; torch is loaded when it is first asked for.

For values that are not linear in the features. It answers like the linear value model, so `dm`,
`dr`, `wdr` and `drl` take its predictions unchanged.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from nurture_rl.errors import FitError, ShapeError
from nurture_rl.ope.estimators import ValueEstimate, dm
from nurture_rl.ope.log import EvaluationLog, FloatArray, IntArray, first_rows, horizon
from nurture_rl.ope.sequential.fqe_config import FqeConfig
from nurture_rl.ope.value_model import ValuePredictions


@dataclass(frozen=True, slots=True)
class FqeFit:
    """What a network's answers are, and how its training ended."""

    predictions: ValuePredictions
    steps: tuple[int, ...] = field(default=())  # gradient steps of each fold


def fqe(log: EvaluationLog, target: FloatArray, config: FqeConfig | None = None) -> ValueEstimate:
    """Estimate a policy's value by neural fitted-Q evaluation.

        V = 1/E sum_e v(x_e0),    v(x) = sum_a target(a|x) q(x, a)

    As of `dm`, the standard error only covers which contacts were sampled, not the error of the
    network: give its predictions to `dr` or `wdr` for an interval that means something.

    Args:
        log: the logged decisions.
        target: target probabilities on the log's rows, [N, a].
        config: network, training, folds, seed and device.

    Raises:
        ShapeError, FitError: as `fit_fqe`.

    Source: Le, Voloshin & Yue (2019), Batch Policy Learning under Constraints.
    """
    return dm(log, fit_fqe(log, target, config).predictions)


def fit_fqe(log: EvaluationLog, target: FloatArray, config: FqeConfig | None = None) -> FqeFit:
    """Train q and answer each row by a network that never saw its contact.

        minimise mean (r + discount^(bins between) sum_a' target(a'|x') q-(x', a') - q(x, a))^2

    with q- a copy that follows q slowly. The next row counts with the target's whole distribution,
    which is 0 on its masked actions; nothing follows an episode's last row, ended or cut. The bin
    is an input, since the horizon is finite. Errors are squared, not clipped: rewards that come
    once in a hundred decisions are outliers of no other loss's mean.

    Args:
        log: the logged decisions.
        target: target probabilities on the log's rows, [N, a].
        config: network, training, folds, seed and device.

    Returns:
        The predictions in row order; equal for equal configs on one device.

    Raises:
        ShapeError: `target` is not [N, a].
        FitError: settings out of range, or fewer contacts than folds.
    """
    chosen = FqeConfig() if config is None else config
    if target.shape != log.mask.shape:
        raise ShapeError(f"target must be {log.mask.shape} like the mask, got {target.shape}")
    fold = _folds(log, chosen)
    from nurture_rl.ope.sequential import fqe_training

    buffer = fqe_training.buffer_of(log, target, chosen.device)
    q_logged, value, steps = np.empty(log.n_rows), np.empty(log.n_rows), []
    for held_out in range(chosen.n_folds):
        answered = fold == held_out
        trained_on = np.ones_like(answered) if chosen.n_folds == 1 else ~answered
        network, taken = fqe_training.train(
            buffer,
            np.flatnonzero(trained_on[log.episode]),
            first_rows(log)[trained_on],
            chosen,
            least_steps=_least_steps(horizon(log), chosen),
        )
        rows = np.flatnonzero(answered[log.episode])
        q_logged[rows], value[rows] = fqe_training.answers(buffer, network, rows)
        steps.append(taken)
    return FqeFit(ValuePredictions(q_logged=q_logged, value=value), tuple(steps))


def _least_steps(decisions: int, config: FqeConfig) -> int:
    """Gradient steps that rewards of the last decision need to reach the first."""
    return int(config.refresh * decisions / config.follow)


def _folds(log: EvaluationLog, config: FqeConfig) -> IntArray:
    """Group of each episode's contact, [E]."""
    names, contact = np.unique(log.cluster, return_inverse=True)
    if not 1 <= config.n_folds <= names.size:
        raise FitError(
            f"expected 1 to {names.size} folds, one contact each at least, got {config.n_folds}"
        )
    counts = (config.batch, config.refresh, config.max_steps, config.check_every, config.patience)
    least = min(*counts, *config.hidden)
    if least < 1 or not 0.0 < config.follow <= 1.0 or config.learning_rate <= 0.0:
        raise FitError(
            "batch, refresh, max_steps, check_every, patience and hidden units must be at least 1, "
            f"follow in (0, 1] and the learning rate positive, got {config}"
        )
    group = np.random.default_rng(config.seed).permutation(names.size) % config.n_folds
    return np.asarray(group[contact], dtype=np.int64)
