"""Samples that differ are told from samples that chance made different."""

from __future__ import annotations

import numpy as np
import pytest

from nurture_rl.serving.watching.span_shift import (
    ContactSample,
    deviations,
    is_other_rate,
    shift_of,
)


def test_the_stability_index_is_that_of_the_definition() -> None:
    before, now = np.array([0.0] * 8 + [1.0] * 2), np.array([0.0] * 5 + [1.0] * 5)
    p, q = np.array([8.5, 2.5]) / 11.0, np.array([5.5, 5.5]) / 11.0
    assert shift_of(before, now).psi == pytest.approx(float(((q - p) * np.log(q / p)).sum()))
    assert not shift_of(before, now).is_sure  # ten contacts show nothing
    assert shift_of(np.tile(before, 20), np.tile(now, 20)).is_sure


def test_equal_samples_do_not_differ_whatever_their_values() -> None:
    for values in (np.zeros(5), np.arange(50.0), np.array([1.0, 2.0]), np.array([3.0])):
        found = shift_of(values, values)
        assert found.psi == pytest.approx(0.0)
        assert not found.is_sure


def test_chance_is_never_taken_for_a_shift_and_a_moved_mean_is() -> None:
    rng = np.random.default_rng(5)
    same = [shift_of(rng.normal(size=300), rng.normal(size=200)).is_sure for _ in range(2_000)]
    assert sum(same) <= 2  # at four standard deviations 0.06 are expected
    moved = [shift_of(rng.normal(size=300), rng.normal(1.0, size=200)) for _ in range(50)]
    assert all(one.is_sure and one.psi > 0.25 for one in moved)


@pytest.mark.parametrize(("squares", "freedom", "tail"), [(3.841, 1, 1.645), (16.92, 9, 1.645)])
def test_deviations_agree_with_the_tables_of_chi_square(
    squares: float, freedom: int, tail: float
) -> None:
    assert deviations(squares, freedom) == pytest.approx(tail, abs=0.1)  # both: 5 % lie above


def test_counts_are_compared_by_their_exposure() -> None:
    assert not is_other_rate(400, 100, 0.25)
    assert is_other_rate(400, 20, 0.25)
    assert is_other_rate(400, 200, 0.25)
    assert not is_other_rate(0, 0, 1.0)
    assert not is_other_rate(3, 0, 1.0)


def test_a_sample_depends_on_who_was_seen_alone() -> None:
    names = [f"contact {i}" for i in range(1_000)]
    forth, back = ContactSample(50), ContactSample(50)
    for name in names:
        forth.add(name, np.array([1.0]))
    for name in [*names[::-1], *names]:
        back.add(name, np.array([2.0]))
    assert len(forth.table()) == 50
    assert (back.table() == 2.0).all()
    assert set(forth.rows) == set(back.rows)
    few = ContactSample(50)
    few.add("a", np.array([1.0, 2.0]))
    few.add("a", np.array([3.0, 4.0]))
    assert few.table().tolist() == [[3.0, 4.0]]
    assert ContactSample(5).table().shape == (0, 0)
