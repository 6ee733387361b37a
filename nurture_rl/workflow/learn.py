"""A policy's folder, read back as the composed policy."""

from __future__ import annotations

import json
from pathlib import Path

from nurture_envs.actions import ActionCatalog
from nurture_envs.features import FeatureSpec
from nurture_envs.journey import Journey
from nurture_rl.learned.scored import CORE, ScoredPolicy
from nurture_rl.learned.scored_files import load_scored
from nurture_rl.policies.build import PolicyContext, build_policy
from nurture_rl.policies.held_columns import HeldColumns
from nurture_rl.policies.policy import Policy
from nurture_rl.workflow.training import HELD


def load_core(folder: Path, journey: Journey) -> ScoredPolicy | None:
    """The learned part of a policy folder, or None."""
    core = folder / CORE
    return load_scored(core, ActionCatalog.of(journey).hash) if core.is_dir() else None


def load_policy(folder: Path, journey: Journey) -> Policy:
    """The composed policy of a policy folder, ready to act."""
    core: Policy | None = load_core(folder, journey)
    if core is not None and (folder / HELD).is_file():
        fixed = json.loads((folder / HELD).read_text("utf-8"))
        of = FeatureSpec.of(journey)
        core = HeldColumns(core, {of.column(name): value for name, value in fixed.items()})
    spec = json.loads((folder / "policy.json").read_text("utf-8"))["spec"]

    def load_model(name: str) -> Policy:
        assert core is not None, f"policy {folder.name} names a model {name!r} but learned none"
        return core

    context = PolicyContext(journey, ActionCatalog.of(journey), FeatureSpec.of(journey), load_model)
    return build_policy(spec, context)
