"""Which of many findings are told, so that few of them are false."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def few_false(chances: Sequence[float], rate: float) -> list[bool]:
    """Which findings are told so that the expected share of false ones is bounded.

    Args:
        chances: p values of all that were tested.
        rate: the bound, in (0, 1).

    Source: Benjamini and Hochberg (1995), Controlling the false discovery rate.
    """
    ordered = np.sort(chances)
    fits = ordered <= rate * np.arange(1, len(ordered) + 1) / max(len(ordered), 1)
    limit = ordered[np.flatnonzero(fits)[-1]] if fits.any() else -1.0
    return [bool(one <= limit) for one in chances]
