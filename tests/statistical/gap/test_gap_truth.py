"""The verdict agrees with what is known to be true of each world."""

from __future__ import annotations

import numpy as np
import pytest

from nurture_envs.worlds.learned import LearnedWorld
from nurture_rl.simulator.gap.compare import ComparisonResult
from nurture_rl.simulator.gap.report import GapReport
from nurture_rl.simulator.gap.trust import Cause, Trust
from tests.statistical.gap.broken_worlds import (
    FEATURE_THAT_LEAKS,
    fitted,
    gap,
    leaked,
    log,
    punctual,
    reference,
    shuffled,
)

TRAINED, HELD_OUT = 9000, 4000  # contacts


@pytest.fixture(scope="module")
def good_world() -> LearnedWorld:
    return fitted(log(TRAINED, 201), seed=1)


@pytest.fixture(scope="module")
def good_report(good_world: LearnedWorld) -> GapReport:
    return gap(good_world, log(HELD_OUT, 101))


def caught(report: GapReport, cause: Cause) -> str:
    """The sentence of the root cause, which must be the one given."""
    assert report.verdict.trust is Trust.NOTHING
    assert report.verdict.root is cause, report.verdict.sentence
    return report.verdict.causes[0].sentence


@pytest.mark.parametrize("seed", [101, 102])
def test_the_world_that_made_the_log_is_trusted_for_ranking(seed: int) -> None:
    report = gap(reference(), log(HELD_OUT, seed), seed=seed)
    assert report.verdict.trust is Trust.RANKING, report.verdict.sentence
    assert report.verdict.causes == ()
    assert report.evidence.two_sample.lower < 0.5 < report.evidence.two_sample.upper


def test_a_world_fitted_to_a_good_log_is_trusted_for_ranking(good_report: GapReport) -> None:
    assert good_report.verdict.trust is Trust.RANKING, good_report.verdict.sentence


def test_one_step_checks_agree_with_a_good_fit(good_report: GapReport) -> None:
    checked = [c for c in good_report.evidence.comparisons if c.family == "one step"]
    assert len(checked) > 10
    assert np.mean([c.finding is ComparisonResult.DIFFERS for c in checked]) < 0.1
    # Nothing was hidden from the features: both propensities tell the same effects.
    hidden = [abs(e.hidden.value) for e in good_report.evidence.effects]
    assert max(hidden) < 1e-9


@pytest.mark.parametrize("days", [1.5, 20.0])
def test_another_half_life_of_fatigue_is_caught(days: float) -> None:
    report = gap(reference(half_life=days), log(HELD_OUT, 101))
    caught(report, Cause.WRONG_FATIGUE_HALF_LIFE)
    found = report.evidence.half_lives
    assert found is not None
    assert found.real.lower < 5.0 < found.real.upper  # the planted truth
    assert (found.simulated.value < found.real.value) is (days < 5.0)


def test_ignored_confounding_is_caught() -> None:
    world = fitted(log(TRAINED, 302, True), "none", 2)
    report = gap(world, log(HELD_OUT, 402, True), known=False)
    assert "fit with propensity weights" in caught(report, Cause.IGNORED_CONFOUNDING)


def test_propensity_weights_heal_confounding() -> None:
    world = fitted(log(TRAINED, 302, True), "propensity", 2)
    weighted = gap(world, log(HELD_OUT, 402, True), known=False)
    assert Cause.IGNORED_CONFOUNDING not in {one.cause for one in weighted.verdict.causes}


def test_a_leaked_feature_is_caught_and_named() -> None:
    world = fitted(leaked(log(TRAINED, 201)), seed=1)
    sentence = caught(gap(world, leaked(log(HELD_OUT, 101))), Cause.LEAKED_FEATURE)
    assert FEATURE_THAT_LEAKS in sentence


def test_a_world_without_delays_is_caught() -> None:
    sentence = caught(gap(punctual(reference()), log(HELD_OUT, 101)), Cause.MISSING_DELAYS)
    assert "never by chance in the world" in sentence


def test_a_tiny_log_is_not_passed_for_lack_of_power() -> None:
    everybody = log(TRAINED, 201)
    world = fitted(everybody.take(everybody.cluster < 60))
    held_out = log(HELD_OUT, 101)
    tiny = held_out.take(held_out.cluster < 60)
    caught(gap(world, tiny), Cause.TOO_FEW_DATA)
    caught(gap(world, held_out), Cause.TOO_FEW_DATA)
    caught(gap(reference(), tiny), Cause.TOO_FEW_DATA)  # even where the world is right


def test_shuffled_propensities_are_caught_though_each_is_legal_where_it_stands() -> None:
    broken = shuffled(log(HELD_OUT, 402, True), 2)
    report = gap(reference(), broken, known=False)
    caught(report, Cause.BROKEN_PROPENSITIES)
    assert report.evidence.propensities.impossible == 0.0
