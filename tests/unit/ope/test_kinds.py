"""Rows alike in every column share a number, and no others do."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nurture_rl.ope.kinds import contexts, kinds
from tests.unit.ope.log_makers import random_log


def partition(labels: np.ndarray[tuple[int], np.dtype[np.int64]]) -> list[list[int]]:
    """Rows by kind, in order of their first."""
    return sorted(np.flatnonzero(labels == one).tolist() for one in np.unique(labels))


def test_rows_alike_in_all_columns_are_one_kind() -> None:
    first, second = np.array([1.0, 2.0, 1.0, 1.0]), np.array([5, 5, 5, 6])
    assert partition(kinds([first, second])) == [[0, 2], [1], [3]]


def test_columns_do_not_change_places() -> None:
    assert partition(kinds([np.array([1, 2]), np.array([2, 1])])) == [[0], [1]]
    assert partition(kinds([np.array([3, 4]), np.array([3, 4])])) == [[0], [1]]


def test_zero_has_no_sign() -> None:
    assert partition(kinds([np.array([0.0, -0.0, 1.0])])) == [[0, 1], [2]]


def test_a_context_is_features_and_mask() -> None:
    log = random_log(0, [1] * 3)
    features = np.array([[1.0, 0.0], [1.0, 0.0], [1.0, 2.0]], dtype=np.float32)
    mask = np.ones((3, 3), dtype=np.bool_)
    assert partition(contexts(replace(log, features=features, mask=mask))) == [[0, 1], [2]]
    mask[1, 2] = False
    assert partition(contexts(replace(log, features=features, mask=mask))) == [[0], [1], [2]]
