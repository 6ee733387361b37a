"""What every learner of the table owes, whatever it does inside."""

from __future__ import annotations

from dataclasses import fields, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nurture_envs.actions import ActionCatalog
from nurture_rl.cli.configs import CONFIGS
from nurture_rl.errors import FitError
from nurture_rl.learned.choice_rules import merit
from nurture_rl.learned.scored import ScoredPolicy
from nurture_rl.learned.scored_files import load_scored, save_scored
from nurture_rl.policies.attribution import attributed
from nurture_rl.policies.policy import FeatureArray, FloatArray, check_probabilities
from nurture_rl.release.onnx_export import export_onnx
from nurture_rl.release.onnx_policy import OnnxPolicy
from nurture_rl.workflow.learners import LEARNERS, Source
from tests.unit.bandits.planted_log import FOUR, WAIT, contexts, planted, silent
from tests.unit.rl.two_step_shop import shop_simulation

# Enough to run, not to learn well: small layers, and goals that are worked out four times.
QUICK: dict[str, dict[str, Any]] = {
    name: {"steps": 40, "refresh": 10, "batch": 64, "hidden": (8,)}
    for name, one in LEARNERS.items()
    if {"steps", "refresh"} <= {field.name for field in fields(one.settings)}
} | {
    "logistic_thompson": {"threshold": 10.0},  # about half of the planted returns
    "neural_linear_thompson": {"hidden": (8, 4), "epochs": 3},
    "online_dqn": {"iterations": 1, "n_contacts": 64, "hidden": (8,)},
    "ppo": {"iterations": 1, "n_contacts": 64, "hidden": (8,)},
}
SCORED = [name for name in LEARNERS if name != "tuned_rules"]  # which leaves a description
SHOP = shop_simulation()
ANY_SIGN = {"threshold"}  # settings that may be any number
FROM_LOG = [name for name, one in LEARNERS.items() if one.source is Source.LOG]
BANDITS = [
    name for name in FROM_LOG if LEARNERS[name].learn.__module__.startswith("nurture_rl.bandits")
]


@cache
def learned(name: str, seed: int = 0, rows: int = 1500) -> Any:
    one = LEARNERS[name]
    settings = one.settings(**QUICK.get(name, {}))
    data = planted(rows, seed=1).log if one.source is Source.LOG else SHOP
    return one.learn(data, settings, seed, silent)


@pytest.mark.parametrize("name", LEARNERS)
def test_a_learner_has_its_configuration_file(name: str) -> None:
    assert (CONFIGS / "policy" / f"{name}.yaml").is_file()


@pytest.mark.parametrize("name", SCORED)
def test_what_was_learned_is_kept(name: str, tmp_path: Path) -> None:
    policy, catalog = learned(name), catalog_of(name)
    save_scored(policy, tmp_path)
    again = load_scored(tmp_path, catalog.hash)
    features = np.random.default_rng(3).normal(size=(50, len(policy.columns))).astype(np.float32)
    mask = np.ones((50, len(catalog)), np.bool_)
    assert np.array_equal(
        again.action_probabilities(features, mask), policy.action_probabilities(features, mask)
    )


def catalog_of(name: str) -> ActionCatalog:
    return FOUR if name in FROM_LOG else SHOP.catalog


def graph_of(policy: ScoredPolicy) -> tuple[object, ...]:
    """What a graph is written by: policies that share it differ in their numbers alone."""
    module = policy.module
    unit = module.unit if module.depth else ""
    kinds = type(module), type(module.rule), type(module.trunk)
    return *kinds, module.depth, unit, module.floor > 0.0


@pytest.mark.slow
def test_every_graph_that_a_learner_leaves_is_exported(tmp_path: Path) -> None:
    graphs = {graph_of(learned(name)): name for name in reversed(SCORED)}
    assert len(graphs) > len(SCORED) / 3
    for name in graphs.values():
        made = tmp_path / f"{name}.onnx"
        worst = export_onnx(learned(name), made, catalog_of(name), np.random.default_rng(3))
        assert worst < 1e-5, name
        require_scores_explained(learned(name), OnnxPolicy.load(made.read_bytes(), "core"), name)


