"""Which finding names which cause, with what number, and whether it forbids all use."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from nurture_rl.simulator.gap.causes import causes
from nurture_rl.simulator.gap.compare import Comparison, ComparisonResult, Estimate
from nurture_rl.simulator.gap.fatigue import HalfLife, HalfLives
from nurture_rl.simulator.gap.gap_evidence import DelayShares
from nurture_rl.simulator.gap.leakage import Leak
from nurture_rl.simulator.gap.one_step import ArmEffect
from nurture_rl.simulator.gap.propensities import PropensityCheck
from nurture_rl.simulator.gap.settings import GapConfig, GapLimits
from nurture_rl.simulator.gap.trust import Cause, NamedCause
from nurture_rl.simulator.gap.two_sample import Giveaway, TwoSampleTest
from tests.unit.gap.test_gap_causes import READ, compared, flawless

SEEN = PropensityCheck(True, 0.0, None, (), 1000)
LEAK = Leak("clicks", "meeting", "change", 0.97, 0.95, 0.5, 100)


def named(*more: Comparison, limits: GapLimits | None = None, **changed: Any) -> list[NamedCause]:
    """Causes that a change of a flawless world's evidence gives."""
    config = GapConfig(limits=limits or GapLimits())
    return list(causes(replace(flawless(*more), **changed), config))


def one(found: list[NamedCause], cause: Cause, number: float, threshold: float) -> str:
    """The sentence of the only cause, which is fatal."""
    (only,) = found
    assert (only.cause, only.fatal) == (cause, True)
    assert [only.number, only.threshold] == pytest.approx([number, threshold])
    return only.sentence


def off(family: str, head: str, group: str, real: float, world: float, stderr: float) -> Comparison:
    found = Estimate(real, stderr), Estimate(world, 0.0)
    gap = world - real
    return Comparison(
        family, head, group, *found, gap, stderr, 0.1, "difference", ComparisonResult.DIFFERS
    )


@pytest.mark.parametrize(("share", "broken"), [(0.001, False), (0.0011, True)])
def test_propensities_that_cannot_be_break_a_log(share: float, broken: bool) -> None:
    found = named(propensities=replace(SEEN, impossible=share))
    assert bool(found) is broken
    if broken:
        assert "0.1 % of" in one(found, Cause.BROKEN_PROPENSITIES, share, 0.001)


@pytest.mark.parametrize(("stderr", "broken"), [(0.09, True), (0.11, False)])
def test_a_slope_below_its_limit_by_four_errors_breaks_a_log(stderr: float, broken: bool) -> None:
    found = named(propensities=replace(SEEN, slope=Estimate(0.4, stderr)))
    assert bool(found) is broken
    if broken:
        assert "slope of 0.40" in one(found, Cause.BROKEN_PROPENSITIES, 0.4, 0.8)


def test_the_surest_of_wrong_mean_weights_breaks_a_log() -> None:
    weights = (
        off("mean weight", "", "send:a", 1.0, 1.5, 0.1),
        off("mean weight", "", "send:b", 1.0, 1.4, 0.05),
        replace(off("mean weight", "", "send:c", 1.0, 3.0, 0.1), finding=ComparisonResult.UNCLEAR),
    )
    found = named(propensities=replace(SEEN, weights=weights))
    assert "send:b is 1.40" in one(found, Cause.BROKEN_PROPENSITIES, 1.4, 1.1)


def test_the_first_leak_is_named_and_the_other_features_counted() -> None:
    others = (replace(LEAK, head="click"), replace(LEAK, feature="opens"))
    assert "other features" not in one(named(leaks=(LEAK,)), Cause.LEAKED_FEATURE, 0.97, 0.9)
    sentence = one(named(leaks=(LEAK, *others)), Cause.LEAKED_FEATURE, 0.97, 0.9)
    assert "The change of the feature clicks alone" in sentence
    assert "So does 1 other feature" in sentence


@pytest.mark.parametrize(
    ("changed", "number", "threshold", "words"),
    [
        ({"star_events": 29.0, "fitted_on": 1}, 29, 30, "events of the north star"),
        ({"fitted_on": 199, "unlearned": ("meeting",)}, 199, 200, "fitted to 199 episodes"),
        ({"unlearned": tuple("abcde")}, 5, 0, "to learn a, b, c, d, which happen 50 times"),
    ],
)
def test_too_few_data_are_named_by_the_first_that_is_missing(
    changed: dict[str, Any], number: float, threshold: float, words: str
) -> None:
    assert words in one(named(**changed), Cause.TOO_FEW_DATA, number, threshold)


def test_as_many_data_as_are_asked_for_are_enough() -> None:
    assert named(star_events=30.0, fitted_on=200) == []
    assert named(fitted_on=None) == []  # a world that was not fitted


