"""From scores to probabilities: every rule against numbers worked out by hand."""

from __future__ import annotations

from math import erf, exp, sqrt
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from nurture_rl.errors import BundleError
from nurture_rl.learned.choice_rules import (
    Boltzmann,
    EpsilonGreedy,
    Greedy,
    GreedyAmongUsual,
    InverseGap,
    Rule,
    UpperBound,
    Vote,
    floored,
    read_rule,
    rule_record,
)
from nurture_rl.policies.composition import capped
from nurture_rl.policies.policy import PolicyError, check_probabilities

RULES: list[Rule] = [
    Vote(),
    Greedy(),
    EpsilonGreedy(0.2),
    UpperBound(1.5),
    Boltzmann(0.5),
    InverseGap(10.0),
    GreedyAmongUsual(0.3),
]


def legal(*shape: int) -> Tensor:
    return torch.ones(shape, dtype=torch.bool)


def scores(*actions: list[float]) -> Tensor:
    """One row: the m scores of each action, [1, a, m]."""
    return torch.tensor([actions], dtype=torch.float64)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: type(rule).__name__)
def test_every_rule_gives_distributions_and_0_where_masked(rule: Rule) -> None:
    rng = np.random.default_rng(0)
    mask = rng.random((500, 6)) < 0.5
    mask[:, 2] |= ~mask.any(axis=1)
    table = rule(torch.tensor(rng.normal(size=(500, 6, 2))), torch.tensor(mask)).numpy()
    check_probabilities(table, mask)
    assert (table[~mask] == 0.0).all()


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: type(rule).__name__)
def test_a_masked_action_of_the_highest_score_changes_nothing(rule: Rule) -> None:
    rng = np.random.default_rng(1)
    given = torch.tensor(rng.normal(size=(50, 4, 2)))
    tempting = given.clone()
    tempting[:, 3] = 1e6
    mask = torch.tensor([True, True, True, False]).expand(50, 4)
    assert torch.equal(rule(given, mask), rule(tempting, mask))


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: type(rule).__name__)
def test_a_rule_is_read_back_from_its_record(rule: Rule) -> None:
    assert read_rule(rule_record(rule)) == rule


@pytest.mark.parametrize(
    "record",
    [{}, {"kind": "votes"}, {"kind": "boltzmann"}, {"kind": "vote", "temperature": 1.0}],
)
def test_a_record_that_is_no_rule_is_refused(record: dict[str, object]) -> None:
    with pytest.raises(BundleError, match="expected a rule of kind boltzmann, epsilon_greedy"):
        read_rule(record)


@pytest.mark.parametrize("record", ["greedy", None, ["vote"], 3])
def test_what_is_no_record_at_all_is_refused(record: Any) -> None:
    with pytest.raises(BundleError, match="expected a rule as a record"):
        read_rule(record)


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), -1.0, True, "a", None])
@pytest.mark.parametrize(
    "kind, name",
    [
        ("epsilon_greedy", "epsilon"),
        ("upper_bound", "width"),
        ("boltzmann", "temperature"),
        ("inverse_gap", "gamma"),
        ("greedy_among_usual", "threshold"),
    ],
)
def test_numbers_that_no_rule_can_act_on_are_refused(kind: str, name: str, wrong: Any) -> None:
    with pytest.raises(PolicyError, match=f"{name} of .* must be a finite number"):
        read_rule({"kind": kind, name: wrong})


def test_a_rule_is_not_made_of_numbers_out_of_range() -> None:
    with pytest.raises(PolicyError, match=r"epsilon of EpsilonGreedy .* at most 1, got 2"):
        EpsilonGreedy(2.0)
    with pytest.raises(PolicyError, match="temperature of Boltzmann"):
        Boltzmann(0.0)
    with pytest.raises(PolicyError, match="gamma of InverseGap"):
        InverseGap(-1.0)


def test_votes_are_counted_by_hand() -> None:
    draws = scores([1.0, 4.0, 0.0, 2.0], [3.0, 1.0, -1.0, 9.0])
    assert Vote()(draws, legal(1, 2)).tolist() == [[0.5, 0.5]]
    assert Vote()(draws[:, :, 1:3], legal(1, 2)).tolist() == [[1.0, 0.0]]


def test_two_actions_split_as_the_normal_distribution_says() -> None:
    # Score of action 0 is N(1, 2^2) + x N(0.5, 1), of action 1 exactly 0: at x = 2 the
    # difference is N(2, 8), so action 0 is best with probability Phi(2 / sqrt(8)).
    rng = np.random.default_rng(12)
    draws = 20_000
    first = rng.normal(1.0, 2.0, draws) + 2.0 * rng.normal(0.5, 1.0, draws)
    table = Vote()(torch.tensor(np.stack([first, np.zeros(draws)])[None]), legal(1, 2))
    truth = 0.5 * (1.0 + erf(2.0 / sqrt(8.0) / sqrt(2.0)))
    assert abs(float(table[0, 0]) - truth) < 4.0 * sqrt(truth * (1 - truth) / draws)


