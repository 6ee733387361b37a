"""The two passes over blocks of contacts: sums of every policy, then errors that need the sums."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from nurture_rl.errors import OverlapError
from nurture_rl.ope.clusters import cluster_totals
from nurture_rl.ope.log import EvaluationLog, FloatArray, IntArray, discount_from_start, first_rows
from nurture_rl.ope.streaming.contact_blocks import ContactBlock
from nurture_rl.ope.streaming.journey_outcomes import (
    RareSums,
    WeightedOutcomes,
    rare_sums,
    weighted_outcomes,
)
from nurture_rl.ope.streaming.journey_sums import (
    JourneyErrors,
    JourneySums,
    StepSums,
    journey_errors,
    journey_sums,
    weights_of,
)
from nurture_rl.ope.streaming.policy_sums import ALONE, LOGGED
from nurture_rl.ope.streaming.value_sums import ValueModels
from nurture_rl.ope.targets import TargetOnLog, logged_one_hot, on_logged_rows
from nurture_rl.ope.ties import alike

Pairs = Mapping[str, tuple[str, ...]]  # by policy, what it is compared with


@dataclass(frozen=True, slots=True, eq=False)
class PolicyPart:
    """What a block says of a policy."""

    sums: JourneySums | None  # None where weights leave the range of floating point numbers
    refusal: str  # why, else ""
    start: FloatArray  # the model's value of what each contact begins with, summed, [C]
    mix: FloatArray  # its probabilities by bin and action, [S, a]
    unsupported: float  # its mass where the log had no chance
    same: Mapping[str, bool]  # whether it acts as each other does, in every decision


@dataclass(frozen=True, slots=True, eq=False)
class BlockPart:
    """What a block says before the sums over the whole log are known."""

    own: FloatArray  # what was earned, by contact, [C]
    episodes: FloatArray  # of each contact, [C]
    mix: FloatArray  # what was done by bin and action, [S, a]
    rare: RareSums
    policies: Mapping[str, PolicyPart]


@dataclass(frozen=True, slots=True, eq=False)
class ErrorPart:
    """What a block says once they are."""

    errors: Mapping[str, JourneyErrors]  # by policy
    outcomes: Mapping[tuple[str, str], WeightedOutcomes]  # by policy, alone and less others


def block_part(block: ContactBlock, first: int, models: ValueModels, pairs: Pairs) -> BlockPart:
    """The first pass over a block.

    Args:
        block: decisions of whole contacts, with the probabilities of every policy.
        first: contacts in the blocks before it.
        models: value models of the policies.
        pairs: what each policy is compared with.
    """
    log, steps = block.log, models.shape.steps
    worth = discount_from_start(log) * log.reward
    earned = np.bincount(log.episode, worth, log.n_episodes).astype(np.float64)
    return BlockPart(
        own=cluster_totals(log, earned),
        episodes=cluster_totals(log, np.ones(log.n_episodes)),
        mix=_mix(log, logged_one_hot(log.mask, log.action), steps),
        rare=rare_sums(log, models.shape),
        policies={name: _policy_part(block, first, models, name, pairs[name]) for name in pairs},
    )


def _policy_part(
    block: ContactBlock, first: int, models: ValueModels, name: str, others: tuple[str, ...]
) -> PolicyPart:
    log, sums, refusal = block.log, None, ""
    target = on_logged_rows(log, block.targets[name])
    predictions = models.predictions(block, first, name)
    try:
        sums = journey_sums(block, target, predictions, models.shape.horizon)
    except OverlapError as error:
        refusal = str(error)
    return PolicyPart(
        sums=sums,
        refusal=refusal,
        start=cluster_totals(log, predictions.value[first_rows(log)]),
        mix=_mix(log, target.probabilities, models.shape.steps),
        unsupported=0.0 if target.unsupported is None else float(target.unsupported.sum()),
        same={other: _same(block, target, other) for other in others},
    )


def _same(block: ContactBlock, target: TargetOnLog, other: str) -> bool:
    log = block.log
    if other != LOGGED:
        return bool(alike(target.probabilities, block.targets[other]).all())
    if log.logged_probabilities is None:
        return bool(alike(target.taken, log.propensity).all())
    return bool(alike(target.probabilities, log.logged_probabilities).all())


def _mix(log: EvaluationLog, probabilities: FloatArray, steps: IntArray) -> FloatArray:
    """Probabilities of each action summed by bin of the log, [S, a]."""
    place = np.searchsorted(steps, log.step)
    columns = [np.bincount(place, column, steps.size) for column in probabilities.T]
    return np.stack(columns, axis=1)


def error_part(
    block: ContactBlock,
    first: int,
    models: ValueModels,
    known: Mapping[str, StepSums],
    pairs: Pairs,
) -> ErrorPart:
    """The second pass over a block.

    Args:
        block: decisions of whole contacts, with the probabilities of every policy.
        first: contacts in the blocks before it.
        models: value models of the policies.
        known: sums over the whole log of the policies whose weights are known.
        pairs: what each policy is compared with; empty where rewards are not ruled by rare
            outcomes.
    """
    log, shape = block.log, models.shape
    rows = np.arange(log.n_rows)
    taken = {name: block.targets[name][rows, log.action] for name in known}
    errors = {
        name: journey_errors(
            block, taken[name], models.predictions(block, first, name), steps, shape.n_episodes
        )
        for name, steps in known.items()
    }
    outcomes: dict[tuple[str, str], WeightedOutcomes] = {}
    if pairs:
        ones = np.ones((log.n_episodes, shape.horizon))
        weights = {name: weights_of(log, one, shape.horizon) for name, one in taken.items()}
        outcomes[LOGGED, ALONE] = weighted_outcomes(log, ones, shape)
        for name in known:
            outcomes[name, ALONE] = weighted_outcomes(log, weights[name], shape)
            for other in pairs[name]:
                if other == LOGGED or other in weights:
                    apart = weights[name] - (ones if other == LOGGED else weights[other])
                    outcomes[name, other] = weighted_outcomes(log, apart, shape)
    return ErrorPart(errors, outcomes)
