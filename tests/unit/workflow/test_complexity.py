"""How much there is to understand in a policy."""

from __future__ import annotations

import numpy as np
import torch

from nurture_rl.learned.choice_rules import Greedy
from nurture_rl.learned.scored import ScoredModule, ScoredPolicy
from nurture_rl.policies.build import build_policy
from nurture_rl.policies.composition import TrustRegion
from nurture_rl.policies.policy import Policy
from nurture_rl.workflow.complexity import complexity
from tests.unit.policies.planted_journeys import INBOUND, context_of

CONTEXT = context_of(INBOUND)
D, A = len(CONTEXT.feature_spec.columns), len(CONTEXT.catalog)


def scored(hidden: int = 0) -> Policy:
    layers = [(torch.zeros(hidden, D), torch.zeros(hidden))] if hidden else []
    maps = np.zeros((1, A, (hidden or D) + 1))
    module = ScoredModule((np.zeros(D), np.ones(D)), layers, maps, Greedy())
    return ScoredPolicy(CONTEXT.catalog.hash, CONTEXT.feature_spec.columns, module, {})


def test_policies_go_from_none_to_a_network() -> None:
    kinds = ("no_contact", "drip", "expert", "rules")
    policies = [*(build_policy(kind, CONTEXT) for kind in kinds), scored(), scored(4)]
    found = [complexity(policy) for policy in policies]
    told = [one for one in found if one is not None]
    assert len(told) == len(policies)
    assert told == sorted(told)
    assert [one.rank for one in told] == [0, 1, 2, 2, 3, 4]
    assert told[2].says == "2 rules"
    assert told[3].says == "3 rules"


def test_what_holds_a_policy_near_the_log_is_said_and_adds_nothing() -> None:
    alone = complexity(scored())
    anchor = build_policy("random", CONTEXT)
    held = complexity(TrustRegion(scored(), anchor, 3.0, 0.05))
    assert alone is not None
    assert held is not None
    assert (held.rank, held.size) == (alone.rank, alone.size)
    assert held.says == f"{alone.says}, held near the log"


def test_exploration_and_mixtures_are_none_to_recommend() -> None:
    for spec in ("random", {"kind": "explore", "base": "drip", "share": 0.3}):
        assert complexity(build_policy(spec, CONTEXT)) is None
