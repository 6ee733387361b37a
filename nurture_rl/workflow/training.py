"""What every learner is given, and the files it leaves."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nurture_envs.journey import Journey

if TYPE_CHECKING:
    from nurture_rl.workflow.run_config import PolicyConfig
    from nurture_rl.workflow.stages import Say

Metrics = list[tuple[int, dict[str, float]]]  # the training's numbers by step
REGION = "region.json"  # how a trust region was chosen, a `ChosenRegion`
HELD = "held.json"  # value by column of what the learned part does not get to know


@dataclass(frozen=True, slots=True)
class Training:
    """One policy to be made, and what it may be learned from."""

    policy: PolicyConfig
    journey: Journey
    ingested: Path
    world: Path | None  # None where nothing is trained in one
    held_out: float
    seed: int
    say: Say
    checkpoint_every: int = 10  # iterations between two checkpoints; no result depends on it
    region: Path | None = None  # the stage that chose its trust region; None: nobody did
    temperature: float | None = None  # at which its values tilt the anchor; None: they do not
    held: tuple[str, ...] = ()  # feature columns that it does not get to know

    @property
    def stages(self) -> Path:
        """Where the stages lie, whose learned parts an anchor may name."""
        return self.ingested.parent


def write_policy(
    task: Training,
    policy: PolicyConfig,
    metrics: Sequence[tuple[int, dict[str, float]]],
    out: Path,
) -> None:
    """Write `policy.json`, for whoever tracks the run `metrics.json`, and `region.json` if there.

    Args:
        task: what was asked for.
        policy: what was made.
        metrics: the training's numbers by step.
        out: the policy's folder.
    """
    if task.region is not None:
        shutil.copyfile(task.region / REGION, out / REGION)
    (out / "policy.json").write_text(json.dumps(asdict(policy), indent=1) + "\n", "utf-8")
    (out / "metrics.json").write_text(json.dumps(metrics) + "\n", "utf-8")