@pytest.mark.parametrize("size", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("rule", [Vote(), Greedy()], ids=["vote", "greedy"])
def test_scores_that_differ_in_their_last_bits_are_ties_in_any_unit(
    rule: Rule, size: float
) -> None:
    given = scores([size], [np.nextafter(size, 0.0)], [size * (1.0 - 1e-5)])
    assert rule(given, legal(1, 3))[0].tolist() == pytest.approx([0.5, 0.5, 0.0], abs=1e-8)


def test_ties_are_split_evenly_among_the_legal() -> None:
    given = scores([0.0] * 4, [0.0] * 4, [5.0] * 4)
    mask = torch.tensor([[True, True, False]])
    assert Vote()(given, mask).tolist() == [[0.5, 0.5, 0.0]]


def test_a_masked_action_gets_no_vote_where_every_legal_score_is_minus_infinity() -> None:
    given = scores([-np.inf], [-np.inf], [5.0])
    mask = torch.tensor([[True, True, False]])
    assert Vote()(given, mask).tolist() == [[0.5, 0.5, 0.0]]


def test_greedy_takes_the_highest_mean() -> None:
    given = scores([9.0, -3.0], [4.0, 3.0])  # means 3 and 3.5
    assert Greedy()(given, legal(1, 2))[0].tolist() == pytest.approx([0.0, 1.0], abs=1e-8)


def test_an_uncertain_action_is_tried_where_the_bound_is_wide() -> None:
    given = scores([1.0, 0.0, 0.0], [0.0, 0.6, 0.8])  # mean 0, standard deviation 1
    assert UpperBound(0.9)(given, legal(1, 2))[0].tolist() == pytest.approx([1, 0], abs=1e-8)
    assert UpperBound(1.1)(given, legal(1, 2))[0].tolist() == pytest.approx([0, 1], abs=1e-8)


def test_the_temperature_divides_the_scores() -> None:
    table = Boltzmann(0.5)(scores([1.0], [0.0]), legal(1, 2))
    assert table[0].tolist() == pytest.approx([1 / (1 + exp(-2.0)), 1 / (1 + exp(2.0))])


def test_inverse_gaps_are_worked_out_by_hand() -> None:
    # k = 3 legal; gaps 0, 1, 2; gamma 2: 1/(3 + 2) and 1/(3 + 4), the best has the rest.
    given = scores([5.0], [4.0], [3.0], [99.0])
    mask = torch.tensor([[True, True, True, False]])
    table = InverseGap(2.0)(given, mask)[0].tolist()
    assert table == pytest.approx([1 - 1 / 5 - 1 / 7, 1 / 5, 1 / 7, 0.0])
    assert InverseGap(0.0)(given, mask)[0].tolist() == pytest.approx([1 / 3, 1 / 3, 1 / 3, 0.0])


def test_what_inverse_gaps_leave_is_split_among_equally_good_actions() -> None:
    # k = 3, gaps 0, 0, 1, gamma 2: 1/3 and 1/3 and 1/5, and half of the rest for each of the best.
    table = InverseGap(2.0)(scores([5.0], [5.0], [4.0]), legal(1, 3))[0].tolist()
    assert table == pytest.approx([2 / 5, 2 / 5, 1 / 5])


def test_the_best_action_must_be_usual() -> None:
    # Log-odds 0, -1, -3: as shares of the likeliest 1, 0.37, 0.05; values rise the other way.
    given = scores([1.0, 0.0], [2.0, -1.0], [3.0, -3.0])
    for threshold, best in ((0.3, 1), (0.0, 2), (1.0, 0)):
        table = GreedyAmongUsual(threshold)(given, legal(1, 3))[0]
        assert float(table[best]) == pytest.approx(1.0, abs=1e-8)
    assert GreedyAmongUsual(0.3)(given, legal(1, 3))[0, 2] == 0.0


@pytest.mark.parametrize("rule", [Greedy(), UpperBound(1.0), GreedyAmongUsual(0.0)])
def test_a_bad_action_more_leaves_the_best_all_the_same(rule: Rule) -> None:
    given = scores([1.0, 0.0], [0.99, 0.0], [-10.0, 0.0])
    assert rule(given, legal(1, 3))[0].tolist() == pytest.approx([1.0, 0.0, 0.0], abs=1e-15)


def test_the_next_best_follow_in_their_order() -> None:
    table = Greedy()(scores([3.0], [9.0], [3.0], [1.0]), legal(1, 4))[0]
    assert float(table[1]) == 1.0
    assert float(table[0]) == float(table[2]) == pytest.approx(exp(-40.0), rel=1e-9, abs=0.0)
    assert float(table[3]) == pytest.approx(exp(-3 * 40.0), rel=1e-9, abs=0.0)


def test_a_trust_region_hands_what_the_best_may_not_have_to_the_next_best_in_turn() -> None:
    # Limits 0.4, 0.4, 0.8, 0.4: the best three get 0.4, 0.4 and the rest; the worst gets nothing.
    table = Greedy()(scores([5.0], [4.9], [1.0], [0.0]), legal(1, 4)).numpy()
    inside = capped(table, np.array([[0.2, 0.2, 0.4, 0.2]]), 2.0)
    assert inside[0] == pytest.approx([0.4, 0.4, 0.2, 0.0], abs=1e-8)


def test_the_floor_is_mixed_in_over_legal_actions() -> None:
    mask = torch.tensor([[True, True, False]])
    table = floored(torch.tensor([[1.0, 0.0, 0.0]]), mask, 0.1)
    assert table[0].tolist() == pytest.approx([0.9, 0.1, 0.0])
