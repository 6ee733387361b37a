"""A small log of inbound leads, played by any policy in the reference world."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np

from experiments.common.played import played_data
from nurture_envs.actions import ActionCatalog
from nurture_envs.features import FeatureSpec
from nurture_envs.journey_file import load_journey
from nurture_rl.decisions import Decisions
from nurture_rl.policies.build import PolicyContext, build_policy
from nurture_rl.policies.policy import Policy
from nurture_rl.simulator.data import WorldData
from nurture_rl.workflow.collect import reference_simulation

# Each further KPI is one more evaluation.
JOURNEY = replace(load_journey("inbound_lead"), supporting=())  # type: ignore[arg-type]
CONTEXT = PolicyContext(JOURNEY, ActionCatalog.of(JOURNEY), FeatureSpec.of(JOURNEY))


@lru_cache(maxsize=1)
def random_contacts() -> WorldData:
    """Sixty contacts treated at random."""
    random = build_policy("random", CONTEXT)
    data = played_data(reference_simulation(JOURNEY), random, 60, 1)
    return data.take(np.lexsort((data.step, data.cluster)))


def logged_by(policy: Policy, contacts: int = 60, bins: int = 14) -> Decisions:
    """These contacts' first bins, said to be treated by a policy; every third is held out."""
    data = random_contacts()
    data = data.take((data.cluster < contacts) & (data.step < bins))
    n = len(data.action)
    table = policy.action_probabilities(data.features, data.mask)
    action = np.array([np.flatnonzero(row)[k % (row > 0).sum()] for k, row in enumerate(table)])
    return replace(
        data,
        action=action,
        propensity=table[np.arange(n), action],
        probabilities=table,
        reward=data.amounts.sum(axis=1),
        available=np.ones(n, bool),
        held_out=data.cluster % 3 > 0,
        age=np.full(n, 20),
        event_delay=np.full(data.amounts.shape, -1),
        when=np.full(n, 20_000),
    )
