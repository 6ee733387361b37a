"""The evaluation log refuses what no estimator could use, and keeps episodes together."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nurture_rl.errors import (
    ActionError,
    LogError,
    NurtureError,
    ProbabilityError,
    PropensityError,
    ShapeError,
)
from nurture_rl.ope.log import (
    as_single_decisions,
    continuation,
    discount_from_start,
    evaluation_log,
    first_rows,
    horizon,
    positions,
    take_episodes,
)
from tests.unit.ope.log_makers import random_log


def valid_fields() -> dict[str, Any]:
    """Three decisions in two episodes, the first with a gap of three bins."""
    return {
        "features": np.zeros((3, 1)),
        "mask": np.array([[True, True], [True, False], [True, True]]),
        "action": [1, 0, 0],
        "propensity": [0.25, 1.0, 0.5],
        "logged_probabilities": np.array([[0.75, 0.25], [1.0, 0.0], [0.5, 0.5]]),
        "reward": [1.0, 2.0, 3.0],
        "episode": [0, 0, 1],
        "step": [4, 7, 2],
        "cluster": [10, 10],
        "terminal": [False, True, False],
        "action_factors": np.eye(2),
        "discount": 0.5,
        "unit": "EUR",
    }


def test_a_forced_row_with_propensity_one_is_ordinary() -> None:
    assert evaluation_log(**valid_fields()).propensity[1] == 1.0


def test_discount_counts_bins_not_rows() -> None:
    log = evaluation_log(**valid_fields())
    assert continuation(log).tolist() == [0.125, 0.0, 0.0]
    assert discount_from_start(log).tolist() == [1.0, 0.125, 1.0]


REFUSALS: list[tuple[dict[str, Any], type[NurtureError], str]] = [
    ({"propensity": [0.25, np.nan, np.nan]}, PropensityError, "2 of 3 .* missing, first row 1"),
    ({"propensity": [0.25, 0.0, 0.5]}, PropensityError, r"lie in \(0, 1\].*first row 1"),
    ({"propensity": [0.25, 1.0, 1.5]}, PropensityError, "first row 2 with 1.5"),
    (
        {"propensity": [0.3, 1.0, 0.5]},
        PropensityError,
        "1 propensity differs from logged",
    ),
    ({"action": [1, 1, 0]}, ActionError, "but 1 is forbidden, first row 1 with action 1"),
    ({"action": [1, 0, 2]}, ActionError, r"lie in 0..1, but row 2 has 2"),
    ({"reward": [1.0, np.nan, 3.0]}, LogError, "reward must be finite.*first row 1"),
    ({"features": np.full((3, 1), np.inf)}, LogError, "features must be finite"),
    ({"episode": [0, 0, 2]}, LogError, "without gaps"),
    ({"episode": [1, 1, 0]}, LogError, "without gaps"),
    ({"step": [4, 4, 2]}, LogError, "row 1 does not come after row 0"),
    ({"terminal": [True, True, False]}, LogError, "row 0 is terminal but its episode goes on"),
    ({"discount": 1.5}, LogError, r"discount must lie in \(0, 1\]"),
    ({"cluster": [10]}, ShapeError, "contact of 1 episode, but the log has 2"),
    ({"reward": [1.0]}, ShapeError, r"reward \(1,\) instead of \(3,\)"),
    ({"mask": np.ones(3)}, ShapeError, r"must be \[N, d\]"),
    (
        {"logged_probabilities": np.array([[0.7, 0.25], [1.0, 0.0], [0.5, 0.5]])},
        ProbabilityError,
        "row 0 does not sum to 1",
    ),
    (
        {"logged_probabilities": np.array([[0.75, 0.25], [0.9, 0.1], [0.5, 0.5]])},
        ProbabilityError,
        "row 1 puts mass on a masked action",
    ),
]


@pytest.mark.parametrize(("change", "error", "message"), REFUSALS)
def test_one_broken_field_is_refused_by_name(
    change: dict[str, Any], error: type[NurtureError], message: str
) -> None:
    with pytest.raises(error, match=message):
        evaluation_log(**(valid_fields() | change))


def test_an_empty_log_is_refused() -> None:
    empty: dict[str, Any] = {
        name: value[:0] if isinstance(value, np.ndarray | list) else value
        for name, value in valid_fields().items()
    }
    with pytest.raises(LogError, match="no decision"):
        evaluation_log(**empty)


def test_single_decisions_keep_their_contact_and_lose_their_past() -> None:
    log = random_log(0, [3, 1, 2], cluster=[7, 8, 7])
    single = as_single_decisions(log)
    assert single.cluster.tolist() == [7, 7, 7, 8, 7, 7]
    assert horizon(single) == 1
    assert not continuation(single).any()
    assert (single.step == log.step).all()


def test_taken_episodes_come_in_the_order_asked_and_may_repeat() -> None:
    log = random_log(1, [3, 1, 2], cluster=[7, 8, 9])
    taken = take_episodes(log, [2, 0, 2])
    assert taken.cluster.tolist() == [9, 7, 9]
    assert taken.reward.tolist() == log.reward[[4, 5, 0, 1, 2, 4, 5]].tolist()
    assert first_rows(taken).tolist() == [0, 2, 5]
    assert positions(taken).tolist() == [0, 1, 0, 1, 2, 0, 1]


def test_an_episode_that_is_not_there_cannot_be_taken() -> None:
    with pytest.raises(LogError, match=r"0..2, got 1 of them in 3..3"):
        take_episodes(random_log(1, [3, 1, 2]), [3])
