"""The verdict follows the interval, and overlap comes before it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from nurture_rl.appraisal.verdict import Judgement, RulesBar, Verdict, judge
from nurture_rl.errors import NurtureError
from nurture_rl.ope.diagnostics import Overlap, OverlapThresholds
from nurture_rl.ope.intervals import SAME, SAME_POLICY, Difference, Interval, no_difference

ONE = np.ones(1)


def difference(value: float, half: float) -> Difference:
    interval = Interval(value - half, value + half, 0.95, "clustered-t")
    return Difference(value, half / 1.96, interval, 400)


def measured(ess: float, feasible: bool = True) -> Overlap:
    ones = np.ones(1)
    return Overlap(500, 400, ess, ones, ess, 0.01, ones, ones, 0.0, feasible, "as told")


def judged(found: Difference, policy: Overlap, reference: Overlap | None) -> Judgement:
    return judge(found, policy, reference, OverlapThresholds(), "EUR per episode")


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


@pytest.mark.parametrize("half", [float("nan"), float("inf")])
def test_an_interval_that_has_no_ends_decides_nothing(half: float) -> None:
    found = judged(difference(1.0, half), measured(400.0), None)
    assert (found.verdict, found.contacts_needed) == (Verdict.CANNOT_TELL_YET, None)
    assert "has no interval" in found.reason


def test_advised_contacts_show_the_difference_in_four_logs_of_five() -> None:
    found = judged(difference(2.0, 4.0), measured(400.0), None)
    # An interval twice the difference: four times the contacts would leave half of all logs open.
    expected = 1600.0 * (1.0 + stats.norm.ppf(0.8) / stats.norm.ppf(0.975)) ** 2
    assert found.contacts_needed == np.ceil(expected) == 3270
    assert found.advice == (
        "about 3270 contacts in all would settle a difference of this size with 80 % power"
    )
    assert found.reason.endswith("it holds 0")  # advice may have to be left out where others refuse
    stderr = 4.0 / stats.norm.ppf(0.975) * np.sqrt(400.0 / expected)
    assert stats.norm.sf(stats.norm.ppf(0.975) - 2.0 / stderr) == pytest.approx(0.8)


def test_contacts_beyond_reach_are_not_advised() -> None:
    found = judged(difference(1e-3, 1.0), measured(400.0), None)
    assert found.contacts_needed is None


def test_a_narrower_level_needs_more_contacts_for_one_width() -> None:
    wide = difference(2.0, 4.0)
    lower = replace(wide, interval=replace(wide.interval, level=0.5))
    assert judged(lower, measured(400.0), None).contacts_needed == np.ceil(
        1600.0 * (1.0 + stats.norm.ppf(0.8) / stats.norm.ppf(0.75)) ** 2
    )


@pytest.mark.parametrize("feasible", [True, False])
def test_two_policies_that_act_alike_are_one_whatever_the_overlap(feasible: bool) -> None:
    same = no_difference(0.95, 400, SAME_POLICY, "acting alike in all 9 decisions")
    found = judged(same, measured(400.0, feasible), measured(400.0, feasible))
    assert (found.verdict, found.contacts_needed) == (Verdict.NOT_BETTER, None)
    assert found.reason.endswith("the same policy, acting alike in all 9 decisions")


def test_estimates_that_are_one_need_overlap_to_say_anything() -> None:
    same = no_difference(0.95, 400, SAME, "one number")
    assert judged(same, measured(400.0), None).verdict is Verdict.NOT_BETTER
    assert judged(same, measured(9.0, False), None).verdict is Verdict.CANNOT_TELL_YET


def test_wrong_weights_are_not_mended_by_more_contacts() -> None:
    wrong = replace(
        measured(25.0, False), mean_weight=np.array([0.5]), mean_weight_stderr=0.01 * ONE
    )
    found = judged(difference(2.0, 1.0), wrong, None)
    assert (found.verdict, found.contacts_needed) == (Verdict.CANNOT_TELL_YET, None)
    assert found.reason.endswith("the policy: as told")


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
    assert "logging that explores what this policy does" in found.advice
    assert "settle" not in found.reason


def rules(value: float, half: float, margin: float, ess: float = 400.0) -> RulesBar:
    return RulesBar("plain", difference(value, half), measured(ess, ess > 100.0), margin)


def against(bar: RulesBar, found: Difference | None = None) -> Judgement:
    asked = difference(2.0, 1.0) if found is None else found
    return judge(asked, measured(400.0), None, OverlapThresholds(), "EUR per episode", bar)


@pytest.mark.parametrize(
    ("value", "half", "margin", "verdict"),
    [
        (-1.0, 0.5, 0.0, Verdict.RULES_ARE_ENOUGH),  # the rules beat it
        (-1.0, 1.0, 0.0, Verdict.RULES_ARE_ENOUGH),  # it is not shown to gain anything
        (0.2, 0.3, 0.5, Verdict.RULES_ARE_ENOUGH),  # whatever it gains is within the margin
        (0.25, 0.25, 0.5, Verdict.RULES_ARE_ENOUGH),
        (0.2, 0.31, 0.5, Verdict.BETTER),  # it may gain more than the margin
        (0.2, 0.3, 0.0, Verdict.BETTER),
        (2.0, 0.5, 0.5, Verdict.BETTER),
    ],
)
def test_rules_are_enough_where_the_gain_over_them_is_within_the_margin(
    value: float, half: float, margin: float, verdict: Verdict
) -> None:
    assert against(rules(value, half, margin)).verdict is verdict


def test_rules_are_enough_says_over_what_and_by_how_much() -> None:
    found = against(rules(0.2, 0.3, 0.5))
    assert found.reason == (
        "difference to the rules 'plain' +0.2 EUR per episode, 95 % interval -0.1 to +0.5, 400 "
        "contacts: none of it above the margin of 0.5 EUR per episode, so plain rules do as "
        "well for all that it matters"
    )
    assert found.contacts_needed is None
    assert against(rules(-1.0, 0.5, 0.0)).reason.endswith("above 0, so plain rules do as well")


def test_better_says_what_is_known_of_the_rules() -> None:
    assert "whether rules would do as well is open" in against(rules(0.2, 0.31, 0.5)).reason
    assert "more than rules can do" in against(rules(2.0, 0.5, 0.5)).reason
    assert "whether rules would do as well" in against(rules(1.0, 0.5, 0.5)).reason


def test_rules_that_the_log_does_not_carry_settle_nothing() -> None:
    found = against(rules(-1.0, 0.5, 0.0, ess=50.0))
    assert found.verdict is Verdict.BETTER
    assert found.reason.endswith("the log does not carry the rules 'plain'")


def test_what_does_not_beat_the_reference_is_not_saved_by_rules() -> None:
    found = against(rules(-1.0, 0.5, 0.0), difference(-2.0, 1.0))
    assert found.verdict is Verdict.NOT_BETTER


def test_an_open_difference_is_settled_by_rules_that_are_enough() -> None:
    assert against(rules(-1.0, 0.5, 0.0), difference(1.0, 2.0)).verdict is Verdict.RULES_ARE_ENOUGH
    found = against(rules(1.0, 2.0, 0.0), difference(1.0, 2.0))
    assert found.verdict is Verdict.CANNOT_TELL_YET
    assert found.contacts_needed == 3270
    assert "whether rules would do as well is open" in found.reason


@pytest.mark.parametrize("margin", [-0.1, float("inf"), float("nan")])
def test_a_margin_is_a_number_that_is_not_negative(margin: float) -> None:
    with pytest.raises(NurtureError, match="the margin over rules must be a number >= 0 EUR"):
        against(rules(1.0, 0.5, margin))
