"""What the stage of a policy learned from the log says and leaves."""

from __future__ import annotations

from pathlib import Path

import pytest

from nurture_rl.bandits.engagement_window import EngagementWindowConfig
from nurture_rl.learned.scored_files import load_scored
from nurture_rl.workflow import learned_from_log
from nurture_rl.workflow.learners import LEARNERS
from nurture_rl.workflow.run_config import PolicyConfig
from nurture_rl.workflow.training import Training
from tests.unit.bandits.planted_hours import EIGHT, HourLog
from tests.unit.policies.planted_journeys import INBOUND


def made(
    monkeypatch: pytest.MonkeyPatch, learner: str, settings: object, folder: Path
) -> list[str]:
    """What is said while a policy is learned from a log without an effect of hours."""
    log, said = HourLog(200, 2, gain=0.0).log(), list[str]()
    monkeypatch.setattr(learned_from_log, "training_log", lambda task: log)
    task = Training(PolicyConfig(learner), INBOUND, Path(), None, 0.5, 0, said.append)
    one = LEARNERS[learner]
    learned_from_log.learned_from_log(task, one.learn, one.held, one.verdict, settings, folder)
    return said


def test_a_learner_with_a_verdict_says_it_in_a_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    said = made(monkeypatch, "send_time", LEARNERS["send_time"].settings(), tmp_path)
    assert len(said) == 1
    assert "no detectable benefit on this list" in said[0]
    policy = load_scored(tmp_path / "core", EIGHT.hash)
    assert policy.fit["applies"] == 0.0
    assert (tmp_path / "metrics.json").is_file()


def test_a_learner_without_one_says_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings = EngagementWindowConfig(draws=4, multipliers=4)
    assert made(monkeypatch, "engagement_window", settings, tmp_path) == []