@pytest.mark.parametrize(
    ("told", "cause", "words"),
    [
        ((1.0, 0.0), Cause.MISSING_DELAYS, "never by chance in the world (10 % of them)"),
        ((0.0, 1.0), Cause.MISSING_DELAYS, "never by chance"),
        ((0.9, 0.1), Cause.WRONG_DELAYS, "otherwise in the world"),
    ],
)
def test_a_world_with_one_delay_for_all_misses_delays(
    told: tuple[float, ...], cause: Cause, words: str
) -> None:
    late = off("delay", "meeting", "known late", 0.4, 0.1, 0.02)
    shares = (DelayShares("click", (), (0.5, 0.5)), DelayShares("meeting", (), told))
    sentence = one(named(late, delays=shares), cause, -0.3, 0.1)
    assert words in sentence
    assert "(known late: 40 % of them)" in sentence
    assert "know too much" in sentence


def test_bins_of_lateness_are_given_as_bins() -> None:
    late = off("delay", "meeting", "bins late", 0.4, 1.5, 0.02)
    sentence = one(named(late), Cause.WRONG_DELAYS, 1.1, 0.1)
    assert "(bins late: 0.40 bins)" in sentence
    assert "know too little" in sentence


def effect(
    hidden: float, world: float = 0.3, head: str = "meeting", stderr: float = 0.01
) -> ArmEffect:
    """A send adds 0.1 by the log; so much more or less by what its features explain."""
    logged, naive = Estimate(0.1, stderr), Estimate(0.1 - hidden, stderr)
    return ArmEffect(head, logged, naive, world, 0.2, Estimate(hidden, stderr), 1000)


def wrong(*effects: ArmEffect) -> list[NamedCause]:
    differing = [off("effect of sending", e.head, "", 0.1, e.world, 0.01) for e in effects]
    return named(*differing, effects=effects)


def test_an_effect_off_by_what_was_hidden_is_confounding() -> None:
    # 0.35 is the share of the largest of the world's 0.3, the log's 0.1 and the base of 0.2.
    sentence = one(wrong(effect(hidden=-0.2)), Cause.IGNORED_CONFOUNDING, 0.2, 0.35 * 0.3)
    assert "+30.00 points in the world, by +10.00 points in the log" in sentence
    assert "by +30.00 points without" in sentence


@pytest.mark.parametrize("hidden", [0.2, -0.09, 0.0])
def test_an_effect_off_by_something_else_is_a_wrong_effect(hidden: float) -> None:
    # Hidden the other way, hidden less than half of the gap of 0.2, nothing hidden.
    one(wrong(effect(hidden)), Cause.WRONG_EFFECT, 0.2, 0.35 * 0.3)


def test_half_of_the_gap_by_three_errors_is_hidden_enough() -> None:
    near = replace(effect(-0.1), hidden=Estimate(-0.1, 0.03))
    one(wrong(near), Cause.IGNORED_CONFOUNDING, 0.2, 0.105)
    one(wrong(replace(near, hidden=Estimate(-0.1, 0.04))), Cause.WRONG_EFFECT, 0.2, 0.105)


def test_the_most_surely_hidden_and_the_most_surely_wrong_effect_are_named() -> None:
    hidden = wrong(effect(-0.15, 0.3, "click", 0.02), effect(-0.1, 0.2, "visit", 0.01))
    assert "chance of visit" in one(hidden, Cause.IGNORED_CONFOUNDING, 0.1, 0.35 * 0.2)
    more = effect(0.0, 0.4, "click"), effect(0.0, 0.5, stderr=0.02), effect(0.0, -0.2, "return")
    main = ("meeting", "return")
    differing = [off("effect of sending", e.head, "", 0.1, e.world, 0.01) for e in more]
    found = named(*differing, effects=more, main=main)
    # The click is no main signal.
    assert "chance of return" in one(found, Cause.WRONG_EFFECT, -0.3, 0.35 * 0.2)


def halves(real: float, world: float, p_value: float, width: float) -> HalfLives:
    a, b = (HalfLife(days, days / width, days * width) for days in (real, world))
    return HalfLives(a, b, 50.0, 2, p_value, (), (), ())


@pytest.mark.parametrize(("real", "world"), [(6.0, 3.9), (3.9, 6.0)])
def test_half_lives_apart_by_a_factor_are_a_wrong_half_life(real: float, world: float) -> None:
    found = named(half_lives=halves(real, world, 1e-5, 1.1))
    assert f"within {real:.2g} days" in one(found, Cause.WRONG_FATIGUE_HALF_LIFE, 6.0 / 3.9, 1.5)


