"""Choosing an estimator on the log alone, by what each is expected to be off."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from nurture_rl.errors import FitError
from nurture_rl.ope.clusters import clustered_stderr
from nurture_rl.ope.estimators import ValueEstimate

ANCHOR = "dr"  # unbiased where the propensities are right, whatever the value model


def least_error(estimates: Sequence[Mapping[str, ValueEstimate]]) -> str:
    """The estimator with the smallest estimated mean squared error over several policies.

        error_k = mean_p s_kp^2 + max(0, mean_p [(v_kp - v_0p)^2 - var(v_kp - v_0p)])

    v_0 is the doubly robust estimate, s the standard error, and the variance of a difference
    comes from the influences on the same contacts: the part of a distance that is not noise is
    bias. Pooling policies makes one choice for a log, so that policies stay comparable.

    Args:
        estimates: answers by estimator, one mapping a policy; estimators missing for a policy
            are not chosen.

    Raises:
        FitError: no policy, or one without the doubly robust estimate.

    Source: Thomas & Brunskill (2016), Data-Efficient Off-Policy Policy Evaluation, who measure
        bias as distance from an unbiased estimate; here for a choice instead of a blend.
    """
    if not estimates or any(ANCHOR not in one for one in estimates):
        raise FitError(
            f"choosing an estimator needs policies with the estimate {ANCHOR!r}, got "
            f"{len(estimates)} policies; leave out policies that it refuses"
        )
    common = [name for name in estimates[0] if all(name in one for one in estimates)]
    return min(common, key=lambda name: _error(name, estimates))


def _error(name: str, estimates: Sequence[Mapping[str, ValueEstimate]]) -> float:
    noise = float(np.mean([one[name].stderr ** 2 for one in estimates]))
    bias = float(np.mean([_excess(one[name], one[ANCHOR]) for one in estimates]))
    return noise + max(bias, 0.0)


def _excess(found: ValueEstimate, anchor: ValueEstimate) -> float:
    """Squared distance of two estimates beyond what their noise explains."""
    noise = clustered_stderr(found.influence - anchor.influence)
    return float((found.value - anchor.value) ** 2 - noise**2)
