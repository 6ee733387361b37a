"""Choosing an estimator on the log alone: the narrowest of those without bias in large logs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from experiments.ope_truth.study import TruthFinding
from nurture_rl.ope.named_estimators import FULLY_WEIGHTED


def narrowest(findings: Sequence[TruthFinding]) -> str | None:
    """The consistent estimator with the smallest mean squared width of its intervals.

    The mean is over the policies that the log carries, so that one estimator speaks for all of
    them and they stay comparable. Estimators whose bias their intervals leave out, such as the
    direct method, would always be the narrowest and are no candidates; nor is one that did not
    answer for every such policy. None where the log carries no policy.
    """
    carried = [one for one in findings if one.feasible and one.estimator in FULLY_WEIGHTED]
    policies = {one.policy for one in carried}
    widths: dict[str, list[float]] = {}
    for one in carried:
        widths.setdefault(one.estimator, []).append((one.upper - one.lower) ** 2)
    means = {k: float(np.mean(v)) for k, v in widths.items() if len(v) == len(policies)}
    return min(means, key=lambda name: means[name], default=None)
