"""Who may have an offer: its conditions asked of the features that the policy is shown."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from array_api_compat import array_namespace

from nurture_envs.journey import Offer

Array = Any  # numpy or torch

COMPARISONS: Mapping[str, Callable[[Any, Any], Any]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
    "==": operator.eq,
    "!=": operator.ne,
}


def eligible(
    offers: Sequence[Offer], column: Callable[[str], Array], everybody: Array
) -> Array | None:
    """Which offers each contact may have by their conditions.

    Args:
        offers: of the catalogue, `ActionCatalog.limited_offers`, [o].
        column: a feature column at the start of the bin by its name, [n] f32; numbers of conditions
            are rounded to 32 bits, as they are for rules.
        everybody: true for every contact, [n] bool.

    Returns:
        True where every condition of the offer holds, [n, o]; None where there is no such offer.
    """
    if not offers:
        return None
    fitting = []
    for offer in offers:
        fits = everybody
        for condition in offer.eligible:
            threshold = float(np.float32(condition.threshold))
            fits = fits & COMPARISONS[condition.operator](column(condition.column), threshold)
        fitting.append(fits)
    return array_namespace(everybody).stack(fitting, axis=1)
