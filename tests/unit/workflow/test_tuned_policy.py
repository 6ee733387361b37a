"""Tuned rules in a folder: plain rules in the place of a model, and how they were found."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nurture_envs.simulation import Simulation
from nurture_rl.bandits.linear_thompson import LinearThompsonConfig
from nurture_rl.learned.choice_rules import Vote
from nurture_rl.learned.scored import ScoredModule, ScoredPolicy
from nurture_rl.policies.policy import PolicyError
from nurture_rl.rl.ppo import PPOConfig
from nurture_rl.rl.rule_search import TunedRulesConfig
from nurture_rl.workflow import learn, learned_from_log, learned_in_world, release_region
from nurture_rl.workflow.learners import LEARNERS, Learner, Source
from nurture_rl.workflow.policy_stage import learned_policy
from nurture_rl.workflow.run_config import PolicyConfig
from nurture_rl.workflow.stages import Workshop
from nurture_rl.workflow.training import Training
from tests.unit.rl.wishing_shop import WishingWorld, wishing_shop

CORE = {"kind": "model", "name": "core"}
LOGGING = {"kind": "explore", "base": {"kind": "drip"}, "share": 0.35}
COMPOSED = {
    "kind": "trust_region",
    "max_ratio": 4.0,
    "explore": 0.05,
    "policy": CORE,
    "anchor": LOGGING,
}


@pytest.fixture
def worlds(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """Every world that was asked for; each is the planted one."""
    asked: list[tuple[Any, ...]] = []

    def planted(*given: Any) -> Simulation:
        asked.append(given)
        return Simulation(WishingWorld(wishing_shop()))

    monkeypatch.setattr(learned_in_world, "learned_simulation", planted)
    return asked


def folder(root: Path, spec: Any, seed: int = 0, pessimism: float = 0.0) -> Path:
    policy = PolicyConfig(name="tuned_rules", learner="tuned_rules", spec=spec, pessimism=pessimism)
    workshop = Workshop(root, lambda line: None)
    task = Training(
        policy, wishing_shop(), Path("ingested"), Path("world"), 0.5, seed, workshop.say
    )
    return learned_policy(workshop, task, TunedRulesConfig(plays=8, contacts=64))


def read(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))


def test_the_folder_holds_the_rules_themselves_and_no_model(
    worlds: list[tuple[Any, ...]], tmp_path: Path
) -> None:
    made = folder(tmp_path, COMPOSED)
    saved, search = read(made / "policy.json")["spec"], read(made / "search.json")
    assert saved == {**COMPOSED, "policy": search["program"]}
    assert search["program"]["kind"] == "rules"
    assert learn.load_core(made, wishing_shop()) is None
    assert [given[0] for given in worlds] == [Path("world")]


def test_the_saved_policy_decides_by_the_rules_that_were_found(
    worlds: list[tuple[Any, ...]], tmp_path: Path
) -> None:
    policy = learn.load_policy(folder(tmp_path, CORE), wishing_shop())
    assert policy.spec() == read(folder(tmp_path, CORE) / "search.json")["program"]


def test_the_search_is_told_dial_by_dial_and_play_by_play(
    worlds: list[tuple[Any, ...]], tmp_path: Path
) -> None:
    made = folder(tmp_path, CORE)
    search, metrics = read(made / "search.json"), read(made / "metrics.json")
    assert {dial["name"] for dial in search["dials"]} == {"call", "rest"}
    assert {trial["dial"] for trial in search["trials"]} >= {None, "call"}
    assert [step for step, _ in metrics] == list(range(8))
    assert metrics[-1][1]["best"] == max(values["value"] for _, values in metrics)


@pytest.mark.slow
def test_another_seed_or_pessimism_is_another_search(
    worlds: list[tuple[Any, ...]], tmp_path: Path
) -> None:
    made = {folder(tmp_path, CORE), folder(tmp_path, CORE, seed=1)}
    made.add(folder(tmp_path, CORE, pessimism=0.7))
    assert len(made) == 3
    assert [given[2] for given in worlds] == [0.0, 0.0, 0.7]


def test_a_bandit_tells_of_its_fit_once_and_ppo_of_every_iteration(
    worlds: list[tuple[Any, ...]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    module = ScoredModule((np.zeros(1), np.ones(1)), [], np.zeros((1, 2, 2)), Vote())
    policy = ScoredPolicy("hash", ("x",), module, {"rows": 100.0})

    def fitted(log: None, config: Any, seed: int, progress: Any) -> ScoredPolicy:
        progress(0, {"rows": 100.0})
        return policy

    def trained(*given: Any) -> ScoredPolicy:
        for step in range(25):
            given[3](step, {"kl": step / 100})
        return policy

    monkeypatch.setattr(learned_from_log, "training_log", lambda *_: None)
    monkeypatch.setattr(learned_in_world, "save_scored", lambda *_: None)
    bandit = Learner(LinearThompsonConfig, Source.LOG, fitted)
    monkeypatch.setitem(LEARNERS, "linear_thompson", bandit)
    monkeypatch.setitem(LEARNERS, "ppo", Learner(PPOConfig, Source.WORLD, trained))
    said: list[str] = []
    found = []
    for learner, config in (("linear_thompson", LinearThompsonConfig()), ("ppo", PPOConfig())):
        asked = PolicyConfig(name=learner, learner=learner, spec=CORE)
        task = Training(asked, wishing_shop(), Path("ingested"), Path("world"), 0.5, 0, said.append)
        made = learned_policy(Workshop(tmp_path, said.append), task, config)
        found.append(read(made / "metrics.json"))
    assert found[0] == [[0, {"rows": 100.0}]]
    assert found[1] == [[step, {"kl": step / 100}] for step in range(25)]
    iterations = [line.strip() for line in said if "iteration" in line]
    assert iterations == ["iteration 10: kl 0.090", "iteration 20: kl 0.190"]


def test_programs_are_searched_as_they_will_be_released(
    worlds: list[tuple[Any, ...]], tmp_path: Path
) -> None:
    free, held = folder(tmp_path / "free", CORE), folder(tmp_path / "held", COMPOSED)
    values = [
        [trial["value"] for trial in read(one / "search.json")["trials"]] for one in (free, held)
    ]
    assert values[0][0] != values[1][0]  # the first program, as it is and near the log


def test_a_description_without_a_trust_region_around_its_learned_part_has_none() -> None:
    journey = wishing_shop()
    assert release_region.region_of(CORE, journey, Path()) is None
    assert release_region.region_of({**COMPOSED, "policy": "drip"}, journey, Path()) is None
    region = release_region.region_of(COMPOSED, journey, Path())
    assert region is not None
    assert (region.max_ratio, region.explore) == (4.0, 0.05)
    assert dict(region.anchor.spec())["kind"] == "mixture"


@pytest.mark.parametrize(
    "spec",
    [
        {"kind": "floor", "epsilon": 0.01, "policy": COMPOSED},
        {"kind": "explore", "base": COMPOSED, "share": 0.1},
        {**COMPOSED, "policy": {"kind": "floor", "epsilon": 0.01, "policy": CORE}},
        {**COMPOSED, "max_ratio": 9.0, "policy": COMPOSED},
    ],
)
def test_a_region_is_seen_through_what_goes_around_it_and_into_it(spec: Any) -> None:
    region = release_region.region_of(spec, wishing_shop(), Path())
    assert region is not None
    assert (region.max_ratio, region.explore) == (4.0, 0.05)


def test_a_region_that_cannot_be_is_refused_before_anything_is_learned() -> None:
    for spec in ({**COMPOSED, "max_ratio": 0.5}, {"kind": "trust_region", "policy": CORE}):
        with pytest.raises(PolicyError, match=r"max_ratio|anchor"):
            release_region.region_of(spec, wishing_shop(), Path())


def test_learners_of_values_are_told_their_region_and_others_are_not(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    module = ScoredModule((np.zeros(1), np.ones(1)), [], np.zeros((1, 2, 2)), Vote())
    told: dict[str, Any] = {}

    def fitted(name: str) -> Any:
        def learn(*given: Any, **more: Any) -> ScoredPolicy:
            told[name] = more
            return ScoredPolicy("hash", ("x",), module, {})

        return learn

    monkeypatch.setattr(learned_from_log, "training_log", lambda *_: None)
    folders = []
    dqn, iql = LEARNERS["dqn"], LEARNERS["iql"]
    for name, learner in (("dqn", dqn), ("iql", iql), ("dqn", replace(dqn, held=False))):
        told_to = Learner(learner.settings, Source.LOG, fitted(name), learner.held)
        monkeypatch.setitem(LEARNERS, name, told_to)
        asked = PolicyConfig(name=name, learner=name, spec=COMPOSED)
        task = Training(asked, wishing_shop(), Path("ingested"), None, 0.5, 0, lambda line: None)
        folders.append(
            learned_policy(Workshop(tmp_path, lambda line: None), task, learner.settings())
        )
        if len(folders) == 1:
            region = told["dqn"]["region"]
            assert (region.max_ratio, region.explore) == (4.0, 0.05)
    assert told["iql"] == told["dqn"] == {}  # it learned anew
    assert folders[0] != folders[2]
