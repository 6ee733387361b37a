"""Columns beside a log belong to it, and names stand in for positions."""

from __future__ import annotations

import numpy as np
import pytest

from nurture_rl.errors import ShapeError
from nurture_rl.ope.checks.context import LogContext, groups, require_fit
from tests.unit.ope.log_makers import random_log


def test_names_stand_in_for_positions() -> None:
    named = LogContext(feature_names=("opens", "age"), action_ids=("wait", "send"))
    assert (named.feature(1), named.action(0)) == ("age", "wait")
    assert (LogContext().feature(1), LogContext().action(0)) == ("feature 1", "action 0")


def test_columns_of_another_log_are_refused() -> None:
    log = random_log(0, [2, 3])
    require_fit(log, LogContext(np.zeros(5, int), np.full(5, "a"), np.ones(5, bool), ("a", "b")))
    with pytest.raises(ShapeError, match=r"week must be \[5\], one per decision .* \(4,\)"):
        require_fit(log, LogContext(week=np.zeros(4, int)))
    with pytest.raises(ShapeError, match="matured must be"):
        require_fit(log, LogContext(matured=np.ones(6, bool)))
    with pytest.raises(ShapeError, match="logger must be"):
        require_fit(log, LogContext(logger=np.full(6, "a")))
    with pytest.raises(ShapeError, match="action_ids must name 3, got 2"):
        require_fit(log, LogContext(action_ids=("a", "b")))
    with pytest.raises(ShapeError, match="feature_names must name 2, got 1"):
        require_fit(log, LogContext(feature_names=("a",)))


def test_groups_are_sorted_and_placed() -> None:
    names, place = groups(np.array([7, 3, 7]))
    assert names == ["3", "7"]
    assert place.tolist() == [1, 0, 1]
