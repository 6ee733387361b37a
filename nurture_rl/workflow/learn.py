"""A policy's folder, read back as the composed policy."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

from nurture_envs.actions import ActionCatalog
from nurture_envs.features import FeatureSpec
from nurture_envs.journey import Journey
from nurture_rl.learned.scored import CORE, ScoredPolicy
from nurture_rl.learned.scored_files import load_scored
from nurture_rl.policies.build import PolicyContext, build_policy
from nurture_rl.policies.held_columns import HeldColumns
from nurture_rl.policies.policy import Policy, PolicyError
from nurture_rl.workflow.training import HELD


def load_core(folder: Path, journey: Journey) -> ScoredPolicy | None:
    """The learned part of a policy folder, or None."""
    core = folder / CORE
    return load_scored(core, ActionCatalog.of(journey).hash) if core.is_dir() else None


def load_policy(folder: Path, journey: Journey) -> Policy:
    """The composed policy of a policy folder, ready to act."""
    spec = json.loads((folder / "policy.json").read_text("utf-8"))["spec"]
    core: Policy | None = load_core(folder, journey)
    if core is not None and (folder / HELD).is_file():
        fixed = json.loads((folder / HELD).read_text("utf-8"))
        of = FeatureSpec.of(journey)
        core = HeldColumns(core, {of.column(name): value for name, value in fixed.items()})
    return build_policy(spec, context_beside(folder.parent, journey, core))


def context_beside(stages: Path, journey: Journey, core: Policy | None = None) -> PolicyContext:
    """What descriptions of policies need where the stages lie.

    Args:
        stages: folder of the stages; a model is named after the policy's stage that learned it.
        journey: whose actions and features they are.
        core: what `core` stands for, the learned part of the policy at hand; None: there is none.
    """
    load_model = ModelsBeside(stages, ActionCatalog.of(journey).hash, core)
    return PolicyContext(journey, ActionCatalog.of(journey), FeatureSpec.of(journey), load_model)


@dataclass(frozen=True, slots=True)
class ModelsBeside:
    """Loads learned parts by name: `core` is the one at hand, others are named after stages."""

    stages: Path
    catalog: str  # hash of the catalogue whose order they follow
    core: Policy | None = None

    def __call__(self, name: str) -> Policy:
        """A learned part.

        Raises:
            PolicyError: no stage of that name learned anything.
        """
        if name == CORE:
            assert self.core is not None, f"a model {name!r} is named where none was learned"
            return self.core
        folder = self.stages / name / CORE
        if not folder.is_dir():
            raise PolicyError(
                f"expected a learned policy of stage {name!r} in {self.stages}, it is not there; "
                "keep the folders of the policies that others rest on"
            )
        return replace(load_scored(folder, self.catalog), name=name)
