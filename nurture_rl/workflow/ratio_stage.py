"""The stage that chooses how long a policy's trust region is, by contacts kept aside."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nurture_envs.actions import ActionCatalog
from nurture_envs.errors import NurtureError
from nurture_envs.features import FeatureSpec
from nurture_rl.appraisal.estimation import EvaluationConfig
from nurture_rl.appraisal.evaluation import LOGGED
from nurture_rl.appraisal.region_ratios import ChosenRatio, choose_ratio
from nurture_rl.codec import write_record
from nurture_rl.decisions import load_decisions
from nurture_rl.errors import ConfigError
from nurture_rl.policies.build import PolicyContext, build_policy
from nurture_rl.workflow.held_out import held_out_log
from nurture_rl.workflow.learn import load_policy
from nurture_rl.workflow.release_region import LEARNED_PART, with_ratio
from nurture_rl.workflow.training import RATIO, Training

if TYPE_CHECKING:
    from nurture_rl.workflow.stages import Workshop

_ASIDE = 0.5  # share of the training contacts that choose, and from which the first policy is kept


@dataclass(frozen=True, slots=True)
class RatioChoice:
    """What a ratio is chosen from, and by whom."""

    ratios: tuple[float, ...]  # each >= 1
    reference: str  # whom the policy must beat, or "logged"
    described: Any  # description of the reference; None of what was logged
    evaluation: EvaluationConfig
    seed: int


def held_out_then(held_out: float) -> float:
    """Share of the contacts that the policy by which a ratio is chosen is not learned from."""
    return held_out + (1.0 - held_out) * _ASIDE


def first_training(task: Training, world: Path | None) -> Training:
    """The training of the policy by which the ratio is chosen: without a trust region.

    Args:
        task: the policy.
        world: fitted without the contacts that choose, where the policy is trained in one.
    """
    freely = replace(task.policy, name=f"{task.policy.name}_free", spec=LEARNED_PART)
    return replace(task, policy=freely, held_out=held_out_then(task.held_out), world=world)


def chosen_ratio(workshop: Workshop, task: Training, free: Path, choice: RatioChoice) -> Path:
    """The folder with `ratio.json`, the ratio of a policy's trust region and why.

    Args:
        workshop: where the stages lie.
        task: the policy whose description leaves the ratio open.
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
    return workshop.stage(f"ratio-{task.policy.name}", inputs, partial(_choose, task, free, choice))


def _choose(task: Training, free: Path, choice: RatioChoice, out: Path) -> None:
    try:
        found = _chosen(task, free, choice)
    except NurtureError as error:
        raise ConfigError(
            f"data.trust.max_ratio: expected a log by which the ratio of {task.policy.name!r} can "
            f"be chosen, got one that cannot judge it ({error}); give a number, such as 4"
        ) from error
    task.say(f"  trust region of {task.policy.name}: {found.reason}")
    write_record(found, out / RATIO)


def _chosen(task: Training, free: Path, choice: RatioChoice) -> ChosenRatio:
    journey, core = task.journey, load_policy(free, task.journey)
    context = PolicyContext(
        journey, ActionCatalog.of(journey), FeatureSpec.of(journey), lambda name: core
    )
    inside = {
        ratio: build_policy(with_ratio(task.policy.spec, ratio), context) for ratio in choice.ratios
    }
    logged = choice.reference == LOGGED
    held = load_decisions(task.ingested, journey, task.held_out).held_out
    then = load_decisions(task.ingested, journey, held_out_then(task.held_out))
    return choose_ratio(
        held_out_log(replace(then, held_out=then.held_out & ~held), journey),
        inside,
        None if logged else build_policy(choice.described, context),
        choice.reference,
        held_out_log(replace(then, held_out=held), journey).n_episodes,
        np.random.default_rng(choice.seed),
        choice.evaluation,
    )
