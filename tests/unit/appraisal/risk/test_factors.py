"""Hybrids take each choice from one of two policies and end at both of them."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from nurture_rl.appraisal.risk.factors import Factors, factors_of, hybrid
from nurture_rl.errors import ShapeError
from tests.unit.ope.log_makers import random_distribution

# send red now, send red later, send blue now, wait
FOUR = factors_of(
    {
        "routing": ["send", "send", "send", "wait"],
        "content": ["red", "red", "blue", ""],
        "timing": ["now", "later", "now", ""],
    }
)
TARGET = np.array([[0.2, 0.2, 0.4, 0.2]])
REFERENCE = np.array([[0.3, 0.0, 0.2, 0.5]])


def mixed(*follows: bool) -> np.ndarray:
    return hybrid(TARGET, REFERENCE, FOUR, follows)


def test_the_chain_groups_actions_by_their_first_factors() -> None:
    assert FOUR.names == ("routing", "content", "timing")
    assert FOUR.prefix.tolist() == [[0, 0, 0, 0], [0, 0, 0, 1], [0, 0, 1, 2], [0, 1, 2, 3]]


def test_a_factor_decides_where_it_tells_apart_what_those_before_it_do_not() -> None:
    levels = {"routing": list("aabb"), "offer": list("ccdd"), "slot": list("efef")}
    assert factors_of(levels).deciding == (True, False, True)
    assert FOUR.deciding == (True, True, True)


def test_following_in_all_factors_is_the_target_and_in_none_the_reference() -> None:
    assert mixed(True, True, True) == pytest.approx(TARGET)
    assert mixed(False, False, False) == pytest.approx(REFERENCE)


def test_one_factor_by_hand() -> None:
    # Routing by the target: send 0.8; content by the reference: red 0.6; timing: red now 1.
    assert mixed(True, False, False) == pytest.approx(np.array([[0.48, 0.0, 0.32, 0.2]]))
    # Send 0.5; red 0.5 of sends by the target; now 1.
    assert mixed(False, True, False) == pytest.approx(np.array([[0.25, 0.0, 0.25, 0.5]]))
    # Send 0.5; red 0.6; red now 0.5 by the target.
    assert mixed(False, False, True) == pytest.approx(np.array([[0.15, 0.15, 0.2, 0.5]]))


def test_a_policy_that_never_sends_leaves_the_content_to_the_other() -> None:
    never = np.array([[0.0, 0.0, 0.0, 1.0]])
    found = hybrid(TARGET, never, FOUR, (True, False, False))
    assert found == pytest.approx(TARGET)
    assert hybrid(never, TARGET, FOUR, (False, True, True)) == pytest.approx(TARGET)


def test_every_hybrid_is_a_distribution_over_legal_actions() -> None:
    rng = np.random.default_rng(0)
    levels = list(product("ab", "cde", "fg"))
    factors = factors_of({name: [row[j] for row in levels] for j, name in enumerate("xyz")})
    mask = rng.random((200, 12)) < 0.3
    mask[:, 0] = True
    target = random_distribution(rng, mask)
    thinned = mask & (rng.random(mask.shape) < 0.6)
    thinned[~thinned.any(axis=1), 0] = True
    reference = random_distribution(rng, thinned)
    for follows in product((False, True), repeat=3):
        found = hybrid(target, reference, factors, follows)
        assert found.sum(axis=1) == pytest.approx(1.0)
        assert (found >= 0.0).all()
        assert (found[~mask] == 0.0).all()
    assert hybrid(target, reference, factors, (True,) * 3) == pytest.approx(target)
    assert hybrid(target, reference, factors, (False,) * 3) == pytest.approx(reference)


def test_policies_alike_in_a_factor_do_not_care_whom_they_follow_there() -> None:
    # Both route send with 0.8.
    reference = np.array([[0.4, 0.1, 0.3, 0.2]])
    one = hybrid(TARGET, reference, FOUR, (True, False, False))
    assert one == pytest.approx(reference)


@pytest.mark.parametrize(
    ("levels", "message"),
    [
        ({}, "one level for each action"),
        ({"a": ["x", "y"], "b": ["x"]}, "one level for each action"),
        ({"a": ["x", "y", "x"]}, "two actions are alike"),
    ],
)
def test_a_chain_that_does_not_tell_actions_apart_is_refused(
    levels: dict[str, list[str]], message: str
) -> None:
    with pytest.raises(ShapeError, match=message):
        factors_of(levels)


@pytest.mark.parametrize(
    ("target", "reference", "follows"),
    [
        (TARGET[:, :3], REFERENCE, (True,) * 3),
        (TARGET, REFERENCE[:, :3], (True,) * 3),
        (TARGET, REFERENCE, (True,) * 2),
    ],
)
def test_policies_of_another_catalogue_are_refused(
    target: np.ndarray, reference: np.ndarray, follows: tuple[bool, ...]
) -> None:
    with pytest.raises(ShapeError, match="expected both policies"):
        hybrid(target, reference, FOUR, follows)


def test_the_count_of_factors_is_their_number() -> None:
    assert Factors(("a", "b"), np.zeros((3, 1), np.int64)).count == 2
