"""The stage of one policy: each learner by itself, so that a change of one leaves the others."""

from __future__ import annotations

from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nurture_envs.journey import Journey
from nurture_rl.rl.ppo import PPOConfig
from nurture_rl.workflow.learned_from_log import learned_from_log
from nurture_rl.workflow.learned_in_world import learned_in_world
from nurture_rl.workflow.learners import LEARNERS, Source
from nurture_rl.workflow.training import Training, write_policy

if TYPE_CHECKING:
    from nurture_rl.workflow.stages import Build, Workshop


def learned_policy(workshop: Workshop, task: Training, config: Any) -> Path:
    """The folder of a policy: `policy.json`, `metrics.json` and, where a model is learned, `core/`.

    Args:
        workshop: where the stages lie.
        task: the policy, and what it is learned from.
        config: settings of its learner; None where nothing is learned.
    """
    config = _for_estimand(config, task.journey)
    inputs: dict[str, Any] = {
        "policy": asdict(task.policy),
        "from": None if config is None else _source(task).name,
        "journey": task.journey.resolved,
    }
    if config is not None:
        inputs |= {"config": asdict(config), "seed": task.seed, "held_out": task.held_out}
    return workshop.stage(f"policy-{task.policy.name}", inputs, _build(task, config))


def _source(task: Training) -> Path:
    """The folder that the policy is learned from."""
    if LEARNERS[task.policy.learner].source is Source.LOG:
        return task.ingested
    assert task.world is not None, f"policy {task.policy.name} is trained in a world, none given"
    return task.world


def _build(task: Training, config: Any) -> Build:
    if config is None:
        return partial(write_policy, task.policy, [])
    learner = LEARNERS[task.policy.learner]
    if learner.source is Source.LOG:
        return partial(learned_from_log, task, learner.learn, config)
    return partial(learned_in_world, task, learner.learn, config)


def _for_estimand(config: Any, journey: Journey) -> Any:
    """Where every decision is its own episode, what comes after it does not count."""
    if isinstance(config, PPOConfig) and journey.estimand == "per_decision":
        return replace(config, discount=0.0)
    return config
