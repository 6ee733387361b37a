"""The stage of one policy: each learner by itself, so that a change of one leaves the others."""

from __future__ import annotations

from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nurture_envs.journey import Journey
from nurture_rl.appraisal.region_ratios import ChosenRatio
from nurture_rl.codec import read_record
from nurture_rl.workflow.learned_from_log import learned_from_log
from nurture_rl.workflow.learned_in_world import learned_in_world
from nurture_rl.workflow.learners import LEARNERS, Source
from nurture_rl.workflow.ratio_stage import RatioChoice, chosen_ratio, first_training
from nurture_rl.workflow.release_region import with_ratio
from nurture_rl.workflow.training import RATIO, Training, write_policy

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
    if task.ratio is not None:
        inputs["ratio"] = task.ratio.name
    name = f"policy-{task.policy.name}"
    if config is None:
        nothing = partial(write_policy, task, task.policy, [])
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


def policy_by_evidence(
    workshop: Workshop, task: Training, config: Any, choice: RatioChoice, world: Path | None
) -> Path:
    """The folder of a policy whose trust region is as long as the training contacts can judge.

    A part of them is kept aside. The policy is learned from the others without a trust region,
    those kept aside choose the ratio, and the policy is learned again, from all and inside it.

    Args:
        workshop: where the stages lie.
        task: the policy, whose description leaves the ratio open, and what it is learned from.
        config: settings of its learner.
        choice: what there is to choose from.
        world: fitted without the contacts kept aside, for a policy trained in one.
    """
    free = learned_policy(workshop, first_training(task, world), config)
    chosen = chosen_ratio(workshop, task, free, choice)
    ratio = read_record(chosen / RATIO, ChosenRatio).max_ratio
    closed = replace(task.policy, spec=with_ratio(task.policy.spec, ratio))
    return learned_policy(workshop, replace(task, policy=closed, ratio=chosen), config)


def _for_estimand(config: Any, journey: Journey) -> Any:
    """Where every decision is its own episode, what comes after it does not count."""
    if hasattr(config, "discount") and journey.estimand == "per_decision":
        return replace(config, discount=0.0)
    return config
