"""Open episodes of a running log: weighted for, left out, and said, against a known truth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from nurture_rl.appraisal.appraise import appraise
from nurture_rl.appraisal.estimation import COMPLETE_ONLY, WEIGHTED, EvaluationConfig
from nurture_rl.appraisal.evaluation import plain
from nurture_rl.appraisal.kpis import KpiQuestion, outcome_log
from nurture_rl.appraisal.record import Appraisal
from nurture_rl.appraisal.risk_profile import LogAnnotations, StillRunning
from nurture_rl.ope.bounds.choose import chosen_interval
from nurture_rl.ope.bounds.rare_outcomes import rare_outcomes
from nurture_rl.ope.censoring import RunningLog, followup, ipcw_ips, observation_weights
from nurture_rl.ope.checks.findings import Severity
from nurture_rl.ope.estimators import ips
from nurture_rl.ope.intervals import interval_of
from nurture_rl.ope.log import BoolArray, EvaluationLog, FloatArray, take_episodes
from tests.checks import finding_of
from tests.unit.ope.running_world import HORIZON, SALE, TARGET, exact_value, running_log

LOG, AGE = running_log(np.random.default_rng(0), 4000)
FOLLOWED = followup(LOG, AGE, HORIZON)
EARLY = FOLLOWED.age >= HORIZON  # begun early enough to be over however they go


class Fixed:
    """A policy that draws with the same chances everywhere."""

    def __init__(self, chances: FloatArray) -> None:
        self.chances = chances

    def action_probabilities(self, features: NDArray[np.float32], mask: BoolArray) -> FloatArray:
        return np.tile(self.chances, (len(mask), 1))


def episodes(kept: BoolArray) -> EvaluationLog:
    return take_episodes(LOG, np.flatnonzero(kept))


def sales(log: EvaluationLog) -> FloatArray:
    return (log.reward > 0.0).astype(np.float64)


def rare(log: EvaluationLog) -> FloatArray:
    """A few of the late sales."""
    late = (log.step == HORIZON - 1) & (np.arange(log.n_rows) % 7 == 0)
    return np.where(late, sales(log), 0.0)


def appraised(asked: str = WEIGHTED, running: bool = True) -> Appraisal:
    whole = episodes(EARLY)
    figures = (sales(LOG), rare(LOG))
    still = StillRunning(RunningLog(LOG, FOLLOWED), figures) if running else None
    labels = np.array(["a", "b"], dtype=object)[np.arange(whole.n_episodes) % 2]
    beside = LogAnnotations(
        segments={"half": labels},
        kpis=(
            KpiQuestion("sales", "north star", "higher", sales(whole)),
            KpiQuestion("rare", "supporting", "higher", rare(whole)),
        ),
        running=still,
    )
    policies = {"new": Fixed(TARGET), "even": Fixed(np.full(2, 0.5))}
    config = EvaluationConfig(open_episodes=asked)
    return appraise(whole, policies, "even", np.random.default_rng(0), config, beside)


def test_weighting_covers_the_truth_where_finished_episodes_alone_do_not() -> None:
    found = appraised().evaluation.policies["new"].estimates
    assert set(found) == {"ips", "dr"}
    for one in found.values():
        assert one.interval.lower <= exact_value() <= one.interval.upper
    # An episode that sells is over early: what is over by now has sold more than the rest will.
    done = episodes(FOLLOWED.observed)
    alone = interval_of(ips(done, TARGET[done.action]), 0.95)
    assert alone.lower > exact_value() + 0.5


def test_every_value_weights_and_is_narrower_than_without_open_episodes() -> None:
    weighted, without = appraised().evaluation, appraised(COMPLETE_ONLY).evaluation
    expected = ipcw_ips(LOG, TARGET[LOG.action], FOLLOWED)
    assert weighted.policies["new"].estimates["ips"].estimate.value == expected.value
    assert weighted.logged.estimate.value == ipcw_ips(LOG, LOG.propensity, FOLLOWED).value
    one, other = weighted.policies["new"].difference, without.policies["new"].difference
    assert one is not None
    assert other is not None
    assert one.stderr < other.stderr
    assert "snips" in weighted.policies["new"].refusals
    assert "open episodes" in weighted.policies["new"].refusals["snips"]


def test_key_figures_weight_too() -> None:
    figure = appraised().kpis[0].policies["new"]
    assert figure is not None
    # Sells unless every bin goes by without; TARGET sells in a bin with chance 0.205.
    assert figure.lower <= 1.0 - (1.0 - 0.205) ** HORIZON <= figure.upper
    assert SALE == 10.0


def test_rare_outcomes_keep_their_interval_as_large_as_they_are_counted() -> None:
    figure, weights = appraised().kpis[1], observation_weights(FOLLOWED)
    log = outcome_log(LOG, rare(LOG))
    counted = replace(log, reward=weights[log.episode] * log.reward)
    outcomes = rare_outcomes(counted, log.propensity)
    estimate = ipcw_ips(log, log.propensity, FOLLOWED)
    expected = chosen_interval(estimate, figure.level, outcomes)
    assert expected.method == "weighted-poisson"
    assert (figure.logged.lower, figure.logged.upper) == (expected.lower, expected.upper)


def test_segments_rest_on_whole_episodes() -> None:
    assert appraised().segments == appraised(COMPLETE_ONLY).segments


def test_the_finding_says_how_many_are_open_and_what_was_done() -> None:
    for asked, words in (
        (WEIGHTED, "inverse probability of censoring weighting"),
        (COMPLETE_ONLY, "they are left out"),
    ):
        finding = finding_of(appraised(asked).checks, "censored")
        assert finding is not None
        assert finding.severity is Severity.WARN
        assert finding.numbers["open"] == (~FOLLOWED.observed).sum()
        assert finding.numbers["whole"] == EARLY.sum()
        assert finding.sentence.startswith(
            f"{(~FOLLOWED.observed).sum()} of 4000 episodes were still open when the log ends"
        )
        assert words in finding.sentence
        assert "when an episode begins says nothing about how it goes" in finding.sentence


@pytest.mark.parametrize("asked", [WEIGHTED, COMPLETE_ONLY])
def test_nothing_open_changes_nothing(asked: str) -> None:
    found = appraised(asked, running=False)
    assert finding_of(found.checks, "censored") is None
    assert plain(found) == plain(appraised("weighted", running=False))
    # And what is left out is left out of everything else as well.
    both = replace(appraised(COMPLETE_ONLY), checks=found.checks)
    assert plain(both) == plain(found)
