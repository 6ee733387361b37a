"""What findings about main signals, and checks that a log does not allow, leave of the trust."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nurture_rl.simulator.gap.causes import causes
from nurture_rl.simulator.gap.compare import Comparison, ComparisonResult, Estimate
from nurture_rl.simulator.gap.gap_evidence import Evidence
from nurture_rl.simulator.gap.propensities import PropensityCheck
from nurture_rl.simulator.gap.settings import GapConfig
from nurture_rl.simulator.gap.trust import Cause, GapVerdict, Trust, verdict
from nurture_rl.simulator.gap.two_sample import TwoSampleTest

TWO_SAMPLE = TwoSampleTest(0.5, 0.01, 0.48, 0.52, (), (), (1000, 1000))
READ = ("meeting", *(f"signal {i}" for i in range(30)))


def compared(
    family: str, head: str, gap: float = 0.0, differs: bool = False, stderr: float = 0.02
) -> Comparison:
    found = ComparisonResult.DIFFERS if differs else ComparisonResult.UNCLEAR
    seen = Estimate(0.03, 0.001)
    return Comparison(family, head, "all", seen, seen, gap, stderr, 0.2, "log ratio", found)


def judged(evidence: Evidence) -> GapVerdict:
    return verdict(causes(evidence, GapConfig()))


def flawless(*more: Comparison, star: float = 0.0, reward: float = 0.0) -> Evidence:
    """A world that agrees in all that rankings rest on, and further comparisons."""
    return Evidence(
        episodes=1000,
        contacts=1000,
        simulated_episodes=1000,
        main=("meeting",),
        read=READ,
        star=("meeting",),
        star_events=500.0,
        fitted_on=1000,
        unlearned=(),
        effective_share=1.0,
        comparisons=(
            compared("rate", "meeting", star),
            compared("reward", "return", reward),
            *more,
        ),
        curves=(),
        half_lives=None,
        survival=(),
        hours=(),
        delays=(),
        delays_known=True,
        two_sample=TWO_SAMPLE,
        propensities=PropensityCheck(True, 0.0, None, (), 1000),
        leaks=(),
        effects=(),
        disagreement=(),
        calibration=None,
        notes=(),
    )


def test_a_world_that_agrees_everywhere_is_trusted_for_ranking() -> None:
    assert judged(flawless()).trust is Trust.RANKING


@pytest.mark.parametrize("family", ["message", "week", "segment", "one step", "a new family"])
@pytest.mark.parametrize("head", ["meeting", "return"])
def test_a_main_signal_off_in_any_part_forbids_ranking(family: str, head: str) -> None:
    found = judged(flawless(compared(family, head, -1.3, differs=True)))
    assert found.trust is Trust.TRAINING
    assert found.root is Cause.WRONG_MINOR_RATES
    assert f"{head} " in found.sentence
    assert f"({family})" in found.sentence


def test_a_single_minor_signal_off_in_a_part_does_not() -> None:
    assert judged(flawless(compared("message", "signal 3", -1.3, differs=True))).causes == ()


def test_a_main_signal_off_overall_forbids_all_use() -> None:
    found = judged(flawless(compared("funnel", "meeting", -1.3, differs=True)))
    assert found.trust is Trust.NOTHING
    assert [one.cause for one in found.causes] == [Cause.WRONG_RATES]


@pytest.mark.parametrize(("star", "reward"), [(0.21, 0.0), (0.0, -0.21)])
def test_what_rankings_rest_on_must_itself_lie_within_its_margin(
    star: float, reward: float
) -> None:
    # An interval of 0.21 +- 0.04 lies within twice the margin of 0.2, and does not differ surely.
    found = judged(flawless(star=star, reward=reward))
    assert found.trust is Trust.TRAINING
    assert [one.cause for one in found.causes] == [Cause.WRONG_MINOR_RATES]
    assert judged(flawless(star=0.19, reward=-0.19)).trust is Trust.RANKING


def test_a_log_without_propensities_cannot_earn_trust_for_ranking() -> None:
    unknown = PropensityCheck(False, 0.0, None, (), 0)
    found = judged(replace(flawless(), propensities=unknown))
    assert found.trust is Trust.TRAINING
    assert found.root is Cause.UNPROVEN
    assert (found.causes[0].number, found.causes[0].threshold) == (0.0, 1.0)  # of what is known
    assert "log propensities" in found.sentence


def test_a_log_without_times_of_recording_cannot_earn_trust_for_ranking() -> None:
    found = judged(replace(flawless(), delays_known=False))
    assert found.trust is Trust.TRAINING
    assert found.root is Cause.UNPROVEN
    assert (found.causes[0].number, found.causes[0].threshold) == (0.0, 1.0)  # of what is known
    assert "time of recording" in found.sentence
