"""With which chance a programme took its actions, where nobody wrote it down: a model's answer.

It rests on what features say. What else the programme knew is hidden from it, which
`nurture_rl.ope.bounds.hidden_confounding` asks about.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from nurture_rl.errors import FitError
from nurture_rl.ope.action_chances import (
    BoolArray,
    FloatArray,
    IntArray,
    LogitFit,
    calibration_error,
    fit_masked_logit,
    masked_softmax,
)

FIXED = 0.98  # share of the decisions of a step that took one send, from which it is a fixed step
_FEW = 50  # decisions of a step with a choice below which nothing is called fixed
_PENALTIES = (1e-3, 3e-3, 1e-2, 3e-2)  # per row, tried on the first group of contacts
_ITERATIONS = 150  # of L-BFGS
_FOLDS = 5  # groups of contacts
_MOST_ROWS = 30_000  # decisions that a fold is fitted to; contacts beyond are left out evenly
_POWERS = (0.1, 10.0)  # of the model's chances, between which calibration looks
_CERTAIN = 0.98  # chance from which the model leaves as good as nothing open


@dataclass(frozen=True, slots=True)
class FixedStep:
    """A bin in which the programme sent the same to almost everybody."""

    step: int
    action: int  # position in the catalogue
    share: float  # of the decisions in which it was legal
    decisions: int


@dataclass(frozen=True, slots=True, eq=False)
class EstimatedPropensities:
    """The programme's chances, and how far they are to be believed."""

    probabilities: FloatArray  # exactly 0 where masked or never tried, [N, a]
    fixed: tuple[FixedStep, ...]  # bins whose chances are plain frequencies
    untried: tuple[int, ...]  # actions that were legal and never taken: their chance is 0
    power: float  # to which the model's chances were raised to be calibrated; 1: they were
    error: float  # mean distance of chances from frequencies on contacts the model never saw
    certain: float  # share of the decisions with a choice that it leaves as good as nothing open


@dataclass(frozen=True, slots=True, eq=False)
class ProgrammeLog:
    """What a programme saw and did."""

    features: NDArray[np.float32]  # [N, d]
    mask: BoolArray  # what could have been done, the action taken included, [N, a]
    action: IntArray  # [N]
    step: IntArray  # bin of the episode, [N]
    cluster: IntArray  # account, or contact, of each decision, [N]
    wait: int = 0  # position of the action that sends nothing


def estimated_propensities(log: ProgrammeLog) -> EstimatedPropensities:
    """Estimate the chances with which a programme chose.

        p(a|x) = exp(x . theta_a + c_{a, step}) / sum over actions that could be taken

    A penalised multinomial regression on features and bin, fitted without the contacts that it is
    asked about (the penalty is the one that told a first group of them best), then raised to the
    power that explains them best. In a bin in which almost everybody to whom one message could go
    got it, how often that was so stands instead. Nothing is raised to a floor: what was never tried
    has no chance, and what is nearly certain stays so.

    Raises:
        FitError: fewer contacts than folds, or no decision had a choice.
    """
    n, a = log.mask.shape
    rows = np.arange(n)
    tried = np.bincount(log.action, minlength=a) > 0
    possible = log.mask & tried
    possible[rows, log.action] = True
    free = possible.sum(axis=1) > 1
    if not free.any():
        raise FitError(
            "no decision of the programme had a choice: each could do one thing alone, so there is "
            "no chance to estimate; check the guardrails, and that sends are mapped"
        )
    probabilities = np.zeros((n, a))
    probabilities[~free] = possible[~free]
    fixed = _fixed_steps(log, possible, free)
    plain = np.zeros(n, np.bool_)
    for one in fixed:
        here = np.flatnonzero(free & (log.step == one.step) & possible[:, one.action])
        plain[here] = True
        probabilities[here] = _frequencies(possible[here], log.action[here])
    modelled = np.flatnonzero(free & ~plain)
    power = 1.0
    if modelled.size:
        chances = _cross_fitted(log, possible, modelled)
        power = _power(chances, log.action[modelled])
        probabilities[modelled] = _raised(chances, power)
    taken = np.zeros((n, a))
    taken[rows, log.action] = 1.0
    cells = possible & free[:, None]
    return EstimatedPropensities(
        probabilities=probabilities,
        fixed=fixed,
        untried=tuple(np.flatnonzero(log.mask.any(axis=0) & ~tried).tolist()),
        power=power,
        error=calibration_error(probabilities[cells], taken[cells]),
        certain=float((probabilities[free].max(axis=1) >= _CERTAIN).mean()),
    )


