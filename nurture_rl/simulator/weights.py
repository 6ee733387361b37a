"""Weights that undo how the logging policy chose, so that effects are not its taste.

What the policy knew and the features do not carry (a salesperson's feeling for a lead) makes the
chosen and the others different. Weighting each decision by one over its propensity makes the log
look like one in which that knowledge had no say.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from nurture_rl.decisions import BoolArray, FloatArray, IntArray
from nurture_rl.errors import FitError
from nurture_rl.simulator.data import WorldData

_LARGEST = 20.0  # times the mean weight; above, a row stands for too many
_LEAST_EFFECTIVE = 0.2  # share of the rows that weighting should leave
_FITTED_ROWS = 100_000  # rows from which propensities are fitted, evenly spaced
_RIDGE = 1.0  # prior precision of the propensity model's coefficients
_ITERATIONS = 60


@dataclass(frozen=True, slots=True, eq=False)
class PropensityWeights:
    """Weights of the rows of a fit and what they cost."""

    weight: FloatArray  # [N], mean 1 over the usable rows
    effective_rows: float  # Kish's effective sample size of the usable rows
    rows: int  # usable
    clipped: float  # share of the usable rows whose weight was cut, in [0, 1]
    guessed: float  # share of the usable rows whose propensity was fitted, in [0, 1]
    warnings: tuple[str, ...]  # what weakens them, in words


def propensity_weights(data: WorldData, largest: float = _LARGEST) -> PropensityWeights:
    """Stabilised inverse-propensity weights of every row.

        w_i = s(a_i | legal_i) / p_i,    s(a | legal) = s_a / sum of s over the legal actions

    with s_a the share of the decisions in which a was legal that took it. Clipped at `largest`
    times their mean and scaled to mean 1. The numerator keeps weights near 1 where the policy
    hardly looked at the contact; forced rows (one legal action) weigh 1.

    They answer for the choice of the row itself, not for the choices that led the contact there: a
    world so fitted speaks of contacts as the logging policy left them.

    Args:
        data: logged decisions. Without a mask every action counts as legal; rows without a
            propensity get one from a multinomial logit of the actions on the features.
        largest: cut of the weights, in mean weights.

    Raises:
        FitError: a logged action has a propensity of 0 or above 1, or no row is usable.

    Source: Robins, Hernan & Brumback (2000), Marginal Structural Models and Causal Inference in
        Epidemiology; Kish (1965), Survey Sampling, for the effective size.
    """
    used = data.usable
    if not used.any():
        raise FitError("no usable row to weight; log more or wait longer")
    legal = _legal(data)
    propensity, guessed = _propensities(data, legal)
    numerator = legal_shares(data.action, legal)
    weight = numerator[np.arange(len(data.action)), data.action] / propensity
    limit = largest * weight[used].mean()
    cut = weight > limit
    weight = np.minimum(weight, limit)
    weight = weight / weight[used].mean()
    effective = float(weight[used].sum() ** 2 / (weight[used] ** 2).sum())
    rows = int(used.sum())
    share = float(guessed[used].mean())
    return PropensityWeights(
        weight=weight,
        effective_rows=effective,
        rows=rows,
        clipped=float(cut[used].mean()),
        guessed=share,
        warnings=_warnings(share, effective / rows),
    )


def legal_shares(action: IntArray, legal: BoolArray) -> FloatArray:
    """How often each action is taken where it is legal, as a distribution over legal ones, [n, a].

    Args:
        action: what was taken, [n].
        legal: actions that could be taken, [n, a].
    """
    taken = np.bincount(action, minlength=legal.shape[1])
    share = np.where(legal, taken / np.maximum(legal.sum(axis=0), 1), 0.0)
    return np.asarray(share / share.sum(axis=1, keepdims=True))


def fitted_propensities(
    features: NDArray[np.float32], action: IntArray, legal: BoolArray
) -> FloatArray:
    """Chance of each action given the features, by a multinomial logit on legal actions, [n, a].

    It knows only what the features carry: where the policy knew more, weights by it mend nothing.

    Args:
        features: of the decisions, [n, d].
        action: what was taken, [n].
        legal: actions that could be taken, [n, a].
    """
    spread = features.std(axis=0)
    x = (features - features.mean(axis=0)) / np.where(spread > 1e-6, spread, 1.0)
    inputs = torch.cat([torch.as_tensor(x), torch.ones(len(x), 1)], dim=1)
    rows = np.unique(np.linspace(0, len(x) - 1, min(len(x), _FITTED_ROWS)).astype(np.int64))
    some, taken = inputs[rows], torch.as_tensor(action[rows])
    closed = torch.as_tensor(~legal)
    weights = torch.zeros(inputs.shape[1], legal.shape[1], requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [weights], max_iter=_ITERATIONS, line_search_fn="strong_wolfe", tolerance_grad=1e-5
    )

    def objective() -> torch.Tensor:
        optimizer.zero_grad()
        logits = (some @ weights).masked_fill(closed[rows], -torch.inf)
        fit = torch.nn.functional.cross_entropy(logits, taken)
        total = fit + 0.5 * _RIDGE * (weights[:-1] ** 2).sum() / len(rows)
        torch.autograd.backward([total])
        return total

    optimizer.step(objective)  # type: ignore[no-untyped-call]
    with torch.no_grad():
        chance = torch.softmax((inputs @ weights).masked_fill(closed, -torch.inf), dim=1)
    return np.asarray(chance.numpy(), np.float64)


def _legal(data: WorldData) -> BoolArray:
    """Actions that could be taken; one that was logged could be."""
    legal = data.mask | ~data.mask.any(axis=1, keepdims=True)
    legal[np.arange(len(data.action)), data.action] = True
    return legal


def _propensities(data: WorldData, legal: BoolArray) -> tuple[FloatArray, BoolArray]:
    """Chance of the action of each row, and where it was fitted; both [N]."""
    n, logged = len(data.action), data.propensity
    missing = np.isnan(logged)
    wrong = ~missing & ~((logged > 0.0) & (logged <= 1.0))
    if wrong.any():
        row = int(wrong.argmax())
        raise FitError(
            f"expected propensities in (0, 1], got {logged[row]:g} in row {row} of {n}; a logged "
            "action cannot have had no chance: leave it empty where it is not known"
        )
    if not missing.any():
        return logged, missing
    fitted = fitted_propensities(data.features, data.action, legal)
    return np.where(missing, fitted[np.arange(n), data.action], logged), missing


def _warnings(guessed: float, effective: float) -> tuple[str, ...]:
    warnings = []
    if guessed > 0.0:
        warnings.append(
            f"{guessed:.0%} of the decisions have no logged propensity: theirs was fitted to the "
            "features, which cannot undo a choice made by anything else"
        )
    if effective < _LEAST_EFFECTIVE:
        warnings.append(
            f"weighting leaves {effective:.0%} of the decisions' worth: the logging policy hardly "
            "ever did what it did not prefer; explore more"
        )
    return tuple(warnings)
