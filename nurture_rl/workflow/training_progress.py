"""What a learner calls after each iteration of a training."""

from __future__ import annotations

from pathlib import Path

from nurture_rl.learned.checkpoints import Checkpoints, Resumable, checkpoint_beside
from nurture_rl.workflow.training import Metrics, Training


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
