"""Group means carry errors clustered by contact, and p-values survive being many."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from nurture_rl.ope.checks.grouped import (
    GroupMeans,
    contact_of_row,
    contacts_in,
    family_wise,
    group_means,
    normal_p,
)
from tests.unit.ope.log_makers import random_log


def test_contacts_are_numbered_by_row() -> None:
    log = random_log(0, [2, 1, 2], cluster=[9, 4, 9])
    assert contact_of_row(log).tolist() == [1, 1, 0, 1, 1]


def test_one_row_per_contact_gives_the_textbook_error() -> None:
    values = np.array([1.0, 2.0, 4.0, 9.0, 5.0, 7.0])
    found = group_means(values, np.array([0, 0, 0, 0, 1, 1]), 3, np.arange(6))
    assert found.mean == pytest.approx([4.0, 6.0, 0.0])
    assert found.stderr[:2] == pytest.approx([stats.sem(values[:4]), stats.sem(values[4:])])
    assert found.stderr[2] == np.inf
    assert found.contacts.tolist() == [4, 2, 0]


def test_rows_of_a_contact_count_together_within_a_group() -> None:
    values = np.array([1.0, 3.0, 4.0, 8.0, 8.0])
    contact = np.array([0, 0, 1, 2, 2])
    found = group_means(values, np.array([0, 0, 0, 0, 1]), 2, contact)
    # Mean 4; contacts are off by -3 - 1, 0 and 4 in sum: 3/2 (16 + 0 + 16) / 16.
    assert found.mean == pytest.approx([4.0, 8.0])
    assert found.stderr[0] == pytest.approx(np.sqrt(1.5 * 32) / 4)
    assert found.contacts.tolist() == [3, 1]
    assert found.stderr[1] == np.inf


def test_p_values_are_two_sided_t() -> None:
    found = GroupMeans(
        np.array([0.3, 0.3, -0.2]), np.array([0.1, 0.1, 0.1]), np.array([40, 29, 30])
    )
    p = found.p_values(np.array([0.1, 0.1, 0.1]))
    assert p[0] == pytest.approx(2 * stats.t.sf(2.0 - 1e-5, 39))
    assert p[1] == 1.0  # fewer than 30 contacts
    assert p[2] == pytest.approx(2 * stats.t.sf(3.0 - 1e-5, 29))
    assert found.p_values()[0] == pytest.approx(2 * stats.t.sf(3.0 - 1e-5, 39))


def test_agreement_without_spread_is_no_evidence_and_disagreement_is() -> None:
    found = GroupMeans(np.array([0.0, 1e-7, 0.5]), np.zeros(3), np.array([50, 50, 50]))
    assert found.p_values().tolist() == [1.0, 1.0, 0.0]


def test_contacts_are_counted_once_a_group() -> None:
    found = contacts_in(np.array([0, 0, 2, 2]), 4, np.array([5, 5, 5, 1]))
    assert found.tolist() == [1, 0, 2, 0]


def test_normal_p_of_two_standard_errors() -> None:
    p = normal_p(np.array([-1.0, 1.0]), np.array([0.5, 0.0]))
    assert p == pytest.approx([2 * stats.norm.sf(2.0), 1.0])


def test_holm_steps_down_and_never_falls() -> None:
    assert family_wise(np.array([0.04, 0.01, 0.03, 0.9])) == pytest.approx([0.09, 0.04, 0.09, 0.9])
    assert family_wise(np.array([0.6, 0.5])) == pytest.approx([1.0, 1.0])
