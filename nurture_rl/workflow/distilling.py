"""Rules in the place of a policy: grown on training decisions, held against it on held-out ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from nurture_envs.actions import ActionCatalog
from nurture_envs.features import FeatureSpec
from nurture_envs.journey import Journey
from nurture_rl.appraisal.fidelity import Fidelity, fidelity
from nurture_rl.bandits.at_stake import Stakes
from nurture_rl.errors import FitError
from nurture_rl.learned.training_log import TrainingLog
from nurture_rl.ope.log import EvaluationLog
from nurture_rl.policies.build import PolicyContext, build_policy
from nurture_rl.policies.composition import held_alike, unheld
from nurture_rl.policies.distilled_rules import Demonstration, RuleListSize, distilled_rules
from nurture_rl.policies.policy import BoolArray, FeatureArray, FloatArray, IntArray, Policy, Spec
from nurture_rl.policies.program import Rules

_ROWS = 20_000  # training decisions that rules are grown on
_BLOCK = 65_536  # decisions that a policy is asked about at a time


@dataclass(frozen=True, slots=True, eq=False)
class Distilled:
    """Rules that were made of a policy."""

    rules: Rules
    held: Policy  # the same rules, held as the policy is
    spec: Spec  # of the rules
    held_spec: Mapping[str, Any]
    fidelity: Fidelity  # on held-out decisions
    takes: tuple[tuple[int, int], ...]  # by rule, `otherwise` last: held-out decisions, alike ones


def distil(
    policy: Policy,
    journey: Journey,
    log: TrainingLog,
    held_out: EvaluationLog,
    size: RuleListSize,
    rng: np.random.Generator,
) -> Distilled:
    """Make rules of what a policy would do were nothing held back, and compare the two.

    What counts is the likeliest action of the policy alone, without trust region or floor: inside a
    region the likeliest action is often what the log does most. Half of the weight of a decision
    is one for all, half is what is at stake in it.

    Args:
        policy: as it is released.
        journey: whose contexts and actions it is about.
        log: training decisions.
        held_out: decisions of other contacts.
        size: how long the list may be.
        rng: draws the decisions that rules are grown on, of a long log.

    Raises:
        FitError: no held-out decision leaves a choice, or too few training decisions.
    """
    catalog, columns = ActionCatalog.of(journey), FeatureSpec.of(journey).columns
    wanted, stakes = unheld(policy), Stakes(log, rng)
    rows = np.sort(rng.permutation(np.flatnonzero(log.choice))[:_ROWS])
    features, mask = log.features[rows], log.mask[rows]
    shown = Demonstration(
        features, mask, likeliest(wanted, features, mask), _weights(stakes.of(features, mask))
    )
    spec = distilled_rules(shown, catalog, columns, size)

    context = PolicyContext(journey, catalog, FeatureSpec.of(journey))
    rules, held_spec = build_policy(spec, context), held_alike(policy.spec(), spec)
    assert isinstance(rules, Rules)
    seen = np.flatnonzero(held_out.mask.sum(axis=1) > 1)
    if not seen.size:
        raise FitError(
            "no held-out decision leaves a choice, so rules cannot be held against the policy; "
            "give a log with more contacts"
        )
    features, mask = held_out.features[seen], held_out.mask[seen]
    asked, taken = likeliest(wanted, features, mask), likeliest(rules, features, mask)
    stake, cluster = stakes.of(features, mask), held_out.cluster[held_out.episode[seen]]
    found = fidelity(asked, taken, stake, cluster, catalog.ids)
    place, alike = rules.deciding(features, mask), taken == asked
    counts = [
        (int((place == at).sum()), int((alike & (place == at)).sum()))
        for at in range(len(rules.rules) + 1)
    ]
    return Distilled(rules, build_policy(held_spec, context), spec, held_spec, found, tuple(counts))


def likeliest(policy: Policy, features: FeatureArray, mask: BoolArray) -> IntArray:
    """The action with the largest probability in each row, the first of several such, [n]."""
    found = np.empty(len(mask), np.int64)
    for start in range(0, len(mask), _BLOCK):
        rows = slice(start, start + _BLOCK)
        found[rows] = policy.action_probabilities(features[rows], mask[rows]).argmax(axis=1)
    return found


def _weights(stake: FloatArray) -> FloatArray:
    """One for each decision, and as much again in all by what is at stake, [n]."""
    mean = float(stake.mean())
    return (1.0 + stake / mean) / 2.0 if mean > 0.0 else np.ones(len(stake))
