"""Probabilities are checked within the decimals they were written with, and no further."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from nurture_rl.errors import ConfigError, LogError, ShapeError
from nurture_rl.interchange.admission import Admission, admit
from nurture_rl.interchange.bandit_feedback import FeedbackMeaning, read_feedback
from nurture_rl.interchange.frames import FrameColumns, FrameMeaning, read_frame

A, B, C = 1.0 / 3.0, 0.3, 2.0 / 3.0 - 0.3


def feedback(decimals: int, **changed: Any) -> Admission:
    """Three rounds of a target that is written with some decimals."""
    given: dict[str, Any] = {
        "n_actions": 3,
        "context": np.zeros((3, 1)),
        "action": [0, 1, 2],
        "reward": [1.0, 0.0, 1.0],
        "pscore": [0.5, 0.25, 0.25],
    }
    table = np.round(np.tile([A, A, A], (3, 1)), decimals)
    return admit(read_feedback(given, FeedbackMeaning(), {"u": changed.get("u", table)}), 0.1)


@pytest.mark.parametrize("decimals", [3, 4, 5, 6])
def test_a_rounded_distribution_is_made_whole_and_said(decimals: int) -> None:
    found = feedback(decimals)
    assert found.targets["u"].tolist() == [[1 / 3] * 3] * 3
    (_, note) = found.notes
    assert note.startswith(f"the distributions of policy 'u' are written with {decimals} decimals")
    assert "3 of 3 rows" in note


@pytest.mark.parametrize("off", [0.999, 1.001, 0.9999])
def test_a_distribution_with_all_its_digits_is_held_to_them(off: float) -> None:
    exact = np.tile([0.123456789, 0.3, 0.576543211], (3, 1))
    with pytest.raises(LogError, match="bad distribution of policy 'u'"):
        feedback(9, u=exact * off)


@pytest.mark.parametrize(
    "row", [[0.0, 0.0, 0.0], [1.0, 1.0, 1.0], [0.9, 0.0, 0.0], [0.6, 0.6, -0.2], [0.5, np.nan, 0.5]]
)
def test_what_is_no_distribution_is_never_divided_by_its_sum(row: list[float]) -> None:
    with pytest.raises(LogError, match="3 with bad distribution of policy 'u'"):
        feedback(9, u=np.tile(row, (3, 1)))


def frame(decimals: int, propensity: float) -> Admission:
    """Three rows with the logging policy's whole distribution."""
    table = {
        "who": ["ann", "bob", "cid"],
        "arm": ["a", "b", "c"],
        "p": [propensity, B, round(C, decimals)],
        "paid": [1.0, 0.0, 1.0],
        "all": [[round(one, decimals) for one in (A, B, C)]] * 3,
    }
    columns = FrameColumns(
        action="arm", propensity="p", reward="paid", contact="who", logged_probabilities=("all",)
    )
    return admit(read_frame(pa.table(table), columns, FrameMeaning()), 0.4)


def test_a_propensity_may_be_written_shorter_than_its_distribution() -> None:
    found = frame(6, 0.3333)
    assert found.refused == ()
    assert found.log.logged_probabilities is not None
    assert found.log.propensity.tolist() == [found.log.logged_probabilities[k, k] for k in range(3)]


def test_a_propensity_beyond_its_precision_contradicts_its_distribution() -> None:
    (row,) = frame(6, 0.3343).refused
    assert row.reason.startswith("contradicting propensity: the logged distribution says 0.333333")


def test_names_stand_for_one_thing_each() -> None:
    given = {
        "n_actions": 3,
        "context": np.zeros((3, 1)),
        "action": [0, 1, 2],
        "reward": [1.0, 0.0, 1.0],
        "pscore": [0.5, 0.25, 0.25],
    }
    with pytest.raises(
        ConfigError, match=r"expected each action of .* once, got 'a' more than once"
    ):
        admit(read_feedback(given, FeedbackMeaning(actions=("a", "b", "a"))), 0.1)
    with pytest.raises(ShapeError, match="2 actions are named"):
        admit(read_feedback(given, FeedbackMeaning(actions=("a", "b"))), 0.1)
