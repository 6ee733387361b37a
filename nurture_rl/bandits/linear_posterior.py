"""Gaussian posterior of the action part of a linear value model, honest about repeated contacts.

The context part has a flat prior and is integrated out: it is the same for all actions, so it
never decides between them. The action part has the prior N(0, noise / ridge), with one ridge for
the actions' own effects and one for those that depend on the context. Columns are scaled so that
the prior is N(0, noise) for all; in the eigenvectors of their Gram matrix, with eigenvalues s,

    mean_j = q_j / (s_j + 1),    stderr_j^2 = noise (D_j s_j + 1) / (s_j + 1)^2

D_j >= 1 is the design effect of that direction: the variance of its score, summed by contact, over
what independent rows would give. With D = 1 this is the textbook posterior. It never deflates: an
action that was tried a few times without any reward has residuals near 0, and a plain sandwich
would be certain that it is worthless.

Source: Bishop (2006), Pattern Recognition and Machine Learning, 3.3 and 3.5; clustered scores as
in Liang & Zeger (1986); multipliers as in Kline & Santos (2012).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve, eigh

from nurture_rl.bandits.action_design import ActionDesign, ContextMoments, rows_by_action
from nurture_rl.bandits.prior_precision import Ridges, best_ridges
from nurture_rl.errors import FitError

FeatureArray = NDArray[np.float32]
FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_CONTEXT_RIDGE = 1e-8  # of the row count: makes collinear context columns solvable, shrinks nothing


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """Decisions with what followed them."""

    features: FeatureArray  # contexts, [n, d]
    action: IntArray  # position in the catalogue, [n]
    returns: FloatArray  # the journey's unit, [n]
    cluster: IntArray  # contact, 0 .. C-1, [n]


@dataclass(frozen=True, slots=True, eq=False)
class LinearPosterior:
    """Posterior of the action part, diagonal in `axes`."""

    design: ActionDesign
    axes: FloatArray  # orthogonal directions of the action part, scaled by its prior, [p, p]
    mean: FloatArray  # along the axes, [p]
    stderr: FloatArray  # along the axes, [p]
    context_mean: FloatArray  # coefficients of [1, x~] if the action part were 0, [d + 1]
    context_slope: FloatArray  # how they fall with the action part, [d + 1, p]
    ridges: Ridges
    noise: float  # variance of a return around the model, unit^2
    design_effect: float  # mean of D over the directions the data decide
    effective_parameters: float  # sum of s / (s + 1)

    def coefficients(self, draws: int, rng: np.random.Generator) -> FloatArray:
        """Draws of the action part, [p, draws]."""
        noise = rng.standard_normal((self.mean.size, draws))
        return self.axes @ (self.mean[:, None] + self.stderr[:, None] * noise)

    def maps(self, coefficients: FloatArray) -> FloatArray:
        """Predicted return of every action as a linear map of [1, x~], [a, d + 1, r].

        The context part is at its mean given the action part.
        """
        context = self.context_mean[:, None] - self.context_slope @ coefficients
        return np.asarray(self.design.maps(coefficients) + context, np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class _Equations:
    """Normal equations of the action part after the context part is projected out."""

    gram: FloatArray  # [p, p]
    right: FloatArray  # [p]
    leftover: float  # sum of squared returns that the context leaves, unit^2
    freedom: int  # rows less context columns
    context_mean: FloatArray  # [d + 1]
    context_slope: FloatArray  # [d + 1, p]


def fit_posterior(
    sample: Sample,
    standardiser: ContextMoments,
    design: ActionDesign,
    rng: np.random.Generator,
    ridge: float | None,
    multipliers: int,
) -> LinearPosterior:
    """Fit by exact normal equations.

    Args:
        sample: the decisions.
        standardiser: moments of their contexts.
        design: layout of the action part.
        rng: signs of the cluster multipliers.
        ridge: prior precision over noise precision of all effects; None maximises the evidence.
        multipliers: sign vectors by which the design effects are measured.

    Raises:
        FitError: fewer rows than context columns, fewer than 2 contacts, or returns that do not
            vary around the model at all.
    """
    equations = _equations(sample, standardiser, design)
    n_actions = design.factors.shape[0]
    e = equations
    ridges = (
        best_ridges(e.gram, e.right, e.leftover, e.freedom, n_actions)
        if ridge is None
        else Ridges(ridge, ridge)
    )
    weight = np.full(e.right.size, ridges.crossed**-0.5)
    weight[:n_actions] = ridges.main**-0.5
    size, turn = eigh(weight[:, None] * e.gram * weight, driver="evd")
    size, axes = np.maximum(size, 0.0), weight[:, None] * turn
    score = axes.T @ e.right
    mean = score / (size + 1.0)
    noise = max(e.leftover - float(score @ mean), 0.0) / e.freedom
    # What rounding leaves of returns that are all equal is not noise.
    if noise <= 1e-12 * float(np.mean(sample.returns**2)):
        raise FitError(
            "expected returns that vary around the model, got none left over; check that the "
            "outcomes were joined before fitting"
        )
    plain = LinearPosterior(
        design=design,
        axes=axes,
        mean=mean,
        stderr=np.zeros_like(mean),
        context_mean=e.context_mean,
        context_slope=e.context_slope,
        ridges=ridges,
        noise=noise,
        design_effect=1.0,
        effective_parameters=float((size / (size + 1.0)).sum()),
    )
    effect = _design_effects(sample, standardiser, plain, size, rng, multipliers)
    return _inflated(plain, size, effect)


def _inflated(plain: LinearPosterior, size: FloatArray, effect: FloatArray) -> LinearPosterior:
    decided = size / (size + 1.0)
    return replace(
        plain,
        stderr=np.sqrt(plain.noise * (effect * size + 1.0)) / (size + 1.0),
        design_effect=float(decided @ effect / decided.sum()),
    )


def _equations(sample: Sample, standardiser: ContextMoments, design: ActionDesign) -> _Equations:
    n, d = sample.features.shape
    if n <= d + 1:
        raise FitError(f"expected more than {d + 1} rows for {d} features, got {n}; log longer")
    n_actions = design.factors.shape[0]
    grams, targets = np.zeros((n_actions, d + 1, d + 1)), np.zeros((n_actions, d + 1, 1))
    for index, rows in rows_by_action(sample.action, n_actions):
        x = standardiser.extended(sample.features[rows])
        grams[index] += x.T @ x
        targets[index, :, 0] += x.T @ sample.returns[rows]
    # The intercept is spared, or a high mean return would leave some of itself as noise.
    dust = _CONTEXT_RIDGE * n * np.diag(np.arange(d + 1) > 0)
    factor = cho_factor(grams.sum(axis=0) + dust)
    cross = design.lift(grams)  # [p, d + 1]
    target = targets.sum(axis=0)[:, 0]
    context_mean = cho_solve(factor, target)
    context_slope = cho_solve(factor, cross.T)
    return _Equations(
        gram=design.gram(grams) - cross @ context_slope,
        right=design.lift(targets)[:, 0] - cross @ context_mean,
        leftover=float(sample.returns @ sample.returns - target @ context_mean),
        freedom=n - d - 1,
        context_mean=context_mean,
        context_slope=context_slope,
    )


def _design_effects(
    sample: Sample,
    standardiser: ContextMoments,
    posterior: LinearPosterior,
    size: FloatArray,
    rng: np.random.Generator,
    multipliers: int,
) -> FloatArray:
    """Clustered over independent variance of the score along each axis, at least 1, [p].

    One random sign per contact and multiplier: the mean square of sum_i sign_c(i) e_i phi_i is
    the clustered variance, without forming a [contacts, p] matrix.
    """
    n_clusters = int(sample.cluster.max()) + 1
    if n_clusters < 2:
        raise FitError("expected decisions of at least 2 contacts, got 1; log more contacts")
    n_actions = posterior.design.factors.shape[0]
    d = sample.features.shape[1]
    signs = (2 * rng.integers(0, 2, (n_clusters, multipliers), dtype=np.int8) - 1).astype(np.int8)
    best = posterior.maps(posterior.axes @ posterior.mean[:, None])[:, :, 0]
    blocks = np.zeros((n_actions, d + 1, multipliers))
    for index, rows in rows_by_action(sample.action, n_actions):
        x = standardiser.extended(sample.features[rows])
        residual = sample.returns[rows] - x @ best[index]
        blocks[index] += (x * residual[:, None]).T @ signs[sample.cluster[rows]].astype(np.float64)
    scores = posterior.design.lift(blocks) - posterior.context_slope.T @ blocks.sum(axis=0)
    spread = ((posterior.axes.T @ scores) ** 2).mean(axis=1)
    # Few contacts, or many parameters, leave residuals too small.
    freedom = max(sample.returns.size - d - 1 - posterior.effective_parameters, 1.0)
    spread *= n_clusters / (n_clusters - 1) * sample.returns.size / freedom
    seen = size > 1e-9 * size.max()
    independent = np.where(seen, posterior.noise * size, np.inf)
    return np.asarray(np.maximum(spread / independent, 1.0), np.float64)
