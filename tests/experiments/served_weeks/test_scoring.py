"""Scores of runs whose intervals are known to hold the truth, or not."""

from __future__ import annotations

import pytest

from experiments.served_weeks.readings import Told
from experiments.served_weeks.scoring import roles_table, scored
from experiments.served_weeks.served import Checks, Run
from experiments.served_weeks.truth import Truth

TRUE = Truth("inbound_lead", "policy", "meetings", 0.1, 0.02, 0.0)


def run_of(number: int, half: list[float | None], difference: float = 0.03) -> Run:
    told = Told(
        arm="policy",
        figure="meetings",
        role="north star",
        days=[7, 14],
        difference=[difference, difference],
        stderr=[0.01, 0.01],
        half=half,
        information=[0.1, 1.0],
        adjusted=[False, True],
    )
    return Run("inbound_lead", number, None, Checks(*[0] * 8), [told], 1.0)


def test_what_is_inside_is_counted_at_the_end_and_in_all_weeks() -> None:
    runs = [
        run_of(0, [0.02, 0.02]),  # 0.01 from the truth: inside twice
        run_of(1, [0.005, 0.02]),  # outside in the first week
        run_of(2, [None, 0.005]),  # nothing is said in the first, outside in the last
        run_of(3, [None, None], 0.01),
    ]
    (score,) = scored(runs, [TRUE, Truth("trial_onboarding", "policy", "meetings", 0, 0, 0)])
    assert (score.inside, score.runs) == (2, 3)
    assert (score.always, score.played) == (2, 4)
    assert score.width == pytest.approx((2.0 + 2.0 + 0.5) / 3.0 / 1.959964, rel=1e-6)
    assert score.widest == pytest.approx(2.0 / 1.959964, rel=1e-6)
    assert (score.once, score.apart) == (3, 3)
    assert score.off == pytest.approx(0.005 / (0.01 / 4**0.5))
    assert "| 2 of 3 (9.4% to 99.2%) | 2 of 4 (6.8% to 93.2%) |" in roles_table([score])


def test_a_truth_that_is_known_up_to_noise_is_held_by_a_wider_interval() -> None:
    near = Truth("inbound_lead", "policy", "meetings", 0.1, 0.0195, 0.004)
    (score,) = scored([run_of(0, [0.01, 0.01]), run_of(1, [0.005, 0.005])], [near])
    assert (score.inside, score.runs) == (1, 2)
