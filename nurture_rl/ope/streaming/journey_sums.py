"""Sums over blocks of contacts from which sequential estimates and overlap are worked out.

In the notation of `nurture_rl.ope.estimators`. Whole contacts lie in a block, so what a contact
adds is a number of its own; steps are summed over all episodes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from nurture_rl.ope.checks.feasibility import least_second_moment
from nurture_rl.ope.clusters import cluster_totals
from nurture_rl.ope.estimators import as_panel, cumulative_weights
from nurture_rl.ope.log import (
    EvaluationLog,
    FloatArray,
    continuation,
    discount_from_start,
    horizon,
)
from nurture_rl.ope.sequential.weighted_dr import temporal_differences
from nurture_rl.ope.streaming.contact_blocks import ContactBlock
from nurture_rl.ope.targets import TargetOnLog
from nurture_rl.ope.value_model import ValuePredictions
from nurture_rl.ope.weighting.tuning import LARGEST_WEIGHTS, SHRINKAGES

FAMILIES: Mapping[str, tuple[float, ...]] = {
    "clipped_ips": LARGEST_WEIGHTS,
    "switch_dr": LARGEST_WEIGHTS,
    "dros": SHRINKAGES,
}


@dataclass(frozen=True, slots=True, eq=False)
class StepSums:
    """Sums by place in the episode, ended episodes with their last weight, [H] each."""

    weight: FloatArray
    largest: FloatArray  # weight, 0 where there is none
    square: FloatArray  # of the weights over `largest`
    gain: FloatArray  # w g r
    difference: FloatArray  # w g d, d how much better than the model said it went
    second: FloatArray  # second moment of the ratio
    least: FloatArray  # what that is at least
    shown: FloatArray  # target mass where the log had a chance


@dataclass(frozen=True, slots=True, eq=False)
class FamilySums:
    """Of one estimator at each parameter of its grid, by contact, without keeping the contacts."""

    total: FloatArray  # [k]
    products: FloatArray  # of two parameters' numbers of a contact, [k, k]
    episodes: FloatArray  # of a parameter's number and the contact's episodes, [k]


@dataclass(frozen=True, slots=True, eq=False)
class JourneySums:
    """What one policy's estimates are made from."""

    steps: StepSums
    contacts: FloatArray  # what `ips` and `dr` average, summed by contact, [C, 2]
    families: Mapping[str, FamilySums]


def panel(log: EvaluationLog, values: FloatArray, fill: float, width: int) -> FloatArray:
    """`as_panel`, made as wide as the longest episode of the whole log, [E, H]."""
    laid = as_panel(log, values, fill)
    return np.pad(laid, ((0, 0), (0, width - laid.shape[1])), constant_values=fill)


def weights_of(log: EvaluationLog, taken: FloatArray, width: int) -> FloatArray:
    """`cumulative_weights`, made as wide as the longest episode of the whole log, [E, H].

    Raises:
        OverlapError: weights leave the range of floating point numbers.
    """
    weights = cumulative_weights(log, taken)
    return np.pad(weights, ((0, 0), (0, width - weights.shape[1])), mode="edge")


def journey_sums(
    block: ContactBlock,
    target: TargetOnLog,
    predictions: ValuePredictions,
    width: int,
) -> JourneySums:
    """What a block adds to a policy's sums.

    Args:
        block: decisions of whole contacts.
        target: the policy on them.
        predictions: its value model's answers.
        width: decisions of the log's longest episode, H.

    Raises:
        OverlapError: weights leave the range of floating point numbers.
    """
    log, taken = block.log, target.taken
    weights = weights_of(log, taken, width)
    gains = panel(log, discount_from_start(log) * log.reward, 0.0, width)
    worth = discount_from_start(log) * temporal_differences(log, predictions)
    shown = np.ones(log.n_rows) if target.unsupported is None else 1.0 - target.unsupported
    least = least_second_moment(log.propensity, taken)
    largest = weights.max(axis=0, initial=0.0)
    scaled = weights / np.where(largest > 0.0, largest, 1.0)
    families = _families(log, weights, gains, taken / log.propensity, predictions)
    per_episode = (weights * gains).sum(axis=1), families["dros"][:, 0]
    return JourneySums(
        steps=StepSums(
            weight=weights.sum(axis=0),
            largest=largest,
            square=(scaled**2).sum(axis=0),
            gain=(weights * gains).sum(axis=0),
            difference=(weights * panel(log, worth, 0.0, width)).sum(axis=0),
            second=panel(log, target.second_moment, 1.0, width).sum(axis=0),
            least=panel(log, least, 1.0, width).sum(axis=0),
            shown=panel(log, shown, 1.0, width).sum(axis=0),
        ),
        contacts=np.stack([cluster_totals(log, column) for column in per_episode], axis=1),
        families={name: _summed(log, one) for name, one in families.items()},
    )


