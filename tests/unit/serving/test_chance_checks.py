"""Sound luck passes, also when it is looked at often; luck that is another is found."""

from __future__ import annotations

from typing import Any

import numpy as np

from nurture_rl.serving.records import ArmCounts
from nurture_rl.serving.roles import PolicyChange, Roles
from nurture_rl.serving.watching.chance_checks import (
    beyond_chance,
    canary_share,
    canary_since,
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
    found = canary_share("canary:new", 0.25, counts)
    assert found is not None
    assert (found.found, found.contacts) == (0.3, 100)
    assert abs(found.found - found.asked) < found.most < 0.4
    assert canary_share("canary:new", 0.25, {}) is None
    nobody = canary_share("canary:new", 0.25, {"policy": ArmCounts(1_000, 1, 1, 0)})
    assert nobody is not None
    assert nobody.found == 0.0
    assert nobody.most < 0.25
