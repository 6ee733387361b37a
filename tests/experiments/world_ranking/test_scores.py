"""Rank correlation, regret and coverage of one world's values by another, by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from experiments.world_ranking.scores import Standings, agreement
from nurture_rl.errors import ShapeError

NAMES = ("drip", "a", "b", "c")


def standings(
    value: list[float], members: list[list[float]] | None = None, noise: float = 0.1
) -> Standings:
    n = len(value)
    return Standings(
        names=NAMES[:n],
        value=np.array(value),
        stderr=np.full(n, noise),
        difference_stderr=np.full((n, n), noise),
        parts=("sales",),
        part=np.array(value)[:, None],
        members=np.array(members or [], np.float64).reshape(-1, n),
        member_stderr=0.0,
    )


TRUTH = standings([1.0, 2.0, 3.0, 5.0])


def test_rank_correlations_match_hand_calculation() -> None:
    # Ranks 1 2 3 4 against 1 3 2 4: 1 - 6 (0 + 1 + 1 + 0) / (4 * 15) = 0.8; 5 of 6 pairs: 4 / 6.
    found = agreement(TRUTH, standings([0.0, 9.0, 8.0, 10.0]), "drip")
    assert found.spearman == pytest.approx(0.8)
    assert found.kendall == pytest.approx(4 / 6)
    assert found.ordered == pytest.approx(5 / 6)
    assert found.regret == 0.0


def test_regret_is_what_the_favourite_earns_less_in_truth() -> None:
    # "a" looks best and earns 2; the best earns 5, which is 4 above the drip.
    found = agreement(TRUTH, standings([1.0, 7.0, 3.0, 5.0]), "drip")
    assert (found.best, found.chosen) == ("c", "a")
    assert found.regret == 3.0
    assert found.relative_regret == 0.75


def test_any_rising_function_of_the_truth_ranks_without_fault_and_has_errors() -> None:
    found = agreement(TRUTH, standings([1.0, 4.0, 9.0, 25.0]), "drip")
    assert (found.spearman, found.kendall, found.ordered, found.regret) == (1.0, 1.0, 1.0, 0.0)
    # Errors 0, 2, 6, 20; against the drip, which is right, over the three others.
    assert (found.bias, found.error) == (7.0, 7.0)
    assert found.contrast_error == pytest.approx(28 / 3)


def test_an_offset_of_all_values_is_bias_but_no_error_of_a_difference() -> None:
    found = agreement(TRUTH, standings([-1.0, 0.0, 1.0, 3.0]), "drip")
    assert (found.bias, found.error, found.contrast_error) == (-2.0, 2.0, 0.0)


def test_the_opposite_order_is_minus_one_and_chooses_the_worst() -> None:
    found = agreement(TRUTH, standings([5.0, 3.0, 2.0, 1.0]), "drip")
    assert (found.spearman, found.kendall, found.ordered) == (-1.0, -1.0, 0.0)
    assert found.relative_regret == 1.0  # the worst is the drip itself


def test_pairs_that_the_truth_cannot_tell_apart_do_not_count_as_disordered() -> None:
    # At a standard error of 1 only 1 against 5 and 2 against 5 are two errors apart and more.
    noisy = replace(TRUTH, difference_stderr=np.full((4, 4), 1.0))
    believed = standings([2.0, 1.0, 9.0, 5.0])
    assert agreement(TRUTH, believed, "drip").decided == 6
    found = agreement(noisy, believed, "drip")
    assert (found.decided, found.ordered) == (2, 1.0)


def test_the_truth_is_inside_where_some_member_lies_on_either_side() -> None:
    members = [[0.0, 3.0, 2.0, 6.0], [2.0, 4.0, 3.0, 8.0]]
    found = agreement(TRUTH, standings([1.0, 3.5, 2.5, 7.0], members), "drip")
    # drip: 0 to 2 holds 1; a: 2 is below 3 to 4; b: an end belongs to it; c: 5 is below 6 to 8.
    assert (found.inside, found.above_worst) == (0.5, 0.5)
    # Standard deviations sqrt(2), sqrt(1/2), sqrt(1/2), sqrt(2).
    assert found.spread == pytest.approx(0.75 * np.sqrt(2.0))


def test_a_world_that_holds_all_policies_equal_has_no_rank_correlation() -> None:
    found = agreement(TRUTH, standings([2.0, 2.0, 2.0, 2.0]), "drip")
    assert np.isnan(found.spearman)
    assert np.isnan(found.kendall)
    assert found.ordered == 0.0


def test_there_is_no_share_to_lose_where_the_reference_is_best() -> None:
    truth = standings([9.0, 2.0, 3.0])
    assert np.isnan(agreement(truth, standings([1.0, 2.0, 3.0]), "drip").relative_regret)


@pytest.mark.parametrize("reference", ["drip", "rules"])
def test_worlds_with_other_policies_or_without_the_reference_are_refused(reference: str) -> None:
    other = standings([1.0, 2.0, 3.0]) if reference == "drip" else TRUTH
    with pytest.raises(ShapeError, match="the same two or more policies"):
        agreement(TRUTH, other, reference)
