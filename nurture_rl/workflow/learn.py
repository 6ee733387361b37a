"""A policy's folder, read back as the composed policy."""

from __future__ import annotations

import json
from pathlib import Path

from nurture_envs.actions import ActionCatalog
from nurture_envs.features import FeatureSpec
from nurture_envs.journey import Journey
from nurture_rl.bandits.linear_thompson import LinearThompsonPolicy
from nurture_rl.bandits.linear_thompson_files import load_linear_thompson
from nurture_rl.policies.build import PolicyContext, build_policy
from nurture_rl.policies.policy import Policy
from nurture_rl.rl.actor import ActorPolicy
from nurture_rl.rl.actor_files import load_actor

Core = ActorPolicy | LinearThompsonPolicy


def load_core(folder: Path, journey: Journey) -> Core | None:
    """The learned part of a policy folder, or None."""
    catalog = ActionCatalog.of(journey)
    learner = json.loads((folder / "policy.json").read_text("utf-8"))["learner"]
    if learner == "ppo":
        return load_actor(folder / "core", catalog.hash)
    if learner == "linear_thompson":
        return load_linear_thompson(folder / "core", catalog.hash)
    return None


def load_policy(folder: Path, journey: Journey) -> Policy:
    """The composed policy of a policy folder, ready to act."""
    core = load_core(folder, journey)
    spec = json.loads((folder / "policy.json").read_text("utf-8"))["spec"]

    def load_model(name: str) -> Policy:
        assert core is not None, f"policy {folder.name} names a model {name!r} but learned none"
        return core

    context = PolicyContext(journey, ActionCatalog.of(journey), FeatureSpec.of(journey), load_model)
    return build_policy(spec, context)
