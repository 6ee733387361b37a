"""Gaussian posterior of the action part of a linear value model, honest about repeated contacts.

The context part has a flat prior and is integrated out: it is the same for all actions, so it
never decides between them. The action part has the prior N(0, noise / ridge), with one ridge for
each group of the design: the actions' own effects, those that depend on the context, and others.
Columns are scaled so that the prior is N(0, noise) for all; in the eigenvectors of their Gram
matrix, with eigenvalues s,

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
from scipy.linalg import eigh

from nurture_rl.bandits.action_design import ActionDesign, ContextMoments, rows_by_action
from nurture_rl.bandits.linear_statistics import Equations, LinearStatistics
from nurture_rl.bandits.pair_selection import with_found_pairs
from nurture_rl.bandits.prior_precision import Ridges, best_ridges, grouped_ridges
from nurture_rl.errors import FitError

FeatureArray = NDArray[np.float32]
FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


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

    equations: Equations
    axes: FloatArray  # orthogonal directions of the action part, scaled by its prior, [p, p]
    size: FloatArray  # what the rows say along the axes, over what the prior says: s, [p]
    mean: FloatArray  # along the axes, [p]
    stderr: FloatArray  # along the axes, [p]
    ridges: Ridges
    noise: float  # variance of a return around the model, unit^2
    design_effect: float  # mean of D over the directions the data decide

    @property
    def effective_parameters(self) -> float:
        """How many directions the data decide: sum of s / (s + 1)."""
        return float((self.size / (self.size + 1.0)).sum())

    def coefficients(self, draws: int, rng: np.random.Generator) -> FloatArray:
        """Draws of the action part, [p, draws]."""
        noise = rng.standard_normal((self.mean.size, draws))
        return self.axes @ (self.mean[:, None] + self.stderr[:, None] * noise)

    def maps(self, coefficients: FloatArray) -> FloatArray:
        """Predicted return of every action as a linear map of [1, x~], [a, d + 1, r]."""
        return self.equations.maps(coefficients)

    def mean_map(self) -> FloatArray:
        """The best prediction of every action's return, [a, d + 1]."""
        return self.maps(self.axes @ self.mean[:, None])[:, :, 0]


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
    sums = LinearStatistics.none(standardiser, len(design.factors))
    sums.add(sample.features, sample.action, sample.returns)
    e = with_found_pairs(Equations.of(sums, design))
    ridges = chosen_ridges(e, ridge)
    plain = diagonal(e, ridges)
    noise = max(e.leftover - float(plain.mean**2 @ (plain.size + 1.0)), 0.0) / e.freedom
    # What rounding leaves of returns that are all equal is not noise.
    if noise <= 1e-12 * float(np.mean(sample.returns**2)):
        raise FitError(
            "expected returns that vary around the model, got none left over; check that the "
            "outcomes were joined before fitting"
        )
    plain = replace(plain, noise=noise)
    residual = sample.returns - predicted(plain.mean_map(), standardiser, sample)
    return inflated(plain, sample, standardiser, residual, signs_of(sample, multipliers, rng))


def chosen_ridges(equations: Equations, ridge: float | None) -> Ridges:
    """The ridge that was asked for, or those of the highest evidence."""
    e, more = equations, len(equations.design.names) - 2
    if ridge is not None:
        return Ridges(ridge, ridge, (ridge,) * more)
    group = e.design.groups(e.context_mean.size - 1)
    if more:
        return grouped_ridges(e.gram, e.right, e.leftover, e.freedom, group, 2 + more)
    return best_ridges(e.gram, e.right, e.leftover, e.freedom, int((group == 0).sum()))


def diagonal(equations: Equations, ridges: Ridges) -> LinearPosterior:
    """The posterior's axes and means; noise is taken as 1, errors are left at 0."""
    weight = prior_precision(equations, ridges) ** -0.5
    size, turn = eigh(weight[:, None] * equations.gram * weight, driver="evd")
    size, axes = np.maximum(size, 0.0), weight[:, None] * turn
    mean = (axes.T @ equations.right) / (size + 1.0)
    return LinearPosterior(equations, axes, size, mean, np.zeros_like(mean), ridges, 1.0, 1.0)


def prior_precision(equations: Equations, ridges: Ridges) -> FloatArray:
    """Prior precision of each coefficient over the noise precision, [p]."""
    group = equations.design.groups(equations.context_mean.size - 1)
    return np.asarray(ridges.values[group], np.float64)


def predicted(maps: FloatArray, standardiser: ContextMoments, sample: Sample) -> FloatArray:
    """What maps [a, d + 1] say of each row's action, [n]."""
    found = np.empty(sample.action.size)
    for index, rows in rows_by_action(sample.action, len(maps)):
        found[rows] = standardiser.extended(sample.features[rows]) @ maps[index]
    return found


def signs_of(sample: Sample, multipliers: int, rng: np.random.Generator) -> NDArray[np.int8]:
    """One random sign per contact and multiplier, [C, multipliers].

    Raises:
        FitError: there is one contact only.
    """
    n_clusters = int(sample.cluster.max()) + 1
    if n_clusters < 2:
        raise FitError("expected decisions of at least 2 contacts, got 1; log more contacts")
    signs = rng.integers(0, 2, (n_clusters, multipliers), dtype=np.int8)
    return (2 * signs - 1).astype(np.int8)


def inflated(
    plain: LinearPosterior,
    sample: Sample,
    standardiser: ContextMoments,
    residual: FloatArray,
    signs: NDArray[np.int8],
) -> LinearPosterior:
    """The posterior with standard errors that count contacts, not rows.

    The mean square of sum_i sign_c(i) e_i phi_i is the clustered variance of the score, without
    forming a [contacts, p] matrix. The design effects are at least 1.

    Args:
        plain: axes, means and noise.
        sample: the decisions.
        standardiser: moments of their contexts.
        residual: what the model leaves of each return, e, [n].
        signs: of `signs_of`.
    """
    design, d = plain.equations.design, sample.features.shape[1]
    blocks = np.zeros((len(design.factors), d + 1, signs.shape[1]))
    for index, rows in rows_by_action(sample.action, len(design.factors)):
        x = standardiser.extended(sample.features[rows])
        score = (x * residual[rows, None]).T
        blocks[index] += score @ signs[sample.cluster[rows]].astype(np.float64)
    scores = design.lift(blocks) - plain.equations.context_slope.T @ blocks.sum(axis=0)
    spread = ((plain.axes.T @ scores) ** 2).mean(axis=1)
    # Few contacts, or many parameters, leave residuals too small.
    freedom = max(sample.returns.size - d - 1 - plain.effective_parameters, 1.0)
    spread *= len(signs) / (len(signs) - 1) * sample.returns.size / freedom
    size = plain.size
    seen = size > 1e-9 * size.max()
    effect = np.maximum(spread / np.where(seen, plain.noise * size, np.inf), 1.0)
    decided = size / (size + 1.0)
    return replace(
        plain,
        stderr=np.sqrt(plain.noise * (effect * size + 1.0)) / (size + 1.0),
        design_effect=float(decided @ effect / decided.sum()),
    )
