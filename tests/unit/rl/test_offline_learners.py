"""Every learner from logs solves what can be solved by hand, and nothing where there is nothing."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch

from nurture_envs.rollout import returns
from nurture_rl.errors import FitError
from nurture_rl.learned.scored import ScoredPolicy
from nurture_rl.learned.training_log import TrainingLog
from nurture_rl.policies.policy import check_probabilities
from nurture_rl.workflow.learners import LEARNERS
from tests.unit.rl.two_step_shop import BEST, EXIT, SEND, WAIT, shop_simulation, silent
from tests.unit.rl.world_logs import (
    LEGAL,
    process_log,
    process_values,
    shop_log,
    shuffled,
    training_log,
)

pytestmark = pytest.mark.slow

VALUES = ("fqi", "dqn", "cql", "bcq", "qr_dqn")  # act by values, in the journey's unit
ASKING = ("return_conditioned", "decision_transformer")  # for a high return
IMITATORS = ("iql", "crr", *ASKING)  # draw from what they imitate
SMALL: dict[str, Any] = {"hidden": (16,), "steps": 1500}
SETTINGS: dict[str, dict[str, Any]] = {
    "fqi": {},
    "qr_dqn": {**SMALL, "quantiles": 8},
    **{name: {**SMALL, "quantile": 0.97} for name in ASKING},
}
STATES = np.array([[0, 0], [1, 1], [1, 0]], np.float32)  # bin and click
FREE = np.ones((3, 3), np.bool_)


@cache
def learned(name: str, log: str, seed: int = 0) -> ScoredPolicy:
    """What a learner makes of one of the logs; each is learned once for all tests."""
    logs = {"shop": shop_log, "shuffled": lambda: shuffled(shop_log()), "process": process_log}
    learner = LEARNERS[name]
    config = learner.settings(**SETTINGS.get(name, SMALL))
    policy: ScoredPolicy = learner.learn(logs[log](), config, seed, silent)
    return policy


def chances(name: str, log: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    return learned(name, log).action_probabilities(STATES, FREE)


def send_gap(name: str, log: str) -> float:
    """By how much sending after a click is valued above waiting, EUR; 4.3 in truth."""
    features = torch.from_numpy(STATES[1:2])
    scores = learned(name, log).module.scores(features)[0, :, 0]
    return float(scores[SEND] - scores[WAIT])


@pytest.mark.parametrize("name", VALUES)
def test_learners_of_values_find_the_best_policy_of_the_shop(name: str) -> None:
    table = chances(name, "shop")
    assert table[0, SEND] == 1.0  # although sending earns nothing by itself
    assert table[1, SEND] == 1.0
    assert table[2, SEND] < 1e-15
    assert send_gap(name, "shop") == pytest.approx(4.3, abs=0.7)


@pytest.mark.parametrize("name", ["iql", "crr"])
def test_imitators_of_the_better_actions_send_where_it_pays(name: str) -> None:
    table = chances(name, "shop")
    assert table[0, SEND] > 0.5
    assert table[1, SEND] > 0.9
    assert table[2, SEND] < 0.5


@pytest.mark.parametrize("name", ASKING)
def test_asking_for_a_high_return_sends(name: str) -> None:
    table = chances(name, "shop")
    assert table[0, SEND] > 0.5
    assert table[1, SEND] > 0.8


@pytest.mark.parametrize("name", VALUES)
def test_rewards_that_tell_nothing_teach_nothing_about_values(name: str) -> None:
    # negative control: what was learned came from the rewards
    assert abs(send_gap(name, "shuffled")) < 1.0


@pytest.mark.parametrize("name", ["iql", *ASKING])
def test_rewards_that_tell_nothing_leave_imitators_near_the_log(name: str) -> None:
    assert chances(name, "shuffled")[1, SEND] < 0.7


def test_the_log_itself_is_cloned_whatever_it_earned() -> None:
    for log in ("shop", "shuffled"):
        assert chances("bc", log) == pytest.approx(np.full((3, 3), 1 / 3), abs=0.06)


@pytest.mark.parametrize("name", ["dqn", "bcq"])
def test_what_the_policy_earns_in_the_world_is_the_known_best(name: str) -> None:
    shop = shop_simulation()
    value = returns(shop, learned(name, "shop"), 20_000, seed=9).value
    assert value.mean() == pytest.approx(BEST, abs=0.1)  # one standard error is 0.03 EUR


@pytest.mark.parametrize("name", ["fqi", "dqn", "bcq", "qr_dqn"])
def test_values_of_a_certain_process_are_those_of_enumeration(name: str) -> None:
    found = learned(name, "process").module.scores(torch.eye(3))[:, :, 0].numpy()
    assert found[LEGAL] == pytest.approx(process_values()[LEGAL], abs=0.1)


def test_a_pause_is_discounted_over_all_its_bins() -> None:
    truth = process_values()[0]
    assert truth[2] > truth[1] > truth[0]  # counted as one bin the pause would be best
    assert truth[2] < 0.5 + 0.9 * 3.0
    for name in VALUES:
        table = learned(name, "process").action_probabilities(np.eye(3, dtype=np.float32), LEGAL)
        assert table.argmax(axis=1).tolist() == [2, 0, 1], name


@pytest.mark.parametrize("name", ["bc", *VALUES, *IMITATORS])
def test_no_learner_puts_anything_on_a_forbidden_action(name: str) -> None:
    features = np.random.default_rng(0).normal(size=(200, 2)).astype(np.float32)
    mask = np.random.default_rng(1).random((200, 3)) < 0.5
    mask[:, WAIT] = True
    check_probabilities(learned(name, "shop").action_probabilities(features, mask), mask)
    only = np.zeros((1, 3), np.bool_)
    only[0, EXIT] = True
    assert learned(name, "shop").action_probabilities(STATES[:1], only)[0, EXIT] == 1.0


@pytest.mark.parametrize("name", ["bc", *VALUES, *IMITATORS])
def test_equal_seeds_give_equal_policies(name: str) -> None:
    log, learner = process_log(60), LEARNERS[name]
    short = {"iterations": 2} if name == "fqi" else {"hidden": (4,), "steps": 60, "batch": 32}
    tables = []
    for seed in (3, 3, 4):
        policy = learner.learn(log, learner.settings(**short), seed, silent)
        tables.append(policy.module.scores(torch.eye(3)))
    assert torch.equal(tables[0], tables[1])
    assert torch.equal(tables[0], tables[2]) == (name == "fqi")  # which draws nothing


@pytest.mark.parametrize("name", ["bc", *VALUES, *IMITATORS])
def test_every_learner_tells_finite_numbers_at_looks_in_order(name: str) -> None:
    log, learner = process_log(60), LEARNERS[name]
    short = {"iterations": 3} if name == "fqi" else {"hidden": (4,), "steps": 120, "batch": 32}
    looks: list[int] = []
    numbers: list[float] = []

    def progress(look: int, told: dict[str, float]) -> None:
        looks.append(look)
        numbers.extend(told.values())

    policy = learner.learn(log, learner.settings(**short), 0, progress)
    assert len(looks) >= 3
    assert looks == sorted(set(looks))
    assert np.isfinite([*numbers, *policy.fit.values()]).all()


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("cql", {"alpha": -1.0}),
        ("cql", {"batch": 0}),
        ("iql", {"expectile": 1.0}),
        ("iql", {"expectile": np.nan}),
        ("iql", {"hidden": ()}),
        ("iql", {"temperature": 0.0}),
        ("crr", {"temperature": 0.0}),
        ("crr", {"temperature": np.inf}),
        ("bcq", {"threshold": 1.5}),
        ("qr_dqn", {"level": 0.0}),
        ("qr_dqn", {"quantiles": 0}),
        ("qr_dqn", {"kappa": 0.0}),
        ("return_conditioned", {"quantile": 2.0}),
        ("decision_transformer", {"quantile": -0.1}),
        ("decision_transformer", {"width": 0}),
        ("decision_transformer", {"heads": 0}),
        ("decision_transformer", {"hidden": ()}),
        ("fqi", {"iterations": 0}),
        ("fqi", {"ridge": 0.0}),
        ("fqi", {"hidden": (-1,)}),
        ("fqi", {"steps": 0}),
    ],
)
def test_a_setting_out_of_range_is_refused_by_name(name: str, wrong: dict[str, Any]) -> None:
    with pytest.raises(FitError, match=f"{next(iter(wrong))} of .* must be "):
        LEARNERS[name].settings(**wrong)


def rare(log: TrainingLog, choices: int) -> TrainingLog:
    """The same log where all but a few rows had only their logged action."""
    mask = log.mask.copy()
    mask[choices:] = np.arange(3) == log.action[choices:, None]
    return replace(log, mask=mask)


@pytest.mark.parametrize("choices", [1, 5])
@pytest.mark.parametrize("name", ["iql", "crr"])
def test_imitators_learn_where_choices_are_rare(name: str, choices: int) -> None:
    learner = LEARNERS[name]
    config = learner.settings(hidden=(4,), steps=200, batch=8)
    policy = learner.learn(rare(process_log(200), choices), config, 0, silent)
    assert np.isfinite(list(policy.fit.values())).all()


def enlarging_log(n: int = 400) -> TrainingLog:
    """A first context, then one 20 times as large, where a send is legal and never shown.

    What a line says of a send there is 20 times what it says of one in the first context, and
    goes into the goals of the first context.
    """
    rng = np.random.default_rng(0)
    first = rng.normal(size=n)
    x = np.stack([first, 20.0 * first], axis=1).ravel()
    step = np.tile([0, 1], n)
    action = np.where((step == 0) & (rng.random(2 * n) < 0.5), SEND, WAIT)
    mask = np.tile([True, True, False], (2 * n, 1))
    reward = rng.normal(size=2 * n)
    features = x[:, None].astype(np.float32)
    return training_log(features, mask, action, reward, np.repeat(np.arange(n), 2), step)


def test_linear_values_that_diverge_are_refused_with_the_round() -> None:
    learner = LEARNERS["fqi"]
    sound = learner.learn(enlarging_log(), learner.settings(), 0, silent)  # two rounds
    assert sound.fit["loss"] < 100.0
    with pytest.raises(FitError, match=r"goals of round \d+ of 100 .*: the values diverge"):
        learner.learn(enlarging_log(), learner.settings(iterations=100), 0, silent)


def test_a_dueling_network_acts_as_it_was_trained() -> None:
    learner = LEARNERS["dqn"]
    policy = learner.learn(process_log(), learner.settings(**SMALL, dueling=True), 0, silent)
    found = policy.module.scores(torch.eye(3))[:, :, 0].numpy()
    assert found[LEGAL] == pytest.approx(process_values()[LEGAL], abs=0.1)


def test_fitted_values_of_a_network_are_those_of_enumeration_too() -> None:
    learner = LEARNERS["fqi"]
    policy = learner.learn(process_log(), learner.settings(hidden=(16,), steps=400), 0, silent)
    found = policy.module.scores(torch.eye(3))[:, :, 0].numpy()
    assert found[LEGAL] == pytest.approx(process_values()[LEGAL], abs=0.1)