@pytest.mark.parametrize(
    "found",
    [halves(6.0, 4.1, 1e-5, 1.1), halves(6.0, 3.0, 0.002, 1.1), halves(6.0, 3.0, 1e-5, 2.5)],
)
def test_half_lives_that_are_near_or_not_surely_apart_are_none(found: HalfLives) -> None:
    assert named(half_lives=found) == []


@pytest.mark.parametrize("family", ["dose", "recovery"])
def test_a_curve_of_fatigue_that_differs_is_a_wrong_half_life_too(family: str) -> None:
    curve = off(family, "click", "3 sends", -1.0, -0.2, 0.1)
    same = halves(5.0, 5.0, 0.5, 1.1)
    sentence = one(named(curve, half_lives=same), Cause.WRONG_FATIGUE_HALF_LIFE, 0.8, 0.1)
    assert "-1.00 in the log and -0.20 in the world" in sentence
    both = named(curve, half_lives=halves(6.0, 3.0, 1e-5, 1.1))
    one(both, Cause.WRONG_FATIGUE_HALF_LIFE, 2.0, 1.5)


def test_the_surest_hour_alone_is_named_and_is_not_fatal() -> None:
    hours = (off("hour", "click", at, -1.0, -0.5, e) for at, e in (("09", 0.2), ("15", 0.1)))
    (only,) = named(*hours)
    assert (only.cause, only.fatal) == (Cause.WRONG_RESPONSE_CURVE, False)
    assert [only.number, only.threshold] == pytest.approx([0.5, 0.1])
    assert "at 15 are" in only.sentence


@pytest.mark.parametrize(("wrong_ones", "too_many"), [(3, False), (4, True)])
def test_more_than_a_tenth_of_minor_signals_off_forbid_ranking(
    wrong_ones: int, too_many: bool
) -> None:
    rates = [compared("rate", head, 1.0, differs=True) for head in READ[1 : 1 + wrong_ones]]
    unread = [compared("rate", f"unread {i}", 1.0, differs=True) for i in range(9)]
    found = named(*rates, *unread)
    assert [(one.cause, one.fatal) for one in found] == (
        [(Cause.WRONG_MINOR_RATES, False)] if too_many else []
    )


def test_a_wrong_rate_is_told_with_its_group() -> None:
    overall, part = (
        replace(compared("funnel", "meeting", 1.0, differs=True), group=group)
        for group in ("all", "week 2")
    )
    assert "meeting (funnel) is 0.03" in one(named(overall), Cause.WRONG_RATES, 1.0, 0.2)
    assert "meeting among week 2 (funnel)" in one(named(part), Cause.WRONG_RATES, 1.0, 0.2)


def test_members_that_disagree_most_on_a_main_signal_are_named() -> None:
    spread = (("click", 0.9), ("meeting", 0.51), ("signal 1", 0.8))
    (only,) = named(disagreement=spread, main=("meeting", "signal 1"))
    assert (only.cause, only.number, only.fatal) == (Cause.MEMBERS_DISAGREE, 0.8, False)
    assert "signal 1 spread by 80 %" in only.sentence
    assert named(disagreement=(("meeting", 0.5),)) == []


@pytest.mark.parametrize(("stderr", "told"), [(0.019, True), (0.021, False)])
def test_a_classifier_beyond_its_margin_by_two_errors_tells_a_world(
    stderr: float, told: bool
) -> None:
    names = tuple(Giveaway(name, 0.1, 1.0, 2.0) for name in "abcd")
    test = TwoSampleTest(0.66, stderr, 0.6, 0.7, names, (), (1000, 1000))
    found = named(two_sample=test)
    assert bool(found) is told
    if told:
        assert (found[0].cause, found[0].fatal) == (Cause.DISTINGUISHABLE, False)
        assert (found[0].number, found[0].threshold) == (0.66, 0.62)
        assert "by a, b, c." in found[0].sentence


def test_a_wide_interval_of_what_rankings_rest_on_is_not_proof() -> None:
    # Twice the margin of 0.2 is allowed; 0.1 + 1.96 * 0.2 is more.
    wide = compared("reward", "return", -0.1, stderr=0.2)
    wider = replace(compared("rate", "meeting", 0.1, stderr=0.15), margin=0.1)
    (only,) = named(wide)
    assert (only.cause, only.fatal) == (Cause.UNPROVEN, False)
    assert [only.number, only.threshold] == pytest.approx([0.492, 0.4], abs=1e-3)
    (worst,) = named(wide, wider)
    assert [worst.number, worst.threshold] == pytest.approx([0.394, 0.2], abs=1e-3)
    assert named(compared("rate", "signal 1", 0.1, stderr=0.3)) == []
    assert named(wide, limits=GapLimits(proof=2.5)) == []
