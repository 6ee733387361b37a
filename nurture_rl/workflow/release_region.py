"""The trust region that a policy will be released with, as its learner is told of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from nurture_envs.journey import Journey
from nurture_rl.learned.scored import CORE
from nurture_rl.policies.build import build_policy
from nurture_rl.policies.composition import Region, TrustRegion
from nurture_rl.policies.policy import BoolArray, FeatureArray, FloatArray, Policy, Spec
from nurture_rl.workflow.learn import context_beside

LEARNED_PART = {"kind": "model", "name": CORE}
AUTO = "auto"  # in place of a largest ratio, which is then chosen by the training contacts


def region_of(spec: Any, journey: Journey, stages: Path) -> Region | None:
    """The innermost trust region that a description puts around its learned part, or None.

    What goes around the region, such as a floor, changes nothing of what is learned.

    Args:
        spec: the description.
        journey: whose actions and features they are.
        stages: folder of the stages, whose learned parts an anchor may name.

    Raises:
        PolicyError, ActionError, JourneyError: the description cannot be built.
    """
    core = _NotYetLearned()
    context = context_beside(stages, journey, core)
    return next(_regions(build_policy(spec, context), core), None)


def is_open(spec: Any) -> bool:
    """Whether a description leaves the size of a trust region to the evidence."""
    if not isinstance(spec, Mapping):
        return False
    return spec.get("max_ratio") == AUTO or any(is_open(part) for part in spec.values())


def closed(spec: Any, max_ratio: float, tilt: bool) -> Any:
    """The description with a size wherever it was left open.

    Args:
        spec: the description.
        max_ratio: largest importance ratio, >= 1.
        tilt: whether what is inside tilts the anchor.
    """
    if not isinstance(spec, Mapping):
        return spec
    filled = {key: closed(part, max_ratio, tilt) for key, part in spec.items()}
    if spec.get("max_ratio") != AUTO:
        return filled
    return filled | {"max_ratio": max_ratio} | ({"tilt": True} if tilt else {})


class _NotYetLearned:
    """Stands for the learned part while a description is read."""

    def action_probabilities(self, features: FeatureArray, mask: BoolArray) -> FloatArray:
        """Nobody asks."""
        raise NotImplementedError

    def spec(self) -> Spec:
        """As the learned part will be described."""
        return LEARNED_PART


def _regions(policy: Policy, core: Policy) -> Iterator[Region]:
    """Trust regions around the core, the innermost first."""
    for part in _parts(policy):
        yield from _regions(part, core)
    if isinstance(policy, TrustRegion) and _holds(policy.policy, core):
        yield Region(policy.anchor, policy.max_ratio, policy.explore)


def _holds(policy: Policy, core: Policy) -> bool:
    return policy is core or any(_holds(part, core) for part in _parts(policy))


def _parts(policy: Policy) -> list[Policy]:
    """What a policy is made of; an anchor is no part, it only limits."""
    parts = [getattr(policy, name, None) for name in ("policy", "other")]
    return [part for part in parts if part is not None]
