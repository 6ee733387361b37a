"""A hidden state that only a memory tells: the best is enumerated, and every learner finds it."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import product
from typing import Any

import numpy as np
import pytest

from nurture_envs.journey_memory import with_memory
from nurture_envs.rollout import returns
from nurture_envs.simulation import Simulation
from nurture_rl.learned.scored import ScoredPolicy
from nurture_rl.learned.training_log import TrainingLog
from nurture_rl.workflow.learners import LEARNERS, plays_in_world
from tests.unit.rl.remembered_cue import BEST, BLIND, PRICE, SEND, WAIT, CueWorld, cue_journey
from tests.unit.rl.two_step_shop import silent
from tests.unit.rl.world_logs import Even, logged

BINS = 2  # the cue of the first bin is the last but one before the third
SMALL: dict[str, Any] = {"hidden": (16,), "steps": 800}
PLAYED: dict[str, Any] = {"iterations": 30, "n_contacts": 512, "hidden": (16,)}
SETTINGS: dict[str, dict[str, Any]] = {
    **dict.fromkeys(("dqn", "qr_dqn", "cql", "bcq"), SMALL),
    "fqi": {},
    "iql": {**SMALL, "temperature": 0.1},
    "crr": {**SMALL, "temperature": 0.1},
    "return_conditioned": {**SMALL, "quantile": 0.9},
    "decision_transformer": {**SMALL, "width": 8, "quantile": 0.9},
    "ppo": {**PLAYED, "learning_rate": 1e-2},
    "online_dqn": {**PLAYED, "iterations": 10},
}


def simulation(bins: int) -> Simulation:
    """The journey of the cue; contexts tell the day, the last click and what is remembered."""
    return Simulation(CueWorld(with_memory(cue_journey(False), bins)))


@cache
def log(bins: int) -> TrainingLog:
    """What contacts show who are sent to by the toss of a coin."""
    played = simulation(bins)
    return replace(logged(played, Even(), 2000, 1), columns=played.spec.columns)


@cache
def learned(name: str, bins: int) -> ScoredPolicy:
    learner = LEARNERS[name]
    taught = simulation(bins) if plays_in_world(name) else log(bins)
    policy: ScoredPolicy = learner.learn(taught, learner.settings(**SETTINGS[name]), 0, silent)
    return policy


def best_of_all_policies(bins: int) -> float:
    """The value of the best of all deterministic policies, EUR a contact, by enumeration."""

    def seen(kind: int, done: tuple[int, ...]) -> tuple[int, ...]:
        now, clicks = len(done), (kind, 0, 0)
        ago = range(1, bins + 1)
        past = [clicks[now - 1] if now else 0]
        past += [int(done[now - back] == SEND) if back <= now else 0 for back in ago]
        past += [clicks[now - back] if back <= now else 0 for back in ago]
        return (now, *past)

    def value(policy: dict[tuple[int, ...], int]) -> float:
        earned = 0.0
        for kind in (0, 1):
            done: tuple[int, ...] = ()
            for _ in range(3):
                done = (*done, policy[seen(kind, done)])
            earned += PRICE / 2 * ((done[-1] == SEND) == bool(kind))
        return earned

    pasts = [done for now in range(3) for done in product((SEND, WAIT), repeat=now)]
    contexts = sorted({seen(kind, done) for kind in (0, 1) for done in pasts})
    choices = product((SEND, WAIT), repeat=len(contexts))
    return max(value(dict(zip(contexts, one, strict=True))) for one in choices)


def test_the_best_with_and_without_memory_are_those_of_enumeration() -> None:
    assert best_of_all_policies(0) == BLIND
    assert best_of_all_policies(BINS) == BEST


def test_what_was_done_can_stand_for_what_was_seen() -> None:
    # With one bin the second decision can be written so that the third reads the cue off it.
    assert best_of_all_policies(1) == BEST


@pytest.mark.slow
@pytest.mark.parametrize("name", SETTINGS)
def test_with_memory_a_learner_reaches_the_best_and_without_it_cannot(name: str) -> None:
    for bins, value in ((BINS, BEST), (0, BLIND)):
        earned = returns(simulation(bins), learned(name, bins), 4000, seed=9).value
        assert earned.mean() == pytest.approx(value, abs=0.4), bins  # an error is 0.08 EUR


@pytest.mark.slow
def test_imitation_tells_the_log_and_no_more_whatever_is_remembered() -> None:
    learner = LEARNERS["bc"]
    policy = learner.learn(log(BINS), learner.settings(**SMALL), 0, silent)
    earned = returns(simulation(BINS), policy, 4000, seed=9).value
    assert earned.mean() == pytest.approx(BLIND, abs=0.4)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["dqn", "ppo"])
def test_no_memory_learns_bit_for_bit_what_was_learned_before(name: str) -> None:
    plain = Simulation(CueWorld(cue_journey(False)))
    learner, shown = LEARNERS[name], logged(plain, Even(), 2000, 1)
    taught = plain if plays_in_world(name) else replace(shown, columns=plain.spec.columns)
    before = learner.learn(taught, learner.settings(**SETTINGS[name]), 0, silent)
    rows, mask = log(0).features[:300], log(0).mask[:300]
    one, other = (policy.action_probabilities(rows, mask) for policy in (before, learned(name, 0)))
    assert np.array_equal(one, other)
