"""Smooth functions of the local hour of a send, as columns of actions."""

from __future__ import annotations

from math import pi

import numpy as np
from numpy.typing import NDArray

from nurture_envs.actions import NOW, ActionCatalog
from nurture_rl.errors import FitError

FloatArray = NDArray[np.float64]


def day_waves(catalog: ActionCatalog, waves: int) -> FloatArray:
    """Cosine and sine of 1 to `waves` waves a day at each action's hour, [a, 2 waves].

    A wave of k periods is divided by k^2: with one prior for all, effects are smooth over the
    hours and midnight is beside 23:00, as a cubic smoothing spline on the circle has it. The mean
    over the timed sends is taken off, so that other actions, with 0, are at the mean hour.

    Raises:
        FitError: fewer than two hours to send at.

    Source: Wahba (1990), Spline Models for Observational Data, 2.1, for the circle.
    """
    timed = catalog.slots != NOW
    if np.unique(catalog.slots[timed]).size < 2:
        raise FitError(
            "expected sends at two local hours or more, got "
            f"{np.unique(catalog.slots[timed]).size}; give the journey actions.slots such as "
            "[9, 12, 15]"
        )
    order = np.arange(1, waves + 1)
    angle = catalog.slots[:, None] * order * (2.0 * pi / 24.0)
    columns = np.hstack([np.cos(angle) / order**2, np.sin(angle) / order**2])
    return np.asarray(np.where(timed[:, None], columns - columns[timed].mean(axis=0), 0.0))
