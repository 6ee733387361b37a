"""The verdict follows the interval, and overlap comes before it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nurture_rl.ope.diagnostics import Overlap, OverlapThresholds
from nurture_rl.ope.intervals import Difference, Interval
from nurture_rl.ope.verdict import Judgement, Verdict, judge


def difference(value: float, half: float) -> Difference:
    interval = Interval(value - half, value + half, 0.95, "clustered-t")
    return Difference(value, half / 1.96, interval, 400)


def measured(ess: float, feasible: bool = True) -> Overlap:
    ones = np.ones(1)
    return Overlap(500, 400, ess, ones, ess, 0.01, ones, ones, 0.0, feasible, "as told")


def judged(found: Difference, policy: Overlap, reference: Overlap | None) -> Judgement:
    return judge(found, policy, reference, OverlapThresholds(), "EUR")


@pytest.mark.parametrize(
    ("value", "half", "verdict"),
    [
        (2.0, 1.0, Verdict.BETTER),
        (-2.0, 1.0, Verdict.NOT_BETTER),
        (0.0, 0.0, Verdict.NOT_BETTER),
        (1.0, 1.0, Verdict.CANNOT_TELL_YET),
        (1.0, 2.0, Verdict.CANNOT_TELL_YET),
    ],
)
def test_verdict_is_where_the_interval_lies(value: float, half: float, verdict: Verdict) -> None:
    found = judged(difference(value, half), measured(400.0), None)
    assert found.verdict is verdict
    assert f"{value:+.4g} EUR per episode" in found.reason


def test_an_interval_twice_the_difference_needs_four_times_the_contacts() -> None:
    found = judged(difference(2.0, 4.0), measured(400.0), None)
    assert found.contacts_needed == 1600
    assert "about 1600 contacts in all would settle" in found.reason


def test_a_difference_of_nothing_cannot_be_sized() -> None:
    found = judged(difference(0.0, 2.0), measured(400.0), None)
    assert found.contacts_needed is None
    assert "too near 0" in found.reason


def test_a_clear_difference_without_overlap_is_not_believed() -> None:
    found = judged(difference(2.0, 1.0), measured(25.0, feasible=False), None)
    assert found.verdict is Verdict.CANNOT_TELL_YET
    # 100 effective episodes wanted, 25 there: four times the 400 contacts.
    assert found.contacts_needed == 1600
    assert found.reason.startswith("the log does not carry the policy: as told")


def test_one_episode_with_twice_the_weight_it_may_have_needs_twice_the_contacts() -> None:
    heavy = replace(measured(400.0, feasible=False), max_weight_share=0.1)
    assert judged(difference(2.0, 1.0), heavy, None).contacts_needed == 800


def test_the_reference_needs_overlap_too() -> None:
    found = judged(difference(2.0, 1.0), measured(400.0), measured(0.0, feasible=False))
    assert found.verdict is Verdict.CANNOT_TELL_YET
    assert found.contacts_needed is None
    assert "does not carry the reference" in found.reason
    assert "logging that explores what this policy does" in found.reason
