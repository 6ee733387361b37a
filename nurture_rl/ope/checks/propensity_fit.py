"""A model of who did what: masked multinomial logistic regression, cross-fitted by contact."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nurture_rl.errors import FitError
from nurture_rl.ope.action_chances import LogitFit, fit_masked_logit, masked_softmax
from nurture_rl.ope.checks.grouped import contact_of_row
from nurture_rl.ope.log import EvaluationLog, FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class PropensityFit:
    """How the model of the logging policy is fitted."""

    folds: int = 3  # groups of contacts, at least 2
    ridge: float = 1e-3  # penalty per row on every coefficient but the intercepts
    most_rows: int = 10_000  # decisions used; contacts beyond are left out evenly
    iterations: int = 100  # of L-BFGS


@dataclass(frozen=True, slots=True, eq=False)
class FittedPropensities:
    """Action probabilities by a model that never saw the row's contact."""

    rows: IntArray  # rows of the log, [m]
    probabilities: FloatArray  # exactly 0 on masked actions, [m, a]


def fit_propensities(log: EvaluationLog, config: PropensityFit) -> FittedPropensities:
    """Fit the logging policy from contexts, masks and actions.

        p(a|x) = exp(x . theta_a) / sum over legal b of exp(x . theta_b)

    Folds go by contact, dealt in turn: nothing is drawn, so the answer is the log's alone.

    Raises:
        FitError: fewer contacts than folds, or fewer than 2 folds.
    """
    contact = contact_of_row(log)
    n_contacts = int(contact.max()) + 1
    if config.folds < 2 or n_contacts < config.folds:
        raise FitError(
            f"propensities are fitted without the contact they are for: expected at least 2 folds "
            f"and as many contacts, got {config.folds} folds and {n_contacts} contacts"
        )
    every = max(-(-log.n_rows // config.most_rows), 1)
    kept = contact % every == 0 if n_contacts >= config.folds * every else contact >= 0
    rows = np.flatnonzero(kept)
    x, mask, action = _design(log, rows), log.mask[rows], log.action[rows]
    # The place among the kept contacts, or every fold but one could be empty.
    fold = np.unique(contact[rows], return_inverse=True)[1] % config.folds
    probabilities = np.zeros(mask.shape)
    for held_out in range(config.folds):
        training, test = fold != held_out, fold == held_out
        logit = LogitFit(config.ridge, config.iterations)
        theta = fit_masked_logit(x[training], mask[training], action[training], logit)
        probabilities[test] = masked_softmax(x[test] @ theta, mask[test])
    return FittedPropensities(rows.astype(np.int64), probabilities)


def _design(log: EvaluationLog, rows: IntArray) -> FloatArray:
    """Intercept, features and bin of some rows, standardised over the log, [m, 2 + d]."""
    features = np.hstack([log.features.astype(np.float64), log.step[:, None].astype(np.float64)])
    spread = features.std(axis=0)
    spread[np.ptp(features, axis=0) == 0.0] = np.inf  # a constant column centres to 0
    scaled = (features[rows] - features.mean(axis=0)) / spread
    return np.hstack([np.ones((rows.size, 1)), scaled])
