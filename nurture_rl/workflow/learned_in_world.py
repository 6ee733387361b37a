"""A policy that is learned in the learned world."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Union

from nurture_envs.simulation import Simulation
from nurture_rl.learned.priced_reward import with_prices
from nurture_rl.learned.scored import CORE, ScoredPolicy
from nurture_rl.learned.scored_files import save_scored
from nurture_rl.learned.tempered import tempered
from nurture_rl.learned.training_log import Progress
from nurture_rl.policies.composition import Region
from nurture_rl.policies.policy import Spec
from nurture_rl.workflow.release_region import LEARNED_PART, region_of
from nurture_rl.workflow.training import Metrics, Training, write_policy
from nurture_rl.workflow.training_progress import telling
from nurture_rl.workflow.world_stage import learned_simulation

if TYPE_CHECKING:
    from nurture_rl.rl.rule_search import TunedRules

Learn = Callable[[Simulation, Any, int, Progress, Region | None], Union[ScoredPolicy, "TunedRules"]]


def learned_in_world(task: Training, learn: Learn, config: Any, out: Path) -> None:
    """Learn by playing, held near the log as the policy will be, and keep it in `core/`.

    Rules that were searched are no model: they stand in `policy.json` in the place of the learned
    part, and `search.json` tells how they were found.
    """
    assert task.world is not None, f"policy {task.policy.name} is trained in a world, none given"
    metrics: Metrics = []
    journey = with_prices(task.journey, task.policy.prices)
    simulation = learned_simulation(task.world, journey, task.policy.pessimism)
    region = region_of(task.policy.spec, task.journey, task.stages)
    made = learn(simulation, config, task.seed, telling(task, metrics, out), region)
    policy = task.policy
    if isinstance(made, ScoredPolicy):
        if task.temperature is not None:
            made = tempered(made, task.temperature)
        save_scored(made, out / CORE)
    else:
        (out / "search.json").write_text(json.dumps(asdict(made), indent=1) + "\n", "utf-8")
        policy = replace(policy, spec=_with_core(policy.spec, made.program))
    write_policy(task, policy, metrics, out)


def _with_core(spec: Any, program: Spec) -> Any:
    """A description with what was found in the place of the learned part."""
    if spec == LEARNED_PART:
        return dict(program)
    if isinstance(spec, Mapping):
        return {key: _with_core(part, program) for key, part in spec.items()}
    return spec
