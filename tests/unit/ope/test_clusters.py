"""Errors are summed inside a contact before they are squared."""

from __future__ import annotations

import numpy as np
import pytest

from nurture_rl.ope.clusters import cluster_totals, clustered_stderr
from tests.unit.ope.log_makers import bandit_log


def test_numbers_are_summed_by_contact_in_ascending_order() -> None:
    log = bandit_log([0] * 4, [0.5] * 4, [0.0] * 4, cluster=[9, 5, 9, 5])
    assert cluster_totals(log, np.array([1.0, 2.0, 4.0, 8.0])).tolist() == [10.0, 5.0]


def test_error_of_a_mean_is_the_textbook_one() -> None:
    values = np.array([1.0, 2.0, 4.0, 9.0])
    influence = (values - values.mean()) / 4.0
    assert clustered_stderr(influence) == pytest.approx(values.std(ddof=1) / np.sqrt(4.0))


def test_two_contacts_are_enough_and_one_is_not() -> None:
    # 2/1 * (0.5^2 + 0.5^2) = 1
    assert clustered_stderr(np.array([0.5, -0.5])) == pytest.approx(1.0)
    assert clustered_stderr(np.array([0.0])) == np.inf
