"""Ridge regression from sums over rows, which add up, so that folds cost one pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import linalg

from nurture_rl.errors import FitError
from nurture_rl.ope.log import FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class RidgeSums:
    """Sums over a fold's rows of features phi and an answer r; the first feature is 1."""

    gram: FloatArray  # sum of phi phi', [p, p]
    cross: FloatArray  # sum of phi r, [p]
    square: float  # sum of r^2
    rows: int


def require_folds(n_folds: int, penalties: Sequence[float], n_contacts: int) -> None:
    """Refuse folds among which no penalty can be chosen for a contact the model never saw.

    Raises:
        FitError: fewer than three folds or contacts, or penalties that are not positive.
    """
    if n_folds < 3 or not penalties or min(penalties) <= 0.0:
        raise FitError(
            f"the value model needs at least 3 folds and positive penalties, got {n_folds} "
            f"and {penalties}; two folds leave no third to choose the penalty on"
        )
    if n_contacts < 3:
        raise FitError(
            f"the value model is fitted without the contact it predicts and needs at least 3 "
            f"contacts, got {n_contacts}; evaluate a longer log"
        )


def pooled(parts: Sequence[RidgeSums], left_out: tuple[int, ...]) -> RidgeSums:
    """Sums over all folds but those left out."""
    kept = [part for f, part in enumerate(parts) if f not in left_out]
    return RidgeSums(
        gram=np.sum([part.gram for part in kept], axis=0),
        cross=np.sum([part.cross for part in kept], axis=0),
        square=sum(part.square for part in kept),
        rows=sum(part.rows for part in kept),
    )


def penalised_factor(part: RidgeSums, penalty: float) -> FloatArray:
    """Upper Cholesky factor of gram + penalty * rows on everything but the intercept.

    Raises:
        FitError: sums that differ in size by more than floating point can hold.
    """
    ridge = np.full(part.cross.size, penalty * part.rows)
    ridge[0] = 0.0
    try:
        return np.asarray(linalg.cholesky(part.gram + np.diag(ridge), lower=False))
    except (np.linalg.LinAlgError, ValueError) as error:
        raise FitError(
            f"sums over {part.rows} rows cannot be solved for a ridge of {penalty:g} ({error}): "
            "features or weights differ in size by more than floating point holds; stay closer to "
            "the logging policy, or scale the features"
        ) from error


def inverse_factor(part: RidgeSums, penalty: float) -> FloatArray:
    """Inverse of `penalised_factor`, upper as well.

    Raises:
        FitError: as `penalised_factor`.
    """
    inverse, _ = linalg.lapack.dtrtri(penalised_factor(part, penalty))
    return np.asarray(inverse, dtype=np.float64)


def best_penalty(parts: Sequence[RidgeSums], held_out: int, penalties: tuple[float, ...]) -> float:
    """`best_penalties` of a single answer."""
    return best_penalties((parts,), held_out, penalties)[0]


def best_penalties(
    answers: Sequence[Sequence[RidgeSums]], held_out: int, penalties: tuple[float, ...]
) -> list[float]:
    """For each answer the ridge that, fitted without two folds, fits the second of them best.

    All answers are about the same rows and share the factors of their Gram. A ridge that is too
    small to be solved for is passed over.

    Args:
        answers: sums of every fold, by answer; they differ in `cross` and `square` alone.
        held_out: the fold that the chosen ridge will predict.
        penalties: what may be chosen, per row.

    Raises:
        FitError: none can be solved for.
    """
    if len(penalties) == 1:
        return [penalties[0]] * len(answers)
    other = (held_out + 1) % len(answers[0])
    training = [pooled(parts, (held_out, other)) for parts in answers]
    losses: list[dict[float, float]] = [{} for _ in answers]
    for penalty in penalties:
        try:
            factor = penalised_factor(training[0], penalty)
        except FitError as error:
            refusal = error
            continue
        for loss_of, own, parts in zip(losses, training, answers, strict=True):
            theta, check = linalg.cho_solve((factor, False), own.cross), parts[other]
            loss = check.square - 2.0 * check.cross @ theta + theta @ check.gram @ theta
            loss_of[penalty] = float(loss)
    if not losses[0]:
        raise refusal
    return [min(loss_of, key=loss_of.__getitem__) for loss_of in losses]
