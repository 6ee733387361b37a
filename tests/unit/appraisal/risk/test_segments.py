"""Segments add up to the whole, are estimates of their own, and are not judged by chance."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from nurture_rl.appraisal.risk.segments import (
    SegmentConfig,
    Segmented,
    SegmentVerdict,
    contact_labels,
    value_by_segment,
)
from nurture_rl.errors import ShapeError
from nurture_rl.ope.estimators import ValueEstimate, dr, ips, snips
from nurture_rl.ope.intervals import paired_difference
from nurture_rl.ope.log import EvaluationLog, FloatArray, take_episodes
from nurture_rl.ope.value_model import ValuePredictions
from tests.unit.ope.log_makers import bandit_log, random_distribution, random_log

EASY = SegmentConfig(min_ess=1.0)


def drawn(seed: int) -> tuple[EvaluationLog, FloatArray]:
    """Twelve episodes of seven contacts, and a target's probabilities of what was logged."""
    rng = np.random.default_rng(seed)
    log = random_log(seed, [2, 1, 3] * 4, cluster=[5, 5, 1, 2, 3, 3, 3, 8, 9, 9, 7, 1])
    target = random_distribution(rng, log.mask)
    return log, np.asarray(target[np.arange(log.n_rows), log.action])


def asked(
    log: EvaluationLog, taken: FloatArray, policy: ValueEstimate, names: list[str]
) -> Segmented:
    return Segmented(log, taken, policy, ips(log, log.propensity), np.array(names))


NAMES = ["north", "south", "south", "north", "south", "north", "south"]  # contacts 1 2 3 5 7 8 9


@pytest.mark.parametrize("estimator", [ips, snips])
def test_segments_by_share_add_up_to_the_total(estimator: object) -> None:
    log, taken = drawn(0)
    assert callable(estimator)
    policy, own = estimator(log, taken), ips(log, log.propensity)
    found = value_by_segment(asked(log, taken, policy, NAMES), EASY)
    assert [one.name for one in found] == ["north", "south"]
    assert sum(one.share for one in found) == pytest.approx(1.0)
    assert sum(one.share * one.value for one in found) == pytest.approx(policy.value)
    total = sum(one.share * one.difference for one in found)
    assert total == pytest.approx(policy.value - own.value)


def test_a_segment_is_the_estimate_on_its_own_episodes() -> None:
    log, taken = drawn(1)
    rng = np.random.default_rng(2)
    predictions = ValuePredictions(rng.normal(size=log.n_rows), rng.normal(size=log.n_rows))
    found = value_by_segment(asked(log, taken, dr(log, taken, predictions), NAMES), EASY)
    names = dict(zip(np.unique(log.cluster), NAMES, strict=True))
    for one in found:
        episodes = np.flatnonzero([names[contact] == one.name for contact in log.cluster])
        rows = np.flatnonzero(np.isin(log.episode, episodes))
        part = take_episodes(log, episodes)
        policy = dr(
            part,
            taken[rows],
            ValuePredictions(predictions.q_logged[rows], predictions.value[rows]),
        )
        expected = paired_difference(policy, ips(part, part.propensity), 0.95)
        assert one.value == pytest.approx(policy.value)
        assert one.difference == pytest.approx(expected.value)
        assert one.stderr == pytest.approx(expected.stderr)
        assert one.n_contacts == policy.n_clusters
        assert one.ess == pytest.approx(policy.ess)
        assert one.share == episodes.size / 12
        assert one.interval is not None
        # Two segments: each covers at sqrt(0.95).
        half = stats.t.ppf(0.5 + np.sqrt(0.95) / 2.0, one.n_contacts - 1) * expected.stderr
        assert one.interval.lower == pytest.approx(expected.value - half)
        assert one.interval.upper == pytest.approx(expected.value + half)


def three_segments(effect: float, noise: float = 1.0) -> Segmented:
    """Sixty contacts in three segments; the policy gains in a, loses in b, and c is small."""
    rng = np.random.default_rng(3)
    segment = np.array(["a"] * 28 + ["b"] * 28 + ["c"] * 4)
    reward = noise * rng.normal(size=60)
    log = bandit_log([0] * 60, [0.5] * 60, list(reward))
    gain = effect * np.select([segment == "a", segment == "b"], [1.0, -1.0], 5.0)
    spread = rng.normal(scale=noise, size=60)
    policy = ips(replace(log, reward=reward + gain + spread), log.propensity)
    return Segmented(log, log.propensity, policy, ips(log, log.propensity), segment)


def test_gains_and_losses_are_told_and_small_segments_are_not_judged() -> None:
    a, b, c = value_by_segment(three_segments(2.0), SegmentConfig(min_ess=20.0))
    assert (a.verdict, b.verdict) == (SegmentVerdict.BETTER, SegmentVerdict.WORSE)
    assert a.interval is not None
    assert a.interval.lower > 0.0
    assert "after Holm" in a.reason
    assert (c.verdict, c.interval, c.p_value) == (SegmentVerdict.CANNOT_TELL, None, None)
    assert "effective sample size 4.0 of 4 contacts" in c.reason
    assert c.difference > 5.0


def test_p_values_are_those_of_t_corrected_for_the_judged_segments() -> None:
    found = value_by_segment(three_segments(0.3), SegmentConfig(min_ess=20.0))
    raw = [2.0 * stats.t.sf(abs(one.difference) / one.stderr, 27) for one in found[:2]]
    small, large = sorted(raw)
    assert sorted(one.p_value or 0.0 for one in found[:2]) == pytest.approx(
        sorted([min(2.0 * small, 1.0), max(2.0 * small, large)])
    )


