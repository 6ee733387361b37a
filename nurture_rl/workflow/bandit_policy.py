"""A linear Thompson sampler, fitted to the log."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np

from nurture_envs.actions import ActionCatalog
from nurture_rl.bandits.linear_thompson import (
    LinearThompsonConfig,
    LinearThompsonPolicy,
    fit_linear_thompson,
)
from nurture_rl.bandits.linear_thompson_files import save_linear_thompson
from nurture_rl.bandits.returns import returns_to_go
from nurture_rl.decisions import finished_episodes, load_decisions, training_rows
from nurture_rl.workflow.training import Training, write_policy


def bandit_policy(task: Training, config: LinearThompsonConfig, out: Path) -> None:
    """Fit the bandit to the training contacts and keep it in `core/`."""
    fitted = _fit(task, config)
    save_linear_thompson(fitted, out / "core")
    numbers = {name: float(value) for name, value in asdict(fitted.fit).items()}
    write_policy(task.policy, [(0, numbers)], out)


def _fit(task: Training, config: LinearThompsonConfig) -> LinearThompsonPolicy:
    journey = task.journey
    decisions = load_decisions(task.ingested, journey, task.held_out)
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
        np.random.default_rng(task.seed),
        config,
    )
