"""What a policy is truly worth: played in the reference world, on contacts new to everybody."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from nurture_envs.actions import ActionCatalog
from nurture_envs.features import FeatureSpec
from nurture_envs.journey import Journey
from nurture_envs.journey_file import load_journey
from nurture_envs.rollout import Returns, returns
from nurture_envs.simulation import Simulation
from nurture_envs.worlds.reference import reference_world
from nurture_rl.policies.build import PolicyContext, build_policy
from nurture_rl.policies.policy import Policy

FloatArray = NDArray[np.float64]
_COUNTED = ("escalated", "unsubscribed", "complained", "spam_trap_hit")  # beside sends
TRUTH_SEED = 900_001  # of the contacts played, the same with the same luck for every policy


@dataclass(frozen=True, slots=True)
class Measured:
    """A policy in the true world; differences are paired, on the same contacts and luck."""

    value: float  # the journey's unit per episode
    stderr: float
    over_drip: float
    over_drip_stderr: float
    under_oracle: float  # what the oracle earns more
    under_oracle_stderr: float
    amounts: Mapping[str, float]  # sends, and what else counts as a cost or a harm, per episode


def true_returns(journey: Journey, policy: Policy, contacts: int) -> Returns:
    """What each contact brings in the true world."""
    return returns(Simulation(reference_world(journey)), policy, contacts, TRUTH_SEED)


@lru_cache(maxsize=4)
def drip_values(name: str, contacts: int) -> FloatArray:
    """What each contact brings under the drip of a shipped journey, [n]."""
    journey = load_journey(name)
    return true_returns(journey, build_policy("drip", context_of(journey)), contacts).value


def context_of(journey: Journey) -> PolicyContext:
    """What descriptions of programmes need."""
    return PolicyContext(journey, ActionCatalog.of(journey), FeatureSpec.of(journey))


def measured(journey: Journey, found: Returns, oracle: FloatArray) -> Measured:
    """What was found, held against the drip and the oracle.

    Args:
        journey: whose channels the amounts are.
        found: a policy on the contacts of `true_returns`.
        oracle: what the same contacts brought the oracle, [n].
    """
    over = found.value - drip_values(journey.name, len(oracle))
    under = oracle - found.value
    return Measured(
        value=float(found.value.mean()),
        stderr=stderr(found.value),
        over_drip=float(over.mean()),
        over_drip_stderr=stderr(over),
        under_oracle=float(under.mean()),
        under_oracle_stderr=stderr(under),
        amounts=_amounts(journey, found),
    )


def _amounts(journey: Journey, found: Returns) -> dict[str, float]:
    means = dict(zip(journey.channels, found.amounts.mean(axis=0).tolist(), strict=True))
    sends = sum(mean for name, mean in means.items() if name.startswith("sent_"))
    kept = {"sends": sends} | {name: means[name] for name in _COUNTED if name in means}
    return {name: round(mean, 6) for name, mean in kept.items()}


def stderr(values: FloatArray) -> float:
    """Standard error of the mean of independent values."""
    return float(values.std(ddof=1) / np.sqrt(len(values)))
