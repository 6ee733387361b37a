"""Shares of the attainable lift, and journeys whose oracle is beaten."""

from __future__ import annotations

from dataclasses import replace
from math import isnan

import pytest

from experiments.learners.scoring import ALONE, RELEASED, panels
from experiments.learners.shares import share, voiding
from tests.experiments.learners.recorded import (
    BROKEN,
    CQL,
    ORACLE,
    PPO,
    PROGRAMMES,
    learner,
    outcome,
    standard,
    truth,
)


def test_a_share_is_0_at_the_programme_1_at_the_oracle_and_may_be_negative() -> None:
    assert share(30.0, 30.0, 130.0) == 0.0
    assert share(130.0, 30.0, 130.0) == 1.0
    assert share(80.0, 30.0, 130.0) == 0.5
    assert share(20.0, 30.0, 130.0) == -0.1


def test_there_is_no_share_of_what_is_not_attainable() -> None:
    assert isnan(share(80.0, 130.0, 130.0))
    assert isnan(share(80.0, 140.0, 130.0))


def test_shares_are_of_the_lift_over_the_drip_and_of_what_lies_above_the_expert() -> None:
    [panel] = panels([*PROGRAMMES, CQL, PPO, BROKEN], {"reference": standard()})
    assert panel.shares("cql", RELEASED) == [pytest.approx(0.2)]  # (50 - 30) / (130 - 30)
    assert panel.shares("cql", ALONE) == [pytest.approx(0.5)]  # (80 - 30) / (130 - 30)
    above = panel.shares("cql", ALONE, "expert")
    assert above == [pytest.approx(20.0 / 70.0)]  # (80 - 60) / (130 - 60)


def test_a_failed_cell_is_told_and_counts_in_no_mean() -> None:
    again = learner("cql", None, None, seed=1)
    [panel] = panels([*PROGRAMMES, CQL, again, BROKEN], {"reference": standard()})
    assert panel.learners == ("cql",)
    assert panel.shares("cql", RELEASED) == [pytest.approx(0.2)]
    assert [(one.learner, one.seed) for one in panel.failures] == [("cql", 1), ("bcq", 0)]


@pytest.mark.parametrize("value", [ORACLE, ORACLE + 0.1])
@pytest.mark.parametrize("row", ["released", "alone", "let_loose"])
def test_a_policy_that_is_not_below_the_oracle_voids_its_journey(row: str, value: float) -> None:
    best = outcome(value, 70.0, lower=1.0)
    winner = {
        "released": replace(PPO, released=best),
        "alone": replace(PPO, alone=best),
        "let_loose": replace(PPO, let_loose=truth(value)),
    }[row]
    records = [*PROGRAMMES, CQL, winner]
    assert voiding(records) == (f"ppo {row} (500 contacts, seed 0)",)
    [panel] = panels(records, {"reference": standard()})
    assert isnan(panel.shares("cql", ALONE)[0])
    assert panel.choices()[0].losses is None


def test_an_oracle_above_everybody_voids_nothing() -> None:
    assert voiding([*PROGRAMMES, CQL, PPO, BROKEN]) == ()


def test_records_held_against_another_oracle_are_left_out() -> None:
    stale = replace(CQL, oracle="another")
    [panel] = panels([*PROGRAMMES, stale, PPO], {"reference": standard()})
    assert panel.learners == ("ppo",)
