"""Errors clustered by contact: episodes of one contact are not independent of each other."""

from __future__ import annotations

import numpy as np

from nurture_rl.ope.log import EvaluationLog, FloatArray
from nurture_rl.ope.numbering import numbered


def cluster_totals(log: EvaluationLog, per_episode: FloatArray) -> FloatArray:
    """Sum a number per episode over each contact, contacts in ascending order, [C]."""
    contact, _ = numbered(log.cluster)
    return np.bincount(contact, weights=per_episode).astype(np.float64)


def clustered_stderr(influence: FloatArray) -> float:
    """Standard error of an estimate whose error is a sum of one influence per contact.

        s.e.^2 = C/(C-1) sum_c psi_c^2,    estimate - truth ~ sum_c psi_c

    For a mean over E episodes psi_c = sum_{e in c} (y_e - mean) / E, which is the ratio form: the
    number of episodes of a contact is random too.

    Args:
        influence: psi, [C], summing to 0, in the unit of the estimate.

    Returns:
        The standard error; infinite when one contact is all there is.

    Source: Cameron & Miller (2015), A Practitioner's Guide to Cluster-Robust Inference.
    """
    count = influence.size
    if count < 2:
        return float("inf")
    # No product of BLAS, which wakes its threads: that costs more than the sum.
    return float(np.sqrt(count / (count - 1) * np.square(influence).sum()))
