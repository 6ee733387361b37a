"""What every learner is given, and the files it leaves."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nurture_envs.journey import Journey

if TYPE_CHECKING:
    from nurture_rl.workflow.run_config import PolicyConfig
    from nurture_rl.workflow.stages import Say

Metrics = list[tuple[int, dict[str, float]]]  # the training's numbers by step


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


def write_policy(
    policy: PolicyConfig, metrics: Sequence[tuple[int, dict[str, float]]], out: Path
) -> None:
    """Write `policy.json` and, for whoever tracks the run, `metrics.json`."""
    (out / "policy.json").write_text(json.dumps(asdict(policy), indent=1) + "\n", "utf-8")
    (out / "metrics.json").write_text(json.dumps(metrics) + "\n", "utf-8")
