"""The stage of one policy: each learner by itself, so that a change of one leaves the others."""

from __future__ import annotations

from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nurture_envs.journey import Journey
from nurture_rl.bandits.linear_thompson import LinearThompsonConfig
from nurture_rl.rl.ppo import PPOConfig
from nurture_rl.rl.rule_search import TunedRulesConfig
from nurture_rl.workflow.bandit_policy import bandit_policy
from nurture_rl.workflow.ppo_policy import ppo_policy
from nurture_rl.workflow.training import Training, write_policy
from nurture_rl.workflow.tuned_policy import tuned_policy

if TYPE_CHECKING:
    from nurture_rl.workflow.config import LearnerConfig
    from nurture_rl.workflow.stages import Build, Workshop


def learned_policy(workshop: Workshop, task: Training, config: LearnerConfig) -> Path:
    """The folder of a policy: `policy.json`, `metrics.json` and, where a model is learned, `core/`.

    Args:
        workshop: where the stages lie.
        task: the policy, and what it is learned from.
        config: of its learner; None where nothing is learned.
    """
    config = _for_estimand(config, task.journey)
    source = task.ingested if isinstance(config, LinearThompsonConfig) else task.world
    inputs: dict[str, Any] = {
        "policy": asdict(task.policy),
        "from": None if config is None or source is None else source.name,
        "journey": task.journey.resolved,
    }
    if config is not None:
        inputs |= {"config": asdict(config), "seed": task.seed, "held_out": task.held_out}
    return workshop.stage(f"policy-{task.policy.name}", inputs, _learner(task, config))


def _learner(task: Training, config: LearnerConfig) -> Build:
    if isinstance(config, PPOConfig):
        return partial(ppo_policy, task, config)
    if isinstance(config, TunedRulesConfig):
        return partial(tuned_policy, task, config)
    if isinstance(config, LinearThompsonConfig):
        return partial(bandit_policy, task, config)
    return partial(write_policy, task.policy, [])


def _for_estimand(config: LearnerConfig, journey: Journey) -> LearnerConfig:
    """Where every decision is its own episode, what comes after it does not count."""
    if isinstance(config, PPOConfig) and journey.estimand == "per_decision":
        return replace(config, discount=0.0)
    return config
