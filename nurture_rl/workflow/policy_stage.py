"""The stage of one policy: each learner by itself, so that a change of one leaves the others."""

from __future__ import annotations

from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nurture_envs.journey import Journey
from nurture_rl.appraisal.region_choice import ChosenRegion
from nurture_rl.codec import read_record
from nurture_rl.workflow.learned_from_log import learned_from_log
from nurture_rl.workflow.learned_in_world import learned_in_world
from nurture_rl.workflow.learners import LEARNERS, Source
from nurture_rl.workflow.region_stage import RegionChoice, chosen_region, first_training
from nurture_rl.workflow.release_region import closed
from nurture_rl.workflow.training import REGION, Training, write_policy

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
    if task.region is not None:
        inputs["region"] = task.region.name
    if task.held:
        inputs["unknown"] = list(task.held)
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
    workshop: Workshop, task: Training, config: Any, choice: RegionChoice, world: Path | None
) -> Path:
    """The folder of a policy whose trust region is as long as the training contacts can judge.

    A part of them is left aside. The policy is learned from the others without a trust region,
    those left aside choose the region, and the policy is learned again, from all and inside it.

    Args:
        workshop: where the stages lie.
        task: the policy, whose description leaves the region open, and what it is learned from.
        config: settings of its learner.
        choice: what there is to choose from.
        world: fitted without the contacts left aside, for a policy trained in one.
    """
    free = learned_policy(workshop, first_training(task, world), config)
    chosen = chosen_region(workshop, task, free, choice)
    size = read_record(chosen / REGION, ChosenRegion).size
    tilt = size.temperature is not None
    policy = replace(task.policy, spec=closed(task.policy.spec, size.max_ratio, tilt))
    last = replace(task, policy=policy, region=chosen, temperature=size.temperature)
    return learned_policy(workshop, last, config)


def _for_estimand(config: Any, journey: Journey) -> Any:
    """Where every decision is its own episode, what comes after it does not count."""
    if hasattr(config, "discount") and journey.estimand == "per_decision":
        return replace(config, discount=0.0)
    return config
