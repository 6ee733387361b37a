"""The stage of one policy: each learner by itself, so that a change of one leaves the others."""

from __future__ import annotations

from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nurture_envs.journey import Journey
from nurture_rl.workflow.learned_from_log import learned_from_log
from nurture_rl.workflow.learned_in_world import learned_in_world
from nurture_rl.workflow.learners import LEARNERS, Source
from nurture_rl.workflow.training import Training, write_policy

if TYPE_CHECKING:
    from nurture_rl.workflow.stages import Workshop


def learned_policy(workshop: Workshop, task: Training, config: Any) -> Path:
    """The folder of a policy: `policy.json`, `metrics.json` and, where a model is learned, `core/`.

    Args:
        workshop: where the stages lie.
        task: the policy, and what it is learned from.
        config: settings of its learner; None where nothing is learned.
    """
    config = _for_estimand(config, task.journey)
    inputs: dict[str, Any] = {"policy": asdict(task.policy), "journey": task.journey.resolved}
    name = f"policy-{task.policy.name}"
    if config is None:
        nothing = partial(write_policy, task.policy, [])
        return workshop.stage(name, inputs | {"from": None}, nothing)
    learner = LEARNERS[task.policy.learner]
    by_playing = learner.source is Source.WORLD
    source = task.world if by_playing else task.ingested
    assert source is not None, f"policy {task.policy.name} is trained in a world, none given"
    given = (task, learner.learn)
    learned = (
        partial(learned_in_world, *given)
        if by_playing
        else partial(learned_from_log, *given, learner.held, learner.verdict)
    )
    inputs |= {
        "from": source.name,
        "config": asdict(config),
        "seed": task.seed,
        "held_out": task.held_out,
        "held": learner.held,
    }
    return workshop.stage(name, inputs, partial(learned, config), learner.learn)


def _for_estimand(config: Any, journey: Journey) -> Any:
    """Where every decision is its own episode, what comes after it does not count."""
    if hasattr(config, "discount") and journey.estimand == "per_decision":
        return replace(config, discount=0.0)
    return config
