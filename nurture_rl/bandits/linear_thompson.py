"""Linear Thompson sampling with probabilities that can be logged and replayed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nurture_envs.actions import ActionCatalog
from nurture_rl.bandits.action_design import ActionDesign, ContextMoments
from nurture_rl.bandits.linear_posterior import LinearPosterior, Sample, fit_posterior
from nurture_rl.errors import ActionError, FitError, ShapeError
from nurture_rl.policies.composition import with_floor
from nurture_rl.policies.policy import PolicyError, Spec, require_batch

FeatureArray = NDArray[np.float32]
FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

_CHUNK_BYTES = 8 << 20  # of the [rows, a, draws] scores held at once


@dataclass(frozen=True, slots=True)
class LinearThompsonConfig:
    """How to fit and to explore."""

    name: str = "linear_thompson"  # what descriptions of policies call it
    draws: int = 128  # posterior draws that vote on the best action
    floor: float = 0.002  # least probability of a legal action
    ridge: float | None = None  # prior precision over noise precision; None: by evidence
    multipliers: int = 256  # sign vectors that measure the clustering by contact


@dataclass(frozen=True, slots=True)
class LinearThompsonFit:
    """What the fit saw, for reports."""

    rows: int  # decisions that had a choice
    clusters: int  # contacts they belong to
    ridge_main: float  # prior precision over noise precision of the actions' own effects, in rows
    ridge_crossed: float  # the same for effects that depend on the context
    noise: float  # variance of a return around the model, unit^2
    design_effect: float  # clustered over independent variance, mean over directions, >= 1
    effective_parameters: float  # directions of the action part that the data decide


@dataclass(frozen=True, slots=True, eq=False)
class LinearThompsonPolicy:
    """Each stored posterior draw votes for its best legal action; the shares are the propensities.

    The draws are part of the policy, so the probabilities are a fixed function of the context.
    """

    name: str
    catalog_hash: str  # of the catalogue whose order the actions follow
    scores: FloatArray  # predicted return of each draw as a linear map of [1, x~], [M, a, d + 1]
    mean: FloatArray  # of the training contexts, [d]
    scale: FloatArray  # of the training contexts, [d]
    floor: float  # least probability of a legal action
    fit: LinearThompsonFit

    def __post_init__(self) -> None:
        _, n_actions, width = self.scores.shape
        if self.mean.shape != (width - 1,) or self.scale.shape != (width - 1,):
            raise ShapeError(
                f"expected mean and scale [{width - 1}] for scores {self.scores.shape}, got "
                f"{self.mean.shape} and {self.scale.shape}"
            )
        if not 0.0 <= self.floor * n_actions <= 1.0:
            raise PolicyError(
                f"a floor of {self.floor:g} on each of {n_actions} actions must lie in [0, 1] in "
                f"all; lower it to at most {1.0 / n_actions:g}"
            )

    def action_probabilities(self, features: FeatureArray, mask: BoolArray) -> FloatArray:
        """Share of draws that find each action best, then the floor, [n, a].

        Raises:
            ShapeError: not the catalogue's actions or not the features of the training.
        """
        draws, n_actions, width = self.scores.shape
        require_batch(features, mask, n_actions)
        if features.shape[1] != width - 1:
            raise ShapeError(
                f"expected {width - 1} features, got {features.shape[1]}; use the journey the "
                "policy was fitted on"
            )
        maps = self.scores.transpose(2, 1, 0).reshape(width, n_actions * draws)
        standardiser = ContextMoments(self.mean, self.scale)
        probabilities = np.zeros(mask.shape)
        step = max(1, _CHUNK_BYTES // (8 * draws * n_actions))
        for start in range(0, len(mask), step):
            rows = slice(start, start + step)
            scores = standardiser.extended(features[rows]) @ maps
            scores = scores.reshape(-1, n_actions, draws)
            probabilities[rows] = vote_shares(scores, mask[rows])
        return with_floor(probabilities, mask, self.floor)

    def spec(self) -> Spec:
        """A learned policy is described by its name."""
        return {"kind": "model", "name": self.name}


def vote_shares(scores: FloatArray, mask: BoolArray) -> FloatArray:
    """Share of draws in which each legal action scores best, ties split evenly, [n, a].

    Args:
        scores: predicted return by action and draw, [n, a, M].
        mask: True where legal, [n, a].
    """
    legal = np.where(mask[:, :, None], scores, -np.inf)
    best = legal.max(axis=1, keepdims=True)
    # Equal maps may differ in the last bits, as matrix products sum in any order.
    votes = legal >= best - 1e-12 * (1.0 + np.abs(best))
    per_draw = 1.0 / votes.sum(axis=1)  # [n, M]
    return np.asarray(np.einsum("nam,nm->na", votes, per_draw) / scores.shape[2], np.float64)


def fit_linear_thompson(
    features: FeatureArray,
    mask: BoolArray,
    action: IntArray,
    returns: FloatArray,
    cluster: IntArray,
    catalog: ActionCatalog,
    rng: np.random.Generator,
    config: LinearThompsonConfig,
) -> LinearThompsonPolicy:
    """Fit the return of each action by Bayesian linear regression and store posterior draws.

    Assumes that, given the features, actions were logged without regard to what would follow
    (true of any policy that acts on these features), and that the model is about linear: rows
    are not weighted by propensity. A return is what the logging policy made of the rest of the
    episode, so this improves one decision at a time. Rows with one legal action show no choice
    and are left out.

    Args:
        features: contexts, [n, d].
        mask: True where legal, [n, a].
        action: logged action, position in the catalogue, [n].
        returns: discounted reward from the decision to its episode's end, [n].
        cluster: contact of each decision, any integers, [n].
        catalog: the journey's actions.
        rng: signs of the clustering measure, then the draws.
        config: how to fit and to explore.

    Raises:
        ShapeError: the arrays do not fit together.
        ActionError: a logged action is not in the catalogue or was not legal.
        FitError: a number is not finite, or `fit_posterior` cannot work with so little.
    """
    _require_rows(features, mask, action, returns, cluster)
    require_batch(features, mask, len(catalog))
    _require_logged_legally(mask, action)
    _require_finite(features, returns)
    choice = mask.sum(axis=1) > 1
    if not choice.any():
        raise FitError("expected decisions with a choice, every row has one legal action only")
    code = np.unique(cluster[choice], return_inverse=True)[1]
    sample = Sample(features[choice], action[choice], returns[choice], code.astype(np.int64))
    standardiser = ContextMoments.of(sample.features)
    design = ActionDesign(catalog.factors)
    posterior = fit_posterior(sample, standardiser, design, rng, config.ridge, config.multipliers)
    maps = posterior.maps(posterior.coefficients(config.draws, rng))
    return LinearThompsonPolicy(
        name=config.name,
        catalog_hash=catalog.hash,
        scores=np.ascontiguousarray(maps.transpose(2, 0, 1)),
        mean=standardiser.mean,
        scale=standardiser.scale,
        floor=config.floor,
        fit=_summary(sample, posterior),
    )


def _summary(sample: Sample, posterior: LinearPosterior) -> LinearThompsonFit:
    return LinearThompsonFit(
        rows=sample.action.size,
        clusters=int(sample.cluster.max()) + 1,
        ridge_main=posterior.ridges.main,
        ridge_crossed=posterior.ridges.crossed,
        noise=posterior.noise,
        design_effect=posterior.design_effect,
        effective_parameters=posterior.effective_parameters,
    )


def _require_rows(
    features: FeatureArray,
    mask: BoolArray,
    action: IntArray,
    returns: FloatArray,
    cluster: IntArray,
) -> None:
    n = action.size
    if not action.shape == returns.shape == cluster.shape == (n,) or len(features) != n:
        raise ShapeError(
            f"expected one action, return and cluster per row of features, got {action.shape}, "
            f"{returns.shape}, {cluster.shape} and {features.shape}"
        )
    if len(mask) != n:
        raise ShapeError(f"expected one mask row per decision, got {len(mask)} for {n}")


def _require_logged_legally(mask: BoolArray, action: IntArray) -> None:
    outside = (action < 0) | (action >= mask.shape[1])
    if outside.any():
        row = int(outside.argmax())
        raise ActionError(
            f"row {row} took action {action[row]}, expected 0 to {mask.shape[1] - 1}; look ids up "
            "in the catalogue of the log"
        )
    illegal = ~mask[np.arange(action.size), action]
    if illegal.any():
        row = int(illegal.argmax())
        raise ActionError(f"row {row} took action {action[row]}, which its own mask forbids")


def _require_finite(features: FeatureArray, returns: FloatArray) -> None:
    bad = ~np.isfinite(features).all(axis=1) | ~np.isfinite(returns)
    if bad.any():
        raise FitError(
            f"row {int(bad.argmax())} has a feature or return that is not finite; leave out "
            "decisions whose outcome has not matured"
        )
