"""Everything that sums over the blocks of a log of journeys tell of it and of its policies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial, reduce

import numpy as np

from nurture_rl.ope.bounds.rare_outcomes import RareOutcomes
from nurture_rl.ope.log import FloatArray
from nurture_rl.ope.ridge import require_folds
from nurture_rl.ope.streaming.contact_blocks import (
    ContactBlocks,
    LogShape,
    require_own_episodes,
    shape_of_block,
    shape_of_log,
)
from nurture_rl.ope.streaming.journey_estimates import JourneySummary
from nurture_rl.ope.streaming.journey_outcomes import journey_outcomes, ruled_by_rare
from nurture_rl.ope.streaming.journey_pass import (
    BlockPart,
    Pairs,
    PolicyPart,
    block_part,
    error_part,
)
from nurture_rl.ope.streaming.journey_sums import JourneySums, joined_errors, joined_journeys
from nurture_rl.ope.streaming.value_sums import (
    ValueModels,
    added_values,
    value_models,
    value_sums,
)
from nurture_rl.ope.value_model import ValueModelConfig


@dataclass(frozen=True, slots=True, eq=False)
class PolicyTotal:
    """What the whole log says of a policy."""

    summary: JourneySummary | None  # None where its weights leave the range of numbers
    refusal: str  # why, else ""
    start: FloatArray  # the model's value of what each contact begins with, summed, [C]
    mix: FloatArray  # its probabilities by bin and action, [S, a]
    unsupported: float  # its mass where the log had no chance
    same: Mapping[str, bool]  # whether it acts as each other does, in every decision


@dataclass(frozen=True, slots=True, eq=False)
class JourneyTotals:
    """What the whole log says."""

    shape: LogShape
    own: FloatArray  # what was earned, by contact, [C]
    episodes: FloatArray  # of each contact, [C]
    mix: FloatArray  # what was done by bin and action, [S, a]
    policies: Mapping[str, PolicyTotal]
    # By policy, or "logged", alone and less others; none where rewards are not ruled by rare ones.
    outcomes: Mapping[tuple[str, str], RareOutcomes]


def journey_models(
    blocks: ContactBlocks,
    names: tuple[str, ...],
    action_factors: FloatArray,
    rng: np.random.Generator,
    config: ValueModelConfig,
) -> ValueModels:
    """The value models of policies, from two readings of the blocks.

    Args:
        blocks: of the log.
        names: of the policies.
        action_factors: factor columns of the catalogue, [a, k].
        rng: deals contacts to folds.
        config: folds and penalties.

    Raises:
        FitError: fewer than three contacts, or folds or penalties out of range.
        LogError: an episode has decisions of several contacts.
    """
    shapes = blocks.over(lambda block, _: shape_of_block(block), (), "size of the log")
    shape = shape_of_log(list(shapes))
    require_own_episodes(blocks, shape.n_episodes)
    require_folds(config.n_folds, config.penalties, shape.n_contacts)
    fold = shape.fold_of_contact(rng, config.n_folds)
    summing = partial(value_sums, shape=shape, fold=fold)
    sums = reduce(added_values, blocks.over(summing, names, "value models"))
    return value_models(sums, shape, fold, action_factors, config)


def journey_totals(blocks: ContactBlocks, models: ValueModels, pairs: Pairs) -> JourneyTotals:
    """Both passes over the blocks.

    Args:
        blocks: of the log.
        models: value models of the policies.
        pairs: what each policy is compared with.
    """
    names = tuple(pairs)
    first = partial(block_part, models=models, pairs=pairs)
    parts = list(blocks.over(first, names, "weights and values"))
    sums = {name: _joined([part.policies[name] for part in parts]) for name in names}
    known = {name: one.steps for name, one in sums.items() if one is not None}
    shape = models.shape
    rare = [part.rare for part in parts]
    ruled = ruled_by_rare(rare, shape.n_episodes)
    second = partial(error_part, models=models, known=known, pairs=pairs if ruled else {})
    found = list(blocks.over(second, names, "errors"))
    episodes = np.concatenate([part.episodes for part in parts])
    policies = {}
    for name, one in sums.items():
        of_policy, summary = [part.policies[name] for part in parts], None
        start = np.concatenate([part.start for part in of_policy])
        if one is not None:
            errors = joined_errors([part.errors[name] for part in found])
            summary = JourneySummary(one, errors, start, episodes)
        policies[name] = _total(of_policy, start, summary)
    return JourneyTotals(
        shape=shape,
        own=np.concatenate([part.own for part in parts]),
        episodes=episodes,
        mix=_mix(parts),
        policies=policies,
        outcomes={
            pair: journey_outcomes(rare, [part.outcomes[pair] for part in found], episodes)
            for pair in found[0].outcomes
        },
    )


def _joined(parts: list[PolicyPart]) -> JourneySums | None:
    """The sums of a policy, None where some block's weights leave the range of numbers."""
    known = [part.sums for part in parts if part.sums is not None]
    return joined_journeys(known) if len(known) == len(parts) else None


def _mix(parts: list[BlockPart]) -> FloatArray:
    return np.asarray(np.sum([part.mix for part in parts], axis=0))


def _total(
    parts: list[PolicyPart], start: FloatArray, summary: JourneySummary | None
) -> PolicyTotal:
    return PolicyTotal(
        summary=summary,
        refusal=next((part.refusal for part in parts if part.refusal), ""),
        start=start,
        mix=np.asarray(np.sum([part.mix for part in parts], axis=0)),
        unsupported=sum(part.unsupported for part in parts),
        same={other: all(part.same[other] for part in parts) for other in parts[0].same},
    )
