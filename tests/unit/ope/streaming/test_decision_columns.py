"""Rows are what the log says, and every fault is named."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nurture_rl.errors import LogError, ShapeError
from nurture_rl.ope.streaming.decision_columns import (
    FAULTS,
    DecisionColumns,
    faults,
    require_sound,
    rows_of_log,
)
from tests.unit.ope.log_makers import random_log
from tests.unit.ope.streaming.makers import decided, some_rows


def spoilt(name: str, value: float) -> DecisionColumns:
    rows = some_rows(0, 6)
    changed = getattr(rows, name).copy()
    changed[2] = value
    return replace(rows, **{name: changed})


def test_rows_are_the_decisions_of_the_log() -> None:
    log, target, model = decided(1, 20)
    taken = target[np.arange(20), log.action]
    rows = rows_of_log(log, taken, model)
    assert rows.contact.tolist() == log.cluster.tolist()
    assert rows.value is model.value
    assert rows.q_logged is model.q_logged
    assert (rows.propensity is log.propensity, rows.reward is log.reward) == (True, True)
    assert not faults(rows).any()


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("propensity", np.nan, "no propensity"),
        ("propensity", 0.0, "propensity outside (0, 1]"),
        ("propensity", -0.1, "propensity outside (0, 1]"),
        ("propensity", 1.1, "propensity outside (0, 1]"),
        ("propensity", np.inf, "propensity outside (0, 1]"),
        ("reward", np.nan, "reward missing or not finite"),
        ("reward", -np.inf, "reward missing or not finite"),
        ("taken", np.nan, "target probability missing or outside [0, 1]"),
        ("taken", -0.1, "target probability missing or outside [0, 1]"),
        ("taken", 1.1, "target probability missing or outside [0, 1]"),
        ("q_logged", np.nan, "prediction missing or not finite"),
        ("value", np.inf, "prediction missing or not finite"),
    ],
)
def test_each_fault_is_named_and_no_other_row_blamed(name: str, value: float, reason: str) -> None:
    found = faults(spoilt(name, value))
    assert [FAULTS[at] for at in found] == ["sound"] * 2 + [reason] + ["sound"] * 3
    with pytest.raises(LogError, match="1 of 6 decisions cannot be used, first row 2"):
        require_sound(spoilt(name, value))


def test_rounding_above_one_is_no_fault() -> None:
    assert not faults(spoilt("propensity", 1.0 + 5e-7)).any()
    assert not faults(spoilt("taken", 1.0 + 5e-7)).any()
    assert not faults(spoilt("taken", 0.0)).any()


def test_codes_must_not_be_negative_in_any_group() -> None:
    rows = replace(some_rows(2, 3), groups={"a": np.array([0, -1, 0]), "b": np.array([0, 0, -1])})
    assert [FAULTS[at] for at in faults(rows)] == ["sound", *["group code missing or negative"] * 2]
    good = replace(rows, groups={"a": np.array([0, 1, 0])})
    assert not faults(good).any()
    # Another fault of the row comes first.
    both = replace(rows, reward=np.array([1.0, np.nan, 1.0]))
    assert FAULTS[faults(both)[1]] == "reward missing or not finite"


def test_some_rows_keep_their_groups() -> None:
    rows = replace(some_rows(3, 4), groups={"week": np.array([3, 1, 2, 0])})
    part = rows.take(np.array([2, 0]))
    assert part.groups["week"].tolist() == [2, 3]
    assert part.reward.tolist() == [rows.reward[2], rows.reward[0]]
    assert part.q_logged.tolist() == [rows.q_logged[2], rows.q_logged[0]]
    assert part.value.tolist() == [rows.value[2], rows.value[0]]


def test_longer_episodes_are_refused() -> None:
    log = random_log(4, [2, 1])
    _, _, model = decided(4, 3)
    with pytest.raises(ShapeError, match="episodes of up to 2"):
        rows_of_log(log, log.propensity, model)


def test_columns_of_different_lengths_are_refused() -> None:
    with pytest.raises(ShapeError, match="one length"):
        require_sound(replace(some_rows(5, 4), reward=np.ones(3)))
    with pytest.raises(ShapeError, match="one length"):
        require_sound(replace(some_rows(5, 4), groups={"week": np.zeros(3, dtype=np.int64)}))
