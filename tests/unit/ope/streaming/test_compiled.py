"""Compiled loops give the sums of numpy, to the last few bits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nurture_rl.ope.contact_hash import shift_of
from nurture_rl.ope.streaming.compiled import add_choices, add_rows
from nurture_rl.ope.streaming.decision_columns import DecisionColumns, rows_of_log
from nurture_rl.ope.streaming.moments import Moments, no_moments
from nurture_rl.ope.streaming.numpy_sums import chunk_moments
from tests.unit.ope.streaming.makers import SMALL, decided, some_rows

# Hashes wrap around; where loops run uncompiled, the interpreter warns of it.
pytestmark = pytest.mark.filterwarnings("ignore:(overflow|invalid value) encountered in scalar")

GRID = (np.array(SMALL.clips), np.array(SMALL.taus), 1.0 / np.array(SMALL.lams))
SHIFT = shift_of(SMALL.n_buckets)


def summed(rows: DecisionColumns) -> Moments:
    new = no_moments(SMALL)
    columns = (rows.taken, rows.propensity, rows.reward, rows.q_logged, rows.value)
    matched = add_rows(new.sums, new.bounds, GRID, SHIFT, rows.contact, columns)
    return replace(new, matched=matched)


def require_same(found: Moments, expected: Moments) -> None:
    np.testing.assert_allclose(found.sums, expected.sums, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(found.bounds, expected.bounds, rtol=1e-12)
    assert found.matched == expected.matched


def test_rows_sum_up_as_in_numpy() -> None:
    rows = some_rows(0, 300)
    require_same(summed(rows), chunk_moments(rows, SMALL))


def test_ranges_and_outcomes_leave_out_what_is_zero() -> None:
    rows = some_rows(1, 40)
    rows = replace(rows, reward=np.where(np.arange(40) % 3 == 0, 0.0, np.abs(rows.reward)))
    require_same(summed(rows), chunk_moments(rows, SMALL))
    impossible = replace(rows, taken=np.zeros(40), reward=np.zeros(40))
    require_same(summed(impossible), chunk_moments(impossible, SMALL))


def test_choices_sum_up_as_their_rows() -> None:
    log, target, model = decided(2, 200)
    q = np.random.default_rng(3).normal(size=target.shape)
    every = np.arange(200)
    new = no_moments(SMALL)
    given = (target, q, log.action, log.propensity, log.reward)
    contact = log.cluster.astype(np.uint64)
    matched, wrong = add_choices(new.sums, new.bounds, GRID, SHIFT, contact, given)
    answers = replace(model, q_logged=q[every, log.action], value=np.einsum("na,na->n", target, q))
    rows = rows_of_log(log, target[every, log.action], answers)
    require_same(replace(new, matched=matched), chunk_moments(rows, SMALL))
    assert wrong == -1


@pytest.mark.parametrize(
    ("row", "first"),
    [
        ([0.5, 0.4, 0.0], 1),
        ([0.5, 0.6, 0.0], 1),
        ([1.5, -0.5, 0.0], 1),
        ([np.nan, 0.5, 0.5], 1),
        ([0.0, 1.0 + 5e-7, 0.0], -1),
        ([0.0, 1.0 - 5e-7, 0.0], -1),
    ],
)
def test_the_first_row_that_is_no_distribution_is_named(row: list[float], first: int) -> None:
    target = np.array([[0.2, 0.3, 0.5], row, row])
    ones, new = np.ones(3), no_moments(SMALL)
    given = (target, np.zeros((3, 3)), np.zeros(3, dtype=np.int64), ones, ones)
    _, wrong = add_choices(new.sums, new.bounds, GRID, SHIFT, np.arange(3, dtype=np.uint64), given)
    assert wrong == first
