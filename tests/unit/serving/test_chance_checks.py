"""Sound luck passes, also when it is looked at often; luck that is another is found."""

from __future__ import annotations

from math import log
from types import SimpleNamespace
from typing import Any

import numpy as np

from nurture_rl.serving.records import ArmCounts
from nurture_rl.serving.roles import PolicyChange, Roles
from nurture_rl.serving.watching.chance_checks import (
    LoggedChances,
    arm_share,
    beyond_chance,
    canary_since,
    policy_with_canaries,
)


def test_sums_stay_inside_the_bound_and_leave_it_where_the_chance_is_another() -> None:
    rng = np.random.default_rng(3)
    chances = np.array([0.001, 0.02, 0.2, 0.777])
    n, logs = 2_000, 5_000
    taken = rng.binomial(n, chances, (logs, 4))
    most = beyond_chance(n * chances * (1.0 - chances), 4)
    assert (np.abs(taken - n * chances) <= most).all()
    apart = np.array([0.02, 0.06, 0.1, -0.1])
    other = rng.binomial(n, chances + apart, (logs, 4))
    assert (np.abs(other - n * chances) > most).mean(0).min() > 0.95


def test_one_rare_action_taken_once_is_no_alarm() -> None:
    assert beyond_chance(np.array([0.0]), 14)[0] > 1.0
    assert beyond_chance(np.array([0.0]), 14)[0] < 20.0


def test_the_bound_is_bernsteins() -> None:
    # Without variance t/3 + t/3; with variance 9 and five sums t/3 + sqrt(t^2/9 + 18 t).
    t = log(2.0 * 5 / 1e-6)
    found = beyond_chance(np.array([0.0, 9.0]), 5)
    assert np.allclose(found, [2.0 * t / 3.0, t / 3.0 + (t * t / 9.0 + 18.0 * t) ** 0.5])


def test_small_and_wrong_propensities_are_counted() -> None:
    seen = LoggedChances(0.01, {"c": ["a", "b"]})
    for propensity, chances in ((0.005, (0.005, 0.995)), (0.01, (0.01, 0.99)), (0.2, (0.3, 0.7))):
        told = SimpleNamespace(
            propensity=propensity, probabilities=chances, catalog="c", action="a"
        )
        seen.add(told)  # type: ignore[arg-type]
    assert (seen.decisions, seen.below, seen.wrong, seen.smallest) == (3, 1, 1, 0.005)


def test_canaries_are_part_of_the_policys_arm() -> None:
    counts = {
        "canary:new": ArmCounts(30, 60, 9, 4),
        "policy": ArmCounts(70, 140, 20, 1),
        "holdout": ArmCounts(5, 6, 0, 7),
    }
    assert policy_with_canaries(counts) == {
        "policy": ArmCounts(100, 200, 29, 5),
        "holdout": ArmCounts(5, 6, 0, 7),
    }


def change(at_us: int, **roles: Any) -> PolicyChange:
    return PolicyChange(at_us, "key", "canary", None, None, Roles("old", **roles), "why")


def test_a_share_counts_since_it_was_given() -> None:
    start, first = change(1), change(2, canary="new", share=0.1)
    more = change(3, canary="new", share=0.5)
    assert canary_since([]) is None
    assert canary_since([start]) is None
    assert canary_since([start, first]) == 2
    assert canary_since([start, first, more]) == 3
    kept = change(4, canary="new", share=0.5, switch="rules")
    assert canary_since([start, first, more, kept]) == 3
    assert canary_since([start, first, more, kept, change(5)]) is None
    again = change(6, canary="new", share=0.5)
    assert canary_since([start, first, more, change(5), again]) == 6


def test_contacts_are_held_against_the_share() -> None:
    counts = {"canary:new": ArmCounts(30, 60, 9, 0), "policy": ArmCounts(70, 140, 20, 1)}
    found = arm_share("canary:new", 0.25, counts)
    assert found is not None
    assert (found.found, found.contacts) == (0.3, 100)
    assert abs(found.found - found.asked) < found.most < 0.4
    assert arm_share("canary:new", 0.25, {}) is None
    nobody = arm_share("canary:new", 0.25, {"policy": ArmCounts(1_000, 1, 1, 0)})
    assert nobody is not None
    assert nobody.found == 0.0
    assert nobody.most < 0.25
