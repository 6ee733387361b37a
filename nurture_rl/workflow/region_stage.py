"""The stage that chooses a policy's trust region, by training contacts that were left aside."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nurture_envs.errors import NurtureError
from nurture_rl.appraisal.estimation import EvaluationConfig
from nurture_rl.appraisal.evaluation import LOGGED
from nurture_rl.appraisal.region_choice import ChosenRegion, RegionSize, choose_region
from nurture_rl.codec import write_record
from nurture_rl.decisions import load_decisions
from nurture_rl.errors import ConfigError
from nurture_rl.learned.scored import ScoredPolicy
from nurture_rl.learned.tempered import has_values, spread_of_values, tempered
from nurture_rl.ope.log import EvaluationLog
from nurture_rl.policies.build import build_policy
from nurture_rl.policies.policy import Policy
from nurture_rl.workflow.held_out import held_out_log
from nurture_rl.workflow.learn import context_beside, load_policy
from nurture_rl.workflow.release_region import LEARNED_PART, closed, region_of
from nurture_rl.workflow.training import REGION, Training

if TYPE_CHECKING:
    from nurture_rl.workflow.stages import Workshop

_ASIDE = 0.5  # share of the training contacts that choose
_LOOKED_AT = 20_000  # decisions that the spread of values is worked out on
_LEAST_TILTED = 4.0  # a ratio below cuts off what a temperature would let a policy do
_SOFT = (4.0, 2.0, 1.0, 0.5)  # temperatures tried, in spreads of the values of what was logged


@dataclass(frozen=True, slots=True)
class RegionChoice:
    """What a trust region is chosen from, and by whom."""

    ratios: tuple[float, ...]  # each >= 1
    reference: str  # whom the policy must beat, or "logged"
    described: Any  # description of the reference; None of what was logged
    evaluation: EvaluationConfig
    seed: int


def held_out_then(held_out: float) -> float:
    """Share of the contacts that the policy by which a region is chosen is not learned from."""
    return held_out + (1.0 - held_out) * _ASIDE


def first_training(task: Training, world: Path | None) -> Training:
    """The training of the policy by which the region is chosen: without a trust region.

    Args:
        task: the policy.
        world: fitted without the contacts that choose, where the policy is trained in one.
    """
    freely = replace(task.policy, name=f"{task.policy.name}_free", spec=LEARNED_PART)
    return replace(task, policy=freely, held_out=held_out_then(task.held_out), world=world)


def chosen_region(workshop: Workshop, task: Training, free: Path, choice: RegionChoice) -> Path:
    """The folder with `region.json`, a policy's trust region and why it is this one.

    Args:
        workshop: where the stages lie.
        task: the policy whose description leaves the region open.
        free: of the policy that `first_training` made.
        choice: what there is to choose from.
    """
    inputs = {
        "policy": asdict(task.policy),
        "free": free.name,
        "ingest": task.ingested.name,
        "held_out": task.held_out,
        "choice": asdict(choice),
        "journey": task.journey.resolved,
    }
    name = f"region-{task.policy.name}"
    return workshop.stage(name, inputs, partial(_choose, task, free, choice))


def _choose(task: Training, free: Path, choice: RegionChoice, out: Path) -> None:
    try:
        found = _chosen(task, free, choice)
    except NurtureError as error:
        raise ConfigError(
            f"data.trust.max_ratio: expected a log by which the trust region of "
            f"{task.policy.name!r} can be chosen, got one that cannot judge it ({error}); give a "
            "number, such as 4"
        ) from error
    task.say(f"  trust region of {task.policy.name}: {found.reason}")
    write_record(found, out / REGION)


def _chosen(task: Training, free: Path, choice: RegionChoice) -> ChosenRegion:
    journey, core = task.journey, load_policy(free, task.journey)
    held = load_decisions(task.ingested, journey, task.held_out).held_out
    then = load_decisions(task.ingested, journey, held_out_then(task.held_out))
    aside = held_out_log(replace(then, held_out=then.held_out & ~held), journey)
    context = context_beside(task.stages, journey, core)
    sizes = [
        RegionSize(ratio, soft)
        for soft in _temperatures(task, core, aside)
        for ratio in choice.ratios
        if soft is None or ratio >= _LEAST_TILTED
    ]
    return choose_region(
        aside,
        {size: inside(task, core, size) for size in sizes},
        None if choice.reference == LOGGED else build_policy(choice.described, context),
        choice.reference,
        held_out_log(replace(then, held_out=held), journey).n_episodes,
        np.random.default_rng(choice.seed),
        choice.evaluation,
    )


def _temperatures(task: Training, core: Policy, aside: EvaluationLog) -> list[float | None]:
    """Those that are tried: none, and where the policy has values a few of their spread."""
    region = region_of(closed(task.policy.spec, 1.0, tilt=False), task.journey, task.stages)
    assert region is not None, f"policy {task.policy.name} has no trust region"
    if not isinstance(core, ScoredPolicy) or not has_values(core):
        return [None]
    rows = slice(_LOOKED_AT)
    features, mask = aside.features[rows], aside.mask[rows]
    logging = region.anchor.action_probabilities(features, mask)
    spread = spread_of_values(core, features, mask, logging)
    return [None, *(share * spread for share in _SOFT if spread > 0.0)]


def inside(task: Training, core: Policy, size: RegionSize) -> Policy:
    """A policy as it would be released with a trust region of some size.

    Args:
        task: the policy whose description leaves the region open.
        core: its learned part.
        size: of the region; one with a temperature is for a policy of values.
    """
    if size.temperature is not None:
        assert isinstance(core, ScoredPolicy)
        core = tempered(core, size.temperature)
    spec = closed(task.policy.spec, size.max_ratio, size.temperature is not None)
    return build_policy(spec, context_beside(task.stages, task.journey, core))
