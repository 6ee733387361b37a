"""A policy's pessimism reaches the world it is trained in, and makes it another policy."""

from __future__ import annotations

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