def require_scores_explained(core: ScoredPolicy, exported: OnnxPolicy, name: str) -> None:
    """An exported graph tells what its learner goes by, which splits into parts that sum to it."""
    rng = np.random.default_rng(5)
    mean, scale = core.module.mean.numpy(), core.module.scale.numpy()
    own, reference = (mean + scale * rng.normal(size=(2, len(mean)))).astype(np.float32)
    with torch.no_grad():
        wanted = merit(core.module.rule, core.module.scores(torch.tensor(own[None]))).numpy()
    told = exported.scores(own[None])
    assert told is not None, name
    assert told == pytest.approx(wanted, rel=1e-4, abs=1e-4 * (1.0 + np.abs(wanted).max())), name

    def score(features: FeatureArray) -> FloatArray:
        scores = exported.scores(features)
        assert scores is not None
        return scores

    found = attributed(score, own, reference, [[at] for at in range(len(own))], exported.is_linear)
    assert found.is_linear is core.module.is_linear, name
    size = 1.0 + np.abs(found.value).max() + np.abs(found.base).max()
    assert np.abs(found.residual).max() <= 1e-12 * size, name
    assert np.abs(found.contributions).max() > 0.0, name


@pytest.mark.parametrize("name", FROM_LOG)
def test_probabilities_are_distributions_and_0_where_masked(name: str) -> None:
    features, mask = contexts(3000, seed=4)
    probabilities = learned(name).action_probabilities(features, mask)
    check_probabilities(probabilities, mask)
    assert (probabilities[~mask] == 0.0).all()
    forced = np.zeros((1, len(FOUR)), np.bool_)
    forced[0, WAIT] = True
    assert learned(name).action_probabilities(features[:1], forced)[0, WAIT] == pytest.approx(1.0)


@pytest.mark.parametrize("name", FROM_LOG)
def test_a_row_alone_gets_what_it_gets_in_a_batch(name: str) -> None:
    features, mask = contexts(700, seed=5)
    batch = learned(name).action_probabilities(features, mask)
    # Among rows of other contexts, in another place.
    other, legal = contexts(699, seed=6)
    for row in (0, 350, 699):
        alone = learned(name).action_probabilities(features[row : row + 1], mask[row : row + 1])
        assert alone[0] == pytest.approx(batch[row], abs=1e-6)
        among = learned(name).action_probabilities(
            np.concatenate([other, features[row : row + 1]]),
            np.concatenate([legal, mask[row : row + 1]]),
        )
        assert among[-1] == pytest.approx(batch[row], abs=1e-6)


@pytest.mark.parametrize("name", FROM_LOG)
def test_the_same_seed_gives_the_same_policy(name: str) -> None:
    one = LEARNERS[name]
    settings = one.settings(**QUICK.get(name, {}))
    again = one.learn(planted(1500, seed=1).log, settings, 0, silent)
    assert torch.equal(again.module.maps, learned(name).module.maps)


@pytest.mark.parametrize("name", BANDITS)
def test_forced_rows_teach_a_bandit_nothing(name: str) -> None:
    rows = planted(1500, seed=1).log
    keep = rows.choice
    one = LEARNERS[name]
    settings = one.settings(**QUICK.get(name, {}))
    without = one.learn(rows.take(keep), settings, 0, silent)
    assert not keep.all()
    assert torch.allclose(without.module.maps, learned(name).module.maps, atol=1e-9)


@pytest.mark.parametrize("name", BANDITS)
def test_a_log_of_one_contact_or_without_a_choice_is_refused(name: str) -> None:
    one = LEARNERS[name]
    settings = one.settings(**QUICK.get(name, {}))
    rows = planted(200, seed=2).log
    with pytest.raises(FitError, match="at least 2 contacts"):
        one.learn(replace(rows, cluster=np.zeros(200, np.int64)), settings, 0, silent)
    with pytest.raises(FitError, match=r"more than . rows for . features, got 3|got . successes"):
        one.learn(rows.take(np.flatnonzero(rows.choice)[:3]), settings, 0, silent)


@pytest.mark.parametrize("name", BANDITS)
def test_a_setting_out_of_range_is_refused_by_its_name(name: str) -> None:
    settings = LEARNERS[name].settings
    numbers = [one.name for one in fields(settings) if one.type in ("float", "int", "float | None")]
    assert numbers
    for number in numbers:
        if number not in ANY_SIGN:
            with pytest.raises(FitError, match=f"{number} of .* must be at least"):
                settings(**{number: -1})
        for value in (np.inf, np.nan):
            with pytest.raises(FitError, match=f"{number} of .* must be .*, got {value}"):
                settings(**{number: value})


def test_every_learned_policy_tells_what_its_fit_saw() -> None:
    for name in FROM_LOG:
        policy = learned(name)
        assert isinstance(policy, ScoredPolicy)
        assert policy.fit["rows"] > 0.0