def joined_journeys(parts: Sequence[JourneySums]) -> JourneySums:
    """The sums over all parts, contacts in the order of the parts."""
    largest = np.max([part.steps.largest for part in parts], axis=0)
    over = np.where(largest > 0.0, largest, 1.0)
    square = np.sum([(one.steps.largest / over) ** 2 * one.steps.square for one in parts], axis=0)
    steps = replace(_sum([part.steps for part in parts]), largest=largest, square=square)
    return JourneySums(
        steps=steps,
        contacts=np.concatenate([part.contacts for part in parts]),
        families={name: _sum([one.families[name] for one in parts]) for name in FAMILIES},
    )


def _sum(parts: Sequence[Any]) -> Any:
    """Records of arrays, added field by field."""
    names = [one.name for one in fields(parts[0])]
    return type(parts[0])(
        **{name: np.sum([getattr(part, name) for part in parts], axis=0) for name in names}
    )


def _families(
    log: EvaluationLog,
    weights: FloatArray,
    gains: FloatArray,
    ratio: FloatArray,
    predictions: ValuePredictions,
) -> dict[str, FloatArray]:
    """What the tuned estimators average at each parameter, [E, k] each."""
    clipped = [(np.minimum(weights, clip) * gains).sum(axis=1) for clip in LARGEST_WEIGHTS]
    switched = [np.where(ratio <= tau, ratio, 0.0) for tau in LARGEST_WEIGHTS]
    shrunken = [ratio / (1.0 + ratio**2 / lam) for lam in SHRINKAGES]
    return {
        "clipped_ips": np.stack(clipped, axis=1),
        "switch_dr": _corrected(log, switched, predictions),
        "dros": _corrected(log, shrunken, predictions),
    }


def _corrected(
    log: EvaluationLog, ratios: list[FloatArray], predictions: ValuePredictions
) -> FloatArray:
    """`corrected_values` by several ratios, [N] each, at once, [E, k]."""
    value = as_panel(log, predictions.value, 0.0)
    residual = as_panel(log, log.reward - predictions.q_logged, 0.0)
    onward = as_panel(log, continuation(log), 0.0)
    rho = np.stack([as_panel(log, ratio, 1.0) for ratio in ratios], axis=2)
    corrected = np.zeros((log.n_episodes, len(ratios)))
    for t in range(horizon(log) - 1, -1, -1):
        reached = residual[:, t, None] + onward[:, t, None] * corrected
        corrected = value[:, t, None] + rho[:, t] * reached
    return corrected


def _summed(log: EvaluationLog, per_episode: FloatArray) -> FamilySums:
    by_contact = np.stack([cluster_totals(log, column) for column in per_episode.T], axis=1)
    episodes = cluster_totals(log, np.ones(log.n_episodes))
    return FamilySums(by_contact.sum(axis=0), by_contact.T @ by_contact, episodes @ by_contact)


@dataclass(frozen=True, slots=True, eq=False)
class JourneyErrors:
    """Errors of a policy that only the sums over the whole log tell."""

    contacts: FloatArray  # influence of `snips` and `wdr`, by contact, [C, 2]
    weight: FloatArray  # squared errors of the mean weight, summed over contacts, [H]


def journey_errors(
    block: ContactBlock,
    taken: FloatArray,
    predictions: ValuePredictions,
    steps: StepSums,
    n_episodes: int,
) -> JourneyErrors:
    """What a block adds to a policy's errors.

    Args:
        block: decisions of whole contacts.
        taken: target probabilities of the logged actions, [N].
        predictions: the value model's answers.
        steps: sums over the whole log.
        n_episodes: of the whole log.
    """
    log, width = block.log, steps.weight.size
    weights = weights_of(log, taken, width)
    total = np.where(steps.weight > 0.0, steps.weight, np.inf)
    start = discount_from_start(log)
    errors = []
    for amounts, summed in (
        (log.reward, steps.gain),
        (temporal_differences(log, predictions), steps.difference),
    ):
        # The denominators are random too: their noise enters through what is left of the mean.
        left = panel(log, start * amounts, 0.0, width) - summed / total
        errors.append(cluster_totals(log, (weights / total * left).sum(axis=1)))
    mean = steps.weight / n_episodes
    off = [cluster_totals(log, column) for column in ((weights - mean) / n_episodes).T]
    return JourneyErrors(np.stack(errors, axis=1), (np.stack(off) ** 2).sum(axis=1))


def joined_errors(parts: Sequence[JourneyErrors]) -> JourneyErrors:
    """The errors over all parts, contacts in the order of the parts."""
    contacts = np.concatenate([part.contacts for part in parts])
    return JourneyErrors(contacts, np.sum([part.weight for part in parts], axis=0))