def _fixed_steps(log: ProgrammeLog, possible: BoolArray, free: BoolArray) -> tuple[FixedStep, ...]:
    found = []
    for step in np.unique(log.step[free]).tolist():
        here = np.flatnonzero(free & (log.step == step))
        count = np.bincount(log.action[here], minlength=log.mask.shape[1])
        could = possible[here].sum(axis=0)
        share = np.where(could >= _FEW, count / np.maximum(could, 1), 0.0)
        share[log.wait] = 0.0  # a bin without mail is none of a fixed programme's
        most = int(share.argmax())
        if share[most] >= FIXED:
            found.append(FixedStep(int(step), most, float(share[most]), int(could[most])))
    return tuple(found)


def _frequencies(possible: BoolArray, action: IntArray) -> FloatArray:
    """How often each action was taken, among those that each decision could take, [n, a]."""
    count = np.bincount(action, minlength=possible.shape[1])
    shares = np.where(possible, count, 0.0)
    return np.asarray(shares / shares.sum(axis=1, keepdims=True))


def _cross_fitted(log: ProgrammeLog, possible: BoolArray, rows: IntArray) -> FloatArray:
    """The model's chances for contacts it never saw, [m, a]."""
    cluster = np.unique(log.cluster[rows], return_inverse=True)[1]
    folds = _FOLDS
    if cluster.max() + 1 < folds:
        raise FitError(
            f"propensities are estimated without the contact they are for: expected at least "
            f"{folds} contacts with a choice, got {int(cluster.max()) + 1}; give a longer log"
        )
    x, mask, action = _design(log, rows), possible[rows], log.action[rows]
    every = max(-(-rows.size * (folds - 1) // (folds * _MOST_ROWS)), 1)
    fold, used = cluster % folds, (cluster // folds) % every == 0

    def without(held_out: int, ridge: float) -> FloatArray:
        training, test = (fold != held_out) & used, fold == held_out
        if not training.any():
            training = fold != held_out
        how = LogitFit(ridge, _ITERATIONS)
        theta = fit_masked_logit(x[training], mask[training], action[training], how)
        return masked_softmax(x[test] @ theta, mask[test])

    first = fold == 0
    tried = {ridge: without(0, ridge) for ridge in _PENALTIES}
    ridge = min(_PENALTIES, key=lambda one: _surprise(tried[one], action[first]))
    chances = np.zeros(mask.shape)
    chances[first] = tried[ridge]
    for held_out in range(1, folds):
        chances[fold == held_out] = without(held_out, ridge)
    return chances


def _design(log: ProgrammeLog, rows: IntArray) -> FloatArray:
    """Intercept, standardised features, and a column for each bin, [m, 1 + d + steps]."""
    features = log.features[rows].astype(np.float64)
    spread = features.std(axis=0)
    spread[np.ptp(features, axis=0) == 0.0] = np.inf  # a constant column centres to 0
    scaled = (features - features.mean(axis=0)) / spread
    bins = (log.step[rows][:, None] == np.unique(log.step[rows])).astype(np.float64)
    return np.hstack([np.ones((rows.size, 1)), scaled, bins])


def _power(chances: FloatArray, action: IntArray) -> float:
    """The power of the chances under which the actions taken are likeliest."""

    def surprise(log_power: float) -> float:
        return _surprise(_raised(chances, float(np.exp(log_power))), action)

    found = optimize.minimize_scalar(
        surprise, bounds=tuple(np.log(_POWERS).tolist()), method="bounded"
    )
    power = float(np.exp(found.x))
    return power if surprise(float(found.x)) < surprise(0.0) else 1.0


def _surprise(chances: FloatArray, action: IntArray) -> float:
    """Mean negative log-likelihood of the actions taken."""
    taken = chances[np.arange(action.size), action]
    return -float(np.log(np.maximum(taken, 1e-300)).mean())


def _raised(chances: FloatArray, power: float) -> FloatArray:
    raised = chances**power
    return np.asarray(raised / raised.sum(axis=1, keepdims=True))
