"""What every learner is given, and the files it leaves."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nurture_envs.journey import Journey
from nurture_rl.learned.checkpoints import Checkpoints, Resumable, checkpoint_beside

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


def telling(task: Training, metrics: Metrics, out: Path) -> Resumable:
    """What a learner calls after each iteration: every one is kept, every tenth is said.

    Args:
        task: says where to, and how often there is a checkpoint.
        metrics: where the numbers are put; those of a killed training, as far as it goes on.
        out: the unfinished folder of the policy; the checkpoint lies beside it.
    """
    checkpoint = checkpoint_beside(out)
    if checkpoint.is_file():
        task.say("  a training was cut short: going on from its checkpoint")

    def tell(step: int, values: dict[str, float]) -> None:
        metrics.append((step, values))
        if step % 10 == 9:
            shown = ", ".join(f"{name} {value:.3f}" for name, value in values.items())
            task.say(f"  iteration {step + 1}: {shown}")

    return Resumable(tell, Checkpoints(checkpoint, task.checkpoint_every, metrics))
