"""A policy that is learned from the log, without any world."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from nurture_envs.actions import ActionCatalog
from nurture_envs.features import FeatureSpec
from nurture_rl.decisions import finished_episodes, load_decisions, training_rows
from nurture_rl.learned.priced_reward import price_weights
from nurture_rl.learned.returns import returns_to_go
from nurture_rl.learned.scored import CORE, ScoredPolicy
from nurture_rl.learned.scored_files import save_scored
from nurture_rl.learned.tempered import tempered
from nurture_rl.learned.training_log import TrainingLog
from nurture_rl.policies.held_columns import usual_values, with_held
from nurture_rl.workflow.release_region import region_of
from nurture_rl.workflow.training import HELD, Metrics, Training, write_policy
from nurture_rl.workflow.training_progress import telling

Verdict = Callable[[Mapping[str, float]], str]
Learn = Callable[..., ScoredPolicy]  # see `Learner`


def learned_from_log(
    task: Training, learn: Learn, held: bool, verdict: Verdict | None, config: Any, out: Path
) -> None:
    """Learn from the training contacts and keep the policy in `core/`.

    Args:
        task: the policy, and what it is learned from.
        learn: the learner's function.
        held: whether it is told the trust region that the policy will be released with.
        verdict: says what its fit tells of the log; None: nothing is said.
        config: the learner's settings.
        out: the policy's folder.
    """
    metrics: Metrics = []
    told = {"region": region_of(task.policy.spec, task.journey, task.stages)} if held else {}
    log = training_log(task)
    if task.held:
        usual = usual_values(log.features)
        fixed = {name: usual[log.columns.index(name)] for name in task.held}
        places = {log.columns.index(name): value for name, value in fixed.items()}
        log = replace(log, features=with_held(log.features, places))
        (out / HELD).write_text(json.dumps(fixed, indent=1) + "\n", "utf-8")
    policy = learn(log, config, task.seed, telling(task, metrics, out), **told)
    if verdict is not None:
        task.say(f"  {verdict(policy.fit)}")
    if task.temperature is not None:
        policy = tempered(policy, task.temperature)
    save_scored(policy, out / CORE)
    write_policy(task, task.policy, metrics, out)


def training_log(task: Training) -> TrainingLog:
    """The training contacts' decisions, with the policy's prices taken off the reward.

    Where every decision is its own episode, what comes after it does not count.

    Raises:
        FitError: there is nothing to learn from.
        ConfigError: a price of what the journey has no signal of.
    """
    journey = task.journey
    decisions = load_decisions(task.ingested, journey, task.held_out)
    alone = journey.estimand == "per_decision"
    rows = training_rows(decisions) if alone else finished_episodes(decisions)
    reward = rows.reward - rows.amounts @ price_weights(journey, task.policy.prices)
    if alone:
        discount, episode, returns = 0.0, np.arange(rows.action.size), reward
    else:
        discount, episode = journey.reward.discount, rows.episode
        returns = returns_to_go(reward, episode, rows.step, discount)
    return TrainingLog(
        catalog=ActionCatalog.of(journey),
        columns=FeatureSpec.of(journey).columns,
        features=rows.features,
        mask=rows.mask,
        action=rows.action,
        reward=reward,
        returns=returns,
        propensity=rows.propensity,
        episode=episode,
        step=rows.step,
        cluster=rows.cluster,
        discount=discount,
    )
