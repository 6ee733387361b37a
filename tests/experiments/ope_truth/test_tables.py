"""The tables of the truth study say what the scores say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from experiments.ope_truth.scores import SELECTED
from experiments.ope_truth.study import TrueValues, TruthCell, TruthFinding
from experiments.ope_truth.tables import (
    all_scores,
    chosen_table,
    estimator_table,
    policy_table,
    score_panels,
    selection_table,
    value_panels,
)
from experiments.world_ranking.study import LOGGING

TRUTH = TrueValues(
    value={LOGGING: 10.0, "a": 14.0, "b": 12.0},
    stderr={LOGGING: 0.1, "a": 0.2, "b": 0.3},
    decisions_per_contact=5.0,
)
TRUTHS = {"w": TRUTH}


def cell(replicate: int, dr: tuple[float, float], dm: tuple[float, float]) -> TruthCell:
    """Both policies by both estimators; `b` is not carried, and DR is the selected one."""
    findings = [
        TruthFinding(policy, estimator, value, value - 1.0, value + 1.0, 50.0, carried, 0.25)
        for estimator, values in (("dr", dr), ("dm", dm))
        for policy, value, carried in zip("ab", values, (True, False), strict=True)
    ]
    return TruthCell("w", 50, replicate, 51, 10, replicate, 1.0, tuple(findings), ())


CELLS = [cell(1, (14.5, 11.0), (9.0, 13.5)), cell(2, (12.0, 20.0), (14.0, 12.0))]


def cells_of(line: str) -> list[str]:
    return [one.strip() for one in line.split("|")[1:-1]]


def test_one_line_an_estimator_with_means_over_logs_and_counts() -> None:
    lines = estimator_table(all_scores(TRUTHS, CELLS)).splitlines()[2:]
    dr, dm, selected = (cells_of(line) for line in lines)
    assert dr[:4] == ["50", "2", "dr", "4 of 6"]
    # Carried: a alone, off by 0.5 and by 2 of 14; covered once. Not carried: b, once.
    assert dr[5:8] == ["0.089", "50% of 2", "50% of 2"]
    # Log 1 takes a for the best, log 2 takes b: 2 of a gain of 4.
    assert dr[10] == "25%"
    assert dr[12] == "0.25"
    assert dm[11] == "50%"  # log 1 puts a below the logging policy, which is kept: all is lost
    assert selected[2] == SELECTED
    assert selected[3:] == dr[3:]


def test_selection_is_held_against_the_best_in_hindsight() -> None:
    lines = selection_table(all_scores(TRUTHS, CELLS)).splitlines()[2:]
    by_size, overall = (cells_of(line) for line in lines)
    assert by_size[0] == "50"
    assert overall[0] == "all"
    assert by_size[1:] == ["0.089", "0.089", "dr", "0.0%", "0.0%", "dr", "+0.0%"]
    assert overall[1:] == by_size[1:]


def test_selected_estimators_are_counted_once_a_log() -> None:
    assert cells_of(chosen_table(CELLS).splitlines()[2]) == ["50", "2", "dr 2"]


def test_policies_come_best_first_with_what_carries_them() -> None:
    own = replace(CELLS[0].findings[0], policy=LOGGING, ess=10.0)
    both = [replace(one, findings=(*one.findings, own)) for one in CELLS]
    lines = [cells_of(line) for line in policy_table(TRUTH, both).splitlines()[2:]]
    assert [line[0] for line in lines] == ["a", "b", LOGGING]
    assert lines[0][1:] == ["14.00 ± 0.20", "+4.00", "50 (2 of 2)"]
    assert lines[1][1:] == ["12.00 ± 0.30", "+2.00", "50 (0 of 2)"]
    assert lines[2][2] == ""


def test_panels_hold_the_same_numbers() -> None:
    panel = score_panels(all_scores(TRUTHS, CELLS))[0]
    assert panel.estimators == ("dr", "dm", SELECTED)
    np.testing.assert_allclose(panel.covered, [[0.5, 0.5, 0.5]])
    np.testing.assert_allclose(panel.regret, [[0.0, 0.5, 0.0]])
    assert np.isnan(panel.spearman).all()  # one carried policy has no order
    shown = value_panels(TRUTHS, CELLS, "dm")[0][0]
    assert shown.true.tolist() == [14.0, 12.0]
    assert shown.value.tolist() == [9.0, 13.5]
    assert shown.carried.tolist() == [True, False]
