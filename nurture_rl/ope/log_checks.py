"""The guard of distributions over legal actions, and how closely they must sum to 1."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nurture_rl.errors import (
    ProbabilityError,
    ShapeError,
)
from nurture_rl.wording import counted

TOLERANCE = 1e-6  # logged probabilities went through float32 and text; they sum to 1 this closely


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
