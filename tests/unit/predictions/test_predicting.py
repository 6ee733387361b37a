"""Chances are judged on later time, by a model that knew the log as it stood before."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nurture_envs.clock import DAY_US
from nurture_envs.journey_file import load_journey
from nurture_rl.predictions.predicted_outcomes import PredictedOutcome, predicted_outcomes
from nurture_rl.predictions.predicting import (
    GOOD,
    Predicted,
    PredictionConfig,
    predict_outcomes,
)
from tests.unit.predictions.planted_hazards import planted

JOURNEY = load_journey("inbound_lead")
COMES = PredictedOutcome("comes", "comes", ("clicked_pricing",), once=True)
STAYS = PredictedOutcome("stays", "does not come", ("clicked_pricing",), absent=True)
CONFIG = PredictionConfig(horizons=(7.0, 30.0, 90.0))


def predicted(marks: object, as_of_day: float, outcome: PredictedOutcome = COMES) -> Predicted:
    return predict_outcomes(marks, (outcome,), JOURNEY, round(as_of_day * DAY_US), CONFIG)  # type: ignore[arg-type]


def test_planted_chances_are_calibrated_on_later_time_and_close_to_the_truth() -> None:
    marks, hazard = planted(24000, 0.02, days=120.0)
    found = predicted(marks, 150.0)
    week, month, _ = found.told
    for told, horizon in ((week, 7.0), (month, 30.0)):
        assert told.verdict == GOOD
        assert told.judged is not None
        assert told.judged.ece <= 0.02
        truth = 1.0 - np.exp(-hazard * horizon)
        chance = found.chance("comes", marks.features, marks.age, horizon)
        assert np.abs(chance - truth).mean() < 0.02


def test_the_absence_of_all_is_the_rest_of_the_chance() -> None:
    marks, _ = planted(3000, 0.02, days=60.0)
    comes, stays = predicted(marks, 80.0), predicted(marks, 80.0, STAYS)
    a, b = comes.chances(marks.features, marks.age), stays.chances(marks.features, marks.age)
    assert np.allclose(a["comes_7d"] + b["stays_7d"], 1.0)
    assert stays.told[0].judged is not None
    assert stays.told[0].judged.skill_low > 0.0


def test_a_horizon_longer_than_the_log_is_said_and_not_printed() -> None:
    marks, _ = planted(3000, 0.02, days=60.0)
    found = predicted(marks, 80.0)
    ninety = found.told[2]
    assert not ninety.told
    assert "no decision was watched for 90 days, the longest for 80" in ninety.verdict
    assert "comes_90d" not in found.chances(marks.features, marks.age)


def test_too_few_outcomes_are_said_and_not_printed() -> None:
    marks, _ = planted(400, 0.0005, days=60.0)
    told = predicted(marks, 80.0).told[0]
    assert not told.told
    assert "20 are needed" in told.verdict


def test_what_a_world_did_before_it_changed_is_found_out_on_later_time() -> None:
    marks, _ = planted(9000, 0.03, days=120.0, flips_on=56.0)
    told = predicted(marks, 130.0).told[0]
    assert told.judged is not None
    assert told.judged.skill_low < 0.0
    assert told.verdict != GOOD


def test_the_judged_model_knows_nothing_that_was_recorded_later() -> None:
    marks, _ = planted(4000, 0.02, days=100.0)
    split = np.datetime64(str(predicted(marks, 120.0).told[0].split).rstrip("Z"), "us")
    at = int(split.astype(np.int64))
    later = marks.decided_us > at
    changed = replace(
        marks,
        features=np.where(later[:, None], 9.0, marks.features).astype(np.float32),
        days_until=np.where(marks.known_us > at, 0.5, marks.days_until),
        known_us=np.where(marks.known_us > at, np.maximum(marks.known_us, at + 1), marks.known_us),
    )
    before, after = predicted(marks, at / DAY_US), predicted(changed, at / DAY_US)
    early = marks.features[~later]
    same = [found.chance("comes", early, marks.age[~later], 7.0) for found in (before, after)]
    assert np.array_equal(same[0], same[1])


def test_who_has_done_it_is_not_asked_again() -> None:
    marks, _ = planted(3000, 0.02, days=60.0)
    had = np.arange(3000) % 2 == 0
    told = predicted(replace(marks, had=had[:, None]), 80.0).told[0]
    whole = predicted(marks, 80.0).told[0]
    assert told.judged is not None
    assert whole.judged is not None
    assert told.judged.n == pytest.approx(whole.judged.n / 2, rel=0.1)


@pytest.mark.parametrize(
    ("name", "outcomes"),
    [
        ("inbound_lead", ["convert", "advance", "engage", "ignore", "churn"]),
        ("stalled_opportunity", None),
        ("trial_onboarding", None),
        ("renewal", None),
    ],
)
def test_outcomes_of_shipped_journeys(name: str, outcomes: list[str] | None) -> None:
    journey = load_journey(name)
    found = {one.name: one for one in predicted_outcomes(journey)}
    assert outcomes is None or list(found) == outcomes
    machines = {one.name for one in journey.signals if one.is_machine or one.by_action}
    for outcome in found.values():
        assert not machines & set(outcome.signals)
    if name in ("trial_onboarding", "renewal"):
        assert "cancelled" in found["churn"].signals
    if name == "inbound_lead":
        assert found["advance"].signals == ("became_mql", "became_sql")
        assert not found["advance"].once
    if name == "stalled_opportunity":
        assert "lost" in found["churn"].signals


def test_one_account_alone_is_no_ground_to_judge_on() -> None:
    marks, _ = planted(3000, 0.02, days=60.0)
    name = np.where(marks.decided_us > 20 * DAY_US, "late", marks.cluster.astype(str))
    told = predicted(replace(marks, cluster=name.astype(object)), 80.0).told[0]
    assert not told.told
    assert "all later decisions are of one account" in told.verdict
