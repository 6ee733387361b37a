"""Plain rules, found by playing many of them in the learned world."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from nurture_rl.policies.policy import Spec
from nurture_rl.rl.rule_search import TunedRulesConfig, search_rules
from nurture_rl.workflow.training import Metrics, Training, telling, write_policy
from nurture_rl.workflow.world_stage import learned_simulation


def tuned_policy(task: Training, config: TunedRulesConfig, out: Path) -> None:
    """Search the rules: no model, they stand in `policy.json` in the place of the learned part.

    `search.json` tells how they were found.
    """
    assert task.world is not None, f"policy {task.policy.name} is searched in a world, none given"
    metrics: Metrics = []
    simulation = learned_simulation(task.world, task.journey, task.policy.pessimism)
    search = search_rules(simulation, config, task.seed, telling(task.say, metrics))
    (out / "search.json").write_text(json.dumps(asdict(search), indent=1) + "\n", "utf-8")
    saved = replace(task.policy, spec=_with_core(task.policy.spec, search.program))
    write_policy(saved, metrics, out)


def _with_core(spec: Any, program: Spec) -> Any:
    """A description with what was found in the place of the learned part."""
    if spec == {"kind": "model", "name": "core"}:
        return dict(program)
    if isinstance(spec, Mapping):
        return {key: _with_core(part, program) for key, part in spec.items()}
    return spec
