"""A policy trained by PPO in the learned world."""

from __future__ import annotations

from pathlib import Path

from nurture_rl.rl.actor_files import save_actor
from nurture_rl.rl.ppo import PPOConfig, train_ppo
from nurture_rl.workflow.training import Metrics, Training, telling, write_policy
from nurture_rl.workflow.world_stage import learned_simulation


def ppo_policy(task: Training, config: PPOConfig, out: Path) -> None:
    """Train the actor and keep it in `core/`."""
    assert task.world is not None, f"policy {task.policy.name} is trained in a world, none given"
    metrics: Metrics = []
    simulation = learned_simulation(task.world, task.journey, task.policy.pessimism)
    actor = train_ppo(simulation, config, task.seed, telling(task.say, metrics))
    save_actor(actor, out / "core")
    write_policy(task.policy, metrics, out)
