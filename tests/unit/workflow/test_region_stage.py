"""A trust region of `auto`: learned twice, chosen by contacts left aside, not by those held out."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nurture_rl.appraisal.estimation import EvaluationConfig
from nurture_rl.appraisal.region_choice import ChosenRegion
from nurture_rl.codec import read_record
from nurture_rl.decisions import Decisions
from nurture_rl.errors import ConfigError
from nurture_rl.learned.choice_rules import Boltzmann, Greedy, Rule, Vote
from nurture_rl.learned.scored import ScoredModule, ScoredPolicy
from nurture_rl.learned.training_log import TrainingLog
from nurture_rl.ope.diagnostics import OverlapThresholds
from nurture_rl.policies.build import build_policy
from nurture_rl.workflow import learned_from_log, region_stage
from nurture_rl.workflow.learn import load_core, load_policy
from nurture_rl.workflow.learners import LEARNERS
from nurture_rl.workflow.policy_stage import policy_by_evidence
from nurture_rl.workflow.region_stage import RegionChoice, first_training, held_out_then
from nurture_rl.workflow.release_region import LEARNED_PART, closed, is_open
from nurture_rl.workflow.run_config import PolicyConfig
from nurture_rl.workflow.stages import Workshop
from nurture_rl.workflow.training import REGION, Training
from tests.unit.workflow.small_log import CONTEXT, JOURNEY, logged_by

OPEN = {
    "kind": "trust_region",
    "max_ratio": "auto",
    "explore": 0.05,
    "policy": LEARNED_PART,
    "anchor": "random",
}
HELD_OUT = 0.5
# The log is small, so little is asked of it.
JUDGE = EvaluationConfig(thresholds=OverlapThresholds(min_ess=2.0, max_weight_share=0.9))
CHOICE = RegionChoice((1.0, 2.0), "logged", None, JUDGE, 0)


@dataclass
class Stand:
    """A log, the learner that stands in for one, and what it was asked to learn from."""

    root: Path
    log: Decisions
    rule: Rule
    learned_from: list[int]  # contacts by training

    def learn(self, log: TrainingLog, *given: Any, **more: Any) -> ScoredPolicy:
        """Values one action more than another, everywhere alike."""
        self.learned_from.append(len(np.unique(log.cluster)))
        d, a = log.features.shape[1], log.mask.shape[1]
        maps = np.zeros((1, a, d + 1))
        maps[0, :, 0] = np.arange(a)
        module = ScoredModule((np.zeros(d), np.ones(d)), [], maps, self.rule)
        return ScoredPolicy(log.catalog.hash, log.columns, module, {})

    def made(self, choice: RegionChoice = CHOICE, spec: Any = OPEN) -> Path:
        """The folder of the policy."""
        workshop = Workshop(self.root, lambda line: None)
        policy = PolicyConfig(name="fqi", learner="fqi", spec=spec)
        task = Training(policy, JOURNEY, Path("ingested"), None, HELD_OUT, 0, workshop.say)
        return policy_by_evidence(workshop, task, LEARNERS["fqi"].settings(), choice, None)


@pytest.fixture
def stand(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Stand:
    """Sixty contacts treated at random, a quarter of them left aside; every other is held out."""
    made = Stand(tmp_path, logged_by(build_policy("random", CONTEXT), bins=3), Greedy(), [])

    def loaded(ingested: Path, journey: Any, held_out: float) -> Decisions:
        return replace(made.log, held_out=made.log.cluster % 4 < 4 * held_out)

    for module in (region_stage, learned_from_log):
        monkeypatch.setattr(module, "load_decisions", loaded)
    monkeypatch.setattr(region_stage, "_SOFT", (1.0,))
    monkeypatch.setitem(LEARNERS, "fqi", replace(LEARNERS["fqi"], learn=made.learn))
    return made


def region(folder: Path) -> ChosenRegion:
    return read_record(folder / REGION, ChosenRegion)


def test_a_first_training_leaves_contacts_aside_and_the_last_has_all(stand: Stand) -> None:
    found = region(stand.made())
    assert stand.learned_from == [15, 30]
    assert (found.episodes, found.release_episodes) == (15, 30)
    assert held_out_then(HELD_OUT) == 0.75


def test_the_policy_is_released_in_the_region_that_was_chosen(stand: Stand) -> None:
    folder = stand.made()
    size, core = region(folder).size, load_core(folder, JOURNEY)
    spec = json.loads((folder / "policy.json").read_text("utf-8"))["spec"]
    assert core is not None
    assert spec == closed(OPEN, size.max_ratio, tilt=size.temperature is not None)
    soft = size.temperature
    assert core.module.rule == (Greedy() if soft is None else Boltzmann(soft))
    policy = load_policy(folder, JOURNEY)
    table = policy.action_probabilities(stand.log.features, stand.log.mask)
    assert (table <= size.max_ratio * stand.log.probabilities + 1e-9).all()


def test_a_region_that_pays_only_softly_keeps_its_temperature(stand: Stand) -> None:
    soft = replace(CHOICE, ratios=(16.0,), evaluation=replace(JUDGE, thresholds=OverlapThresholds(
        min_ess=8.0, max_weight_share=0.9)))  # fmt: skip
    folder = stand.made(soft)
    size, core = region(folder).size, load_core(folder, JOURNEY)
    assert size.temperature is not None
    assert core is not None
    assert core.module.rule == Boltzmann(size.temperature)
    assert load_policy(folder, JOURNEY).spec()["tilt"] is True


def test_what_becomes_of_held_out_contacts_changes_nothing(stand: Stand) -> None:
    before = (stand.made() / REGION).read_bytes()
    held = stand.log.cluster % 4 < 2
    luck = np.random.default_rng(1).normal(size=len(held)) * 1e3
    stand.log = replace(stand.log, reward=np.where(held, luck, stand.log.reward))
    stand.root = stand.root / "again"
    assert (stand.made() / REGION).read_bytes() == before
    aside = stand.log.cluster % 4 == 2
    stand.log = replace(stand.log, reward=np.where(aside, luck, stand.log.reward))
    stand.root = stand.root / "otherwise"
    assert (stand.made() / REGION).read_bytes() != before


def test_the_same_choice_is_not_made_twice(stand: Stand) -> None:
    assert stand.made() == stand.made()
    assert len(stand.learned_from) == 2
    assert stand.made(replace(CHOICE, ratios=(1.0, 1.5))) != stand.made()
    assert len(stand.learned_from) == 3  # the first training serves every choice


def test_who_has_no_values_is_not_tilted(stand: Stand) -> None:
    stand.rule = Vote()
    found = region(stand.made())
    assert [one.size.temperature for one in found.regions] == [None] * 2


def test_a_log_that_can_choose_nothing_is_told_with_what_to_do(stand: Stand) -> None:
    stand.log = replace(
        stand.log,
        propensity=np.ones(len(stand.log.action)),
        probabilities=np.zeros_like(stand.log.probabilities),
    )
    with pytest.raises(ConfigError, match=r"data.trust.max_ratio.*'fqi'.*give a number, such as 4"):
        stand.made()


def test_the_first_training_knows_no_region_and_other_world() -> None:
    policy = PolicyConfig(name="ppo", learner="ppo", spec=OPEN)
    task = Training(policy, JOURNEY, Path("ingested"), Path("world"), 0.2, 0, print)
    first = first_training(task, Path("other"))
    assert (first.policy.name, first.policy.spec) == ("ppo_free", LEARNED_PART)
    assert first.world == Path("other")
    assert first.held_out == pytest.approx(0.6)


@pytest.mark.parametrize(
    "wrap", [lambda spec: spec, lambda spec: {"kind": "floor", "policy": spec}]
)
def test_an_open_region_is_seen_and_closed_wherever_it_stands(wrap: Callable[[Any], Any]) -> None:
    assert is_open(wrap(OPEN))
    assert not is_open(wrap({**OPEN, "max_ratio": 4.0}))
    assert closed(wrap(OPEN), 8.0, tilt=False) == wrap({**OPEN, "max_ratio": 8.0})
    assert closed(wrap(OPEN), 8.0, tilt=True) == wrap({**OPEN, "max_ratio": 8.0, "tilt": True})
    assert not is_open("drip")
