"""A policy's pessimism reaches the world it is trained in, and makes it another policy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nurture_rl.learned.choice_rules import Greedy
from nurture_rl.learned.scored import ScoredModule, ScoredPolicy
from nurture_rl.rl.ppo import PPOConfig
from nurture_rl.workflow import learned_in_world
from nurture_rl.workflow.learners import LEARNERS, Learner, Source
from nurture_rl.workflow.policy_stage import learned_policy
from nurture_rl.workflow.run_config import PolicyConfig
from nurture_rl.workflow.stages import Workshop
from nurture_rl.workflow.training import Training
from tests.unit.workflow.eight_decisions import shop


def test_ppo_is_trained_with_its_pessimism_and_not_resumed_from_another(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    worlds: list[tuple[Any, ...]] = []
    monkeypatch.setattr(learned_in_world, "learned_simulation", lambda *given: worlds.append(given))
    monkeypatch.setattr(learned_in_world, "save_scored", lambda *given: None)
    module = ScoredModule((np.zeros(1), np.ones(1)), [], np.zeros((1, 2, 2)), Greedy())
    trained = ScoredPolicy("hash", ("x",), module, {})
    ppo = Learner(PPOConfig, Source.WORLD, lambda *given: trained)
    monkeypatch.setitem(LEARNERS, "ppo", ppo)
    workshop = Workshop(tmp_path, lambda line: None)

    def made(pessimism: float) -> Path:
        policy = PolicyConfig(
            name="ppo", learner="ppo", spec={"kind": "model", "name": "core"}, pessimism=pessimism
        )
        task = Training(policy, shop(), Path("ingested"), Path("world"), 0.5, 0, workshop.say)
        return learned_policy(workshop, task, PPOConfig())

    folders = {made(pessimism) for pessimism in (0.0, 0.7)}
    assert [given[2] for given in worlds] == [0.0, 0.7]
    assert len(folders) == 2


@dataclass(frozen=True)
class Patient:
    """Settings of a learner that knows a discount."""

    discount: float | None = 0.9


def test_what_comes_later_counts_for_nothing_where_decisions_are_judged_one_by_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seen: list[float | None] = []
    monkeypatch.setattr(learned_in_world, "learned_simulation", lambda *given: None)
    monkeypatch.setattr(learned_in_world, "save_scored", lambda *given: None)
    module = ScoredModule((np.zeros(1), np.ones(1)), [], np.zeros((1, 2, 2)), Greedy())

    def learn(simulation: Any, config: Patient, *rest: Any) -> ScoredPolicy:
        seen.append(config.discount)
        return ScoredPolicy("hash", ("x",), module, {})

    monkeypatch.setitem(LEARNERS, "patient", Learner(Patient, Source.WORLD, learn))
    workshop = Workshop(tmp_path, lambda line: None)
    spec = {"kind": "model", "name": "core"}
    policy = PolicyConfig(name="patient", learner="patient", spec=spec)
    for estimand in ("per_episode", "per_decision"):
        given = (Path("ingested"), Path("world"), 0.5, 0, workshop.say)
        learned_policy(workshop, Training(policy, shop(estimand), *given), Patient())
    assert seen == [0.9, 0.0]