def test_an_ess_just_large_enough_is_judged() -> None:
    found = value_by_segment(three_segments(1.0), SegmentConfig(min_ess=28.0))
    assert [one.interval is None for one in found] == [False, False, True]


def test_noise_in_many_segments_is_rarely_called_a_gain() -> None:
    """Forty families of ten segments without effect: 2 false alarms are due, not 20."""
    rng = np.random.default_rng(4)
    alarms, uncorrected = 0, 0
    for _ in range(40):
        segment = np.repeat([f"s{k}" for k in range(10)], 20)
        log = bandit_log([0] * 200, [0.5] * 200, list(rng.normal(size=200)))
        policy = ips(replace(log, reward=log.reward + rng.normal(size=200)), log.propensity)
        reference = ips(log, log.propensity)
        found = value_by_segment(
            Segmented(log, log.propensity, policy, reference, segment), SegmentConfig(min_ess=10.0)
        )
        alarms += any(one.verdict is not SegmentVerdict.CANNOT_TELL for one in found)
        uncorrected += any(abs(one.difference) > 2.09 * one.stderr for one in found)
    assert alarms <= 7
    assert uncorrected >= 10


def test_a_policy_that_decides_alike_is_not_told_from_the_reference() -> None:
    log, _ = drawn(5)
    own = ips(log, log.propensity)
    found = value_by_segment(asked(log, log.propensity, own, NAMES), EASY)
    assert [(one.p_value, one.verdict) for one in found] == [(1.0, SegmentVerdict.SAME)] * 2


def test_a_sure_difference_needs_no_test() -> None:
    log = bandit_log([0] * 8, [0.5] * 8, [1.0] * 8)
    policy = ips(replace(log, reward=np.full(8, 2.0)), log.propensity)
    (found,) = value_by_segment(asked(log, log.propensity, policy, ["all"] * 8), EASY)
    assert (found.p_value, found.verdict) == (0.0, SegmentVerdict.BETTER)


def test_one_contact_is_no_segment_to_judge_and_two_are() -> None:
    log = bandit_log([0] * 5, [0.5] * 5, [1.0, 2.0, 3.0, 4.0, 6.0], cluster=[0, 0, 1, 2, 3])
    policy = ips(replace(log, reward=log.reward**2), log.propensity)
    found = value_by_segment(
        asked(log, log.propensity, policy, ["one", "two", "two", "one-more"]), EASY
    )
    assert {one.name: one.interval is None for one in found} == {
        "one": True,
        "one-more": True,
        "two": False,
    }


def test_no_judged_segment_is_no_error() -> None:
    found = value_by_segment(three_segments(1.0), SegmentConfig(min_ess=100.0))
    assert [one.verdict for one in found] == [SegmentVerdict.CANNOT_TELL] * 3


def test_a_contact_is_labelled_by_its_first_decision() -> None:
    log = random_log(6, [2, 1, 2], cluster=[4, 2, 4])
    assert contact_labels(log, ["a", "b", "c", "d", "e"]).tolist() == ["c", "a"]
    with pytest.raises(ShapeError, match="one label per decision, 5"):
        contact_labels(log, ["a"])


def test_labels_of_another_log_are_refused() -> None:
    log, taken = drawn(7)
    with pytest.raises(ShapeError, match=r"one per contact, \[7\], got \(6,\), \(7,\), \(7,\)"):
        value_by_segment(asked(log, taken, ips(log, taken), NAMES[:6]), EASY)


@pytest.mark.parametrize("level", [0.0, 1.0, 95.0])
def test_a_level_that_is_no_probability_is_refused(level: float) -> None:
    log, taken = drawn(8)
    with pytest.raises(ShapeError, match="a level is a probability"):
        value_by_segment(
            asked(log, taken, ips(log, taken), NAMES), SegmentConfig(min_ess=1.0, level=level)
        )


def half_alike(seed: int) -> Segmented:
    """The policy acts as the reference in segment a, but for rounding, and otherwise in b."""
    rng = np.random.default_rng(seed)
    n = 300
    log = bandit_log(list(rng.integers(2, size=n)), [0.5] * n, list(rng.normal(5.0, 2.0, size=n)))
    segment = np.where(np.arange(n) < 150, "a", "b")
    reference = np.full(n, 0.35)
    dust = 1.0 - 2.2e-16
    taken = np.where(segment == "a", reference * dust, 0.8)
    return Segmented(log, taken, ips(log, taken), ips(log, reference), segment)


def test_where_both_act_alike_no_rounding_makes_a_verdict() -> None:
    for seed in range(5):
        a, b = value_by_segment(half_alike(seed), EASY)
        assert (a.verdict, a.p_value) == (SegmentVerdict.SAME, 1.0)
        assert (a.difference, a.stderr) == (0.0, 0.0)
        assert a.interval is not None
        assert (a.interval.lower, a.interval.upper, a.interval.level) == (0.0, 0.0, 0.95)
        assert b.verdict is SegmentVerdict.BETTER


def test_contacts_who_meet_no_other_policy_are_told_beforehand() -> None:
    found = three_segments(0.0)
    alike = found.segment != "b"
    alike[0] = False  # one contact of a meets another policy: a is no segment of none
    a, b, c = value_by_segment(replace(found, alike=alike), EASY)
    assert [one.verdict is SegmentVerdict.SAME for one in (a, b, c)] == [False, False, True]
    assert c.difference == 0.0
    bare = value_by_segment(found, EASY)
    assert (a.difference, b.stderr) == (bare[0].difference, bare[1].stderr)
    with pytest.raises(ShapeError, match="what is alike must be one per contact"):
        value_by_segment(replace(found, alike=alike[:-1]), EASY)
