"""The sums that an appraisal is made from: compiled, plain, in parts, and on disk."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from nurture_rl.ope.bounds.rare_outcomes import RareOutcomes, rare_outcomes
from nurture_rl.ope.contact_hash import bucket_of
from nurture_rl.ope.log import EvaluationLog, FloatArray
from nurture_rl.ope.streaming.batch_sums import Summing, contacts_counted, placed
from nurture_rl.ope.streaming.policy_sums import (
    ALONE,
    LOGGED,
    LogSums,
    added,
    arrays_of,
    from_arrays,
    no_sums,
)
from nurture_rl.ope.streaming.reward_model import reward_model
from nurture_rl.ope.streaming.streamed_outcomes import summed_outcomes
from nurture_rl.ope.targets import on_logged_rows
from nurture_rl.ope.value_model import ValueModelConfig, fit_value, value_design
from tests.unit.ope.log_makers import random_distribution
from tests.unit.ope.streaming.makers import (
    BOTH,
    NEEDS_NUMBA,
    SMALL,
    by_bucket,
    decided,
    sums_of,
)

# Hashes wrap around; where loops run uncompiled, the interpreter warns of it.
pytestmark = pytest.mark.filterwarnings("ignore:(overflow|invalid value) encountered in scalar")

PAIRS: dict[str, tuple[str, ...]] = {"new": (LOGGED, "other"), "other": (LOGGED,)}


def case(
    seed: int = 0, n: int = 400, compiled: bool = False, whole: bool = True
) -> tuple[EvaluationLog, dict[str, FloatArray], Summing]:
    """A log grouped by bucket, two policies on it, and how they are summed."""
    log, target = decided(seed, n)
    rng = np.random.default_rng(seed + 1)
    reward = np.where(rng.random(n) < 0.05, rng.choice([20.0, -30.0], n), 0.1)
    log = replace(log, reward=reward)
    if not whole:
        log = replace(log, logged_probabilities=None)
    targets = {"new": target, "other": random_distribution(rng, log.mask)}
    targets["other"][: n // 2] = target[: n // 2]
    grouped = by_bucket(log, SMALL.n_buckets)
    design = value_design(grouped, np.random.default_rng(0), ValueModelConfig())
    model = reward_model(grouped, design, SMALL.n_buckets)
    rare = 5.0 * float(np.abs(reward).mean())
    return log, targets, Summing(SMALL, model, rare, PAIRS, compiled)


def require_alike(first: LogSums, second: LogSums) -> None:
    mine, theirs = arrays_of(first), arrays_of(second)
    assert list(mine) == list(theirs)
    for name, values in mine.items():
        np.testing.assert_allclose(values, theirs[name], rtol=1e-12, atol=1e-12, err_msg=name)


@NEEDS_NUMBA
@pytest.mark.parametrize("whole", [True, False])
def test_compiled_loops_sum_what_numpy_sums(whole: bool) -> None:
    log, targets, summing = case(whole=whole)
    require_alike(
        sums_of(log, targets, replace(summing, compiled=True)), sums_of(log, targets, summing)
    )


def part(log: EvaluationLog, targets: Any, rows: slice) -> tuple[EvaluationLog, Any]:
    taken = {
        name: getattr(log, name)[rows]
        for name in ("features", "mask", "action", "propensity", "reward", "step", "terminal")
    }
    logged = log.logged_probabilities
    n = taken["action"].size
    own = replace(
        log,
        **taken,
        logged_probabilities=None if logged is None else logged[rows],
        episode=np.arange(n),
        cluster=log.cluster[rows],
    )
    return own, {name: table[rows] for name, table in targets.items()}


@pytest.mark.parametrize("compiled", BOTH)
def test_sums_of_parts_add_up_to_those_of_the_whole(compiled: bool) -> None:
    log, targets, summing = case(compiled=compiled)
    pieces = [
        sums_of(*part(log, targets, rows), summing)
        for rows in (slice(0, 150), slice(150, 151), slice(151, None))
    ]
    require_alike(added(added(pieces[2], pieces[0]), pieces[1]), sums_of(log, targets, summing))


@pytest.mark.parametrize("compiled", BOTH)
def test_no_decision_adds_nothing(compiled: bool) -> None:
    log, targets, summing = case(compiled=compiled)
    found = sums_of(log, targets, summing)
    require_alike(added(no_sums(SMALL, log.n_actions, PAIRS), found), found)


@pytest.mark.parametrize("compiled", BOTH)
def test_the_largest_weight_is_kept(compiled: bool) -> None:
    log, targets, summing = case(compiled=compiled)
    weights = targets["new"][np.arange(log.n_rows), log.action] / log.propensity
    found = sums_of(log, targets, summing).policies["new"].moments
    assert float(found.largest) == weights.max()


def test_sums_come_back_from_their_arrays() -> None:
    log, targets, summing = case()
    found = sums_of(log, targets, summing)
    back = from_arrays(no_sums(SMALL, log.n_actions, PAIRS), arrays_of(found))
    require_alike(back, found)
    assert back.policies["new"].moments.largest == found.policies["new"].moments.largest > 0.0


@pytest.mark.parametrize("compiled", BOTH)
def test_the_model_answers_as_the_cross_fitted_one_in_memory(compiled: bool) -> None:
    log, targets, summing = case()
    grouped = by_bucket(log, SMALL.n_buckets)
    design = value_design(grouped, np.random.default_rng(0), ValueModelConfig())
    known = fit_value(design, targets["new"])
    q = summing.model.rewards(log.features, grouped.cluster, compiled)
    np.testing.assert_allclose(q[np.arange(log.n_rows), log.action], known.q_logged, rtol=1e-9)


@pytest.mark.parametrize(("name", "other"), [("new", ALONE), ("new", LOGGED), ("new", "other")])
def test_rare_outcomes_are_those_in_memory(name: str, other: str) -> None:
    log, targets, summing = case()
    sums = sums_of(log, targets, summing)
    grouped = by_bucket(log, SMALL.n_buckets)
    taken = {one: on_logged_rows(log, table).taken for one, table in targets.items()}
    against = {ALONE: None, LOGGED: log.propensity, **taken}[other]
    known = rare_outcomes(grouped, taken[name], against)
    found = summed_outcomes(sums, sums.policies[name].outcomes[other])
    assert isinstance(known, RareOutcomes)
    assert isinstance(found, RareOutcomes)
    for field in ("gained", "lost", "further_gain", "further_loss", "episodes", "matched"):
        np.testing.assert_allclose(getattr(found, field), getattr(known, field), rtol=1e-9)


def test_decisions_in_which_two_policies_differ_are_counted() -> None:
    log, targets, summing = case()
    outcomes = sums_of(log, targets, summing).policies["new"].outcomes
    away = np.abs(targets["new"] - targets["other"]).max(axis=1) > 1e-6
    assert float(outcomes["other"].apart) == away.sum()
    assert log.logged_probabilities is not None
    away = np.abs(targets["new"] - log.logged_probabilities).max(axis=1) > 1e-6
    assert 0 < away.sum() < log.n_rows
    assert float(outcomes[LOGGED].apart) == away.sum()


@pytest.mark.parametrize("contacts", [50, 3000, 200_000])
@pytest.mark.parametrize("compiled", BOTH)
def test_contacts_are_counted_within_a_few_percent(contacts: int, compiled: bool) -> None:
    names = np.random.default_rng(5).integers(0, 2**63, contacts).astype(np.uint64)
    bucket, registers = placed(np.repeat(names, 3), SMALL.n_buckets, compiled)
    assert contacts_counted(registers) == pytest.approx(contacts, rel=0.05)
    np.testing.assert_array_equal(bucket, bucket_of(np.repeat(names, 3), SMALL.n_buckets))
