"""Guards of the evaluation log: each names what came and what to do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nurture_rl.errors import (
    ActionError,
    LogError,
    ProbabilityError,
    PropensityError,
    ShapeError,
)
from nurture_rl.wording import counted, plural

if TYPE_CHECKING:
    from nurture_rl.ope.log import EvaluationLog

TOLERANCE = 1e-6  # logged probabilities went through float32 and text; they sum to 1 this closely


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
        "features": (n, log.features.shape[1]),
        "mask": (n, a),
        "action": (n,),
        "propensity": (n,),
        "reward": (n,),
        "episode": (n,),
        "step": (n,),
        "terminal": (n,),
        "cluster": (log.cluster.size,),
        "action_factors": (a, log.action_factors.shape[1]),
    }
    if log.logged_probabilities is not None:
        expected["logged_probabilities"] = (n, a)
    wrong = [
        f"{name} {getattr(log, name).shape} instead of {shape}"
        for name, shape in expected.items()
        if getattr(log, name).shape != shape
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


def require_probabilities(
    probabilities: NDArray[np.float64], mask: NDArray[np.bool_], name: str
) -> None:
    """Check that rows are distributions over legal actions, exactly 0 on masked ones.

    Raises:
        ShapeError: the arrays do not have one shape.
        ProbabilityError: a negative or non-finite entry, mass on a masked action, a wrong sum.
    """
    if probabilities.shape != mask.shape:
        raise ShapeError(f"{name} must be {mask.shape} like the mask, got {probabilities.shape}")
    wrong = {
        "is negative or not finite": ~(probabilities >= 0.0).all(axis=1),
        "puts mass on a masked action": ((probabilities != 0.0) & ~mask).any(axis=1),
        "does not sum to 1": ~(np.abs(probabilities.sum(axis=1) - 1.0) <= TOLERANCE),
    }
    for what, rows in wrong.items():
        if rows.any():
            first = int(np.flatnonzero(rows)[0])
            raise ProbabilityError(
                f"{name}: expected a distribution over the legal actions, but "
                f"{counted(int(rows.sum()), 'row is', 'rows are')} not: row {first} {what} "
                f"(sum {probabilities[first].sum():.9g}); "
                "mask and renormalise in the policy that made it"
            )
