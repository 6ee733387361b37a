"""Learning a policy, and composing it with the parts that keep it safe."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from nurture_envs.actions import ActionCatalog
from nurture_envs.features import FeatureSpec
from nurture_envs.journey import Journey
from nurture_rl.bandits.linear_thompson import (
    LinearThompsonConfig,
    LinearThompsonPolicy,
    fit_linear_thompson,
)
from nurture_rl.bandits.linear_thompson_files import load_linear_thompson, save_linear_thompson
from nurture_rl.bandits.returns import returns_to_go
from nurture_rl.policies.build import PolicyContext, build_policy
from nurture_rl.policies.policy import Policy, Spec
from nurture_rl.rl.actor import ActorPolicy
from nurture_rl.rl.actor_files import load_actor, save_actor
from nurture_rl.rl.ppo import PPOConfig, train_ppo
from nurture_rl.rl.rule_search import TunedRules, TunedRulesConfig, search_rules
from nurture_rl.workflow.config import IN_THE_WORLD, LearnerConfig, PolicyConfig
from nurture_rl.workflow.decisions import finished_episodes, load_decisions, training_rows
from nurture_rl.workflow.stages import Workshop
from nurture_rl.workflow.world import learned_simulation

Core = ActorPolicy | LinearThompsonPolicy


def learned_policy(
    workshop: Workshop,
    journey: Journey,
    policy: PolicyConfig,
    config: LearnerConfig,
    ingested: Path,
    world: Path | None,
    held_out: float,
    seed: int,
) -> Path:
    """The folder of a policy: `policy.json` and, where a model is learned, `core/`.

    Tuned rules are no model: they stand in `policy.json` in the place of the learned part, and
    `search.json` tells how they were found.
    `metrics.json` holds the training's numbers by step, for whoever tracks the run. `world` is
    None where nothing is trained in one.
    """
    source = {"linear_thompson": ingested, **dict.fromkeys(IN_THE_WORLD, world)}
    learns_from = source.get(policy.learner)
    inputs: dict[str, Any] = {
        "policy": asdict(policy),
        "from": None if learns_from is None else learns_from.name,
        "journey": journey.resolved,
    }
    config = _for_estimand(config, journey)
    if config is not None:
        inputs |= {"config": asdict(config), "seed": seed, "held_out": held_out}

    def build(out: Path) -> None:
        saved = policy
        metrics: list[tuple[int, dict[str, float]]] = []
        if isinstance(config, PPOConfig | TunedRulesConfig):
            assert world is not None, f"policy {policy.name} is trained in a world, none was given"
            simulation = learned_simulation(world, journey, policy.pessimism)
            tell = _telling(workshop, metrics)
            if isinstance(config, PPOConfig):
                save_actor(train_ppo(simulation, config, seed, tell), out / "core")
            else:
                found = search_rules(simulation, config, seed, tell)
                saved = replace(policy, spec=_with_core(policy.spec, found.program))
                (out / "search.json").write_text(_searched(found), "utf-8")
        elif isinstance(config, LinearThompsonConfig):
            fitted = _fit_bandit(journey, config, ingested, held_out, seed)
            save_linear_thompson(fitted, out / "core")
            metrics.append((0, _bandit_metrics(fitted)))
        (out / "policy.json").write_text(json.dumps(asdict(saved), indent=1) + "\n", "utf-8")
        (out / "metrics.json").write_text(json.dumps(metrics) + "\n", "utf-8")

    return workshop.stage(f"policy-{policy.name}", inputs, build)


def _with_core(spec: Any, program: Spec) -> Any:
    """A description with what was found in the place of the learned part."""
    if spec == {"kind": "model", "name": "core"}:
        return dict(program)
    if isinstance(spec, Mapping):
        return {key: _with_core(part, program) for key, part in spec.items()}
    return spec


def _searched(found: TunedRules) -> str:
    return json.dumps(asdict(found), indent=1) + "\n"


def _bandit_metrics(policy: LinearThompsonPolicy) -> dict[str, float]:
    return {name: float(value) for name, value in asdict(policy.fit).items()}


def _for_estimand(config: LearnerConfig, journey: Journey) -> LearnerConfig:
    """Where every decision is its own episode, what comes after it does not count."""
    if isinstance(config, PPOConfig) and journey.estimand == "per_decision":
        return replace(config, discount=0.0)
    return config


def _telling(
    workshop: Workshop, metrics: list[tuple[int, dict[str, float]]]
) -> Callable[[int, dict[str, float]], None]:
    def tell(step: int, values: dict[str, float]) -> None:
        metrics.append((step, values))
        if step % 10 == 9:
            shown = ", ".join(f"{name} {value:.3f}" for name, value in values.items())
            workshop.say(f"  iteration {step + 1}: {shown}")

    return tell


def _fit_bandit(
    journey: Journey, config: LinearThompsonConfig, ingested: Path, held_out: float, seed: int
) -> LinearThompsonPolicy:
    decisions = load_decisions(ingested, journey, held_out)
    if journey.estimand == "per_decision":
        rows = training_rows(decisions)
        earned = rows.reward
    else:
        rows = finished_episodes(decisions)
        earned = returns_to_go(rows.reward, rows.episode, rows.step, journey.reward.discount)
    return fit_linear_thompson(
        rows.features,
        rows.mask,
        rows.action,
        earned,
        rows.cluster,
        ActionCatalog.of(journey),
        np.random.default_rng(seed),
        config,
    )


def load_core(folder: Path, journey: Journey) -> Core | None:
    """The learned part of a policy folder, or None."""
    catalog = ActionCatalog.of(journey)
    learner = json.loads((folder / "policy.json").read_text("utf-8"))["learner"]
    if learner == "ppo":
        return load_actor(folder / "core", catalog.hash)
    if learner == "linear_thompson":
        return load_linear_thompson(folder / "core", catalog.hash)
    return None


def load_policy(folder: Path, journey: Journey) -> Policy:
    """The composed policy of a policy folder, ready to act."""
    core = load_core(folder, journey)
    spec = json.loads((folder / "policy.json").read_text("utf-8"))["spec"]

    def load_model(name: str) -> Policy:
        assert core is not None, f"policy {folder.name} names a model {name!r} but learned none"
        return core

    context = PolicyContext(journey, ActionCatalog.of(journey), FeatureSpec.of(journey), load_model)
    return build_policy(spec, context)
