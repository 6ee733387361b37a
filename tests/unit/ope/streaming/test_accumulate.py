"""Arrays to sums: whole, in parts, on threads, compiled or not: the same, and guarded."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nurture_rl.errors import ActionError, LogError, ProbabilityError, ShapeError
from nurture_rl.ope.streaming import accumulate
from nurture_rl.ope.streaming.accumulate import Choices, moments_of, moments_of_choices
from nurture_rl.ope.streaming.decision_columns import DecisionColumns, rows_of_log
from nurture_rl.ope.streaming.moments import Moments, MomentsConfig, merged
from nurture_rl.ope.streaming.numpy_sums import chunk_moments
from tests.unit.ope.streaming.makers import SMALL, decided, some_rows

# Hashes wrap around; where loops run uncompiled, the interpreter warns of it.
pytestmark = pytest.mark.filterwarnings("ignore:(overflow|invalid value) encountered in scalar")

numba_or_not = pytest.mark.parametrize("compiled", [False, True])


def choices(seed: int, n: int) -> Choices:
    log, target, _ = decided(seed, n)
    q = np.random.default_rng(seed + 1).normal(size=target.shape)
    contact = log.cluster.astype(np.uint64)
    return Choices(target, q, log.action, log.propensity, log.reward, contact)


def require_same(found: Moments, expected: Moments) -> None:
    np.testing.assert_allclose(found.sums, expected.sums, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(found.bounds, expected.bounds, rtol=1e-12)
    assert found.matched == expected.matched


@numba_or_not
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_parts_and_threads_change_nothing(
    compiled: bool, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accumulate, "CHUNK_ROWS", 30)
    rows = some_rows(0, 100)
    require_same(moments_of(rows, SMALL, threads, compiled), chunk_moments(rows, SMALL))
    whole = moments_of_choices(choices(2, 100), SMALL, 1, compiled)
    require_same(moments_of_choices(choices(2, 100), SMALL, threads, compiled), whole)


@pytest.mark.parametrize(
    ("compiled", "threads", "parts"), [(False, 1, 4), (True, 1, 1), (True, 2, 2)]
)
def test_chunks_are_small_in_numpy_and_one_per_thread_when_compiled(
    compiled: bool, threads: int, parts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []

    def counted(rows: DecisionColumns, config: MomentsConfig) -> Moments:
        seen.append(rows.contact.size)
        return chunk_moments(rows, config)

    monkeypatch.setattr(accumulate, "CHUNK_ROWS", 30)
    monkeypatch.setattr(accumulate, "_compiled_rows", counted)
    monkeypatch.setattr(accumulate, "chunk_moments", counted)
    moments_of(some_rows(0, 100), SMALL, threads, compiled)
    assert len(seen) == parts
    assert sum(seen) == 100


@numba_or_not
def test_choices_are_the_rows_they_stand_for(compiled: bool) -> None:
    given = choices(3, 80)
    log, target, model = decided(3, 80)
    every = np.arange(80)
    answers = replace(
        model,
        q_logged=given.q[every, log.action],
        value=np.einsum("na,na->n", target, given.q),
    )
    rows = rows_of_log(log, target[every, log.action], answers)
    require_same(moments_of_choices(given, SMALL, 2, compiled), chunk_moments(rows, SMALL))


@numba_or_not
def test_an_empty_part_is_no_part(compiled: bool) -> None:
    nothing = moments_of(some_rows(4, 10).take(slice(0, 0)), SMALL, 2, compiled)
    assert nothing.n_rows == 0
    rows = some_rows(4, 10)
    require_same(merged(nothing, moments_of(rows, SMALL, 1, compiled)), chunk_moments(rows, SMALL))


def test_weights_are_summed_by_code() -> None:
    rows = replace(some_rows(5, 4), groups={"week": np.array([2, 0, 2, 2])})
    weight = rows.taken / rows.propensity
    later = weight[[0, 2, 3]]
    expected = [
        [1, weight[1], weight[1] ** 2],
        [0, 0, 0],
        [3, later.sum(), (later**2).sum()],
    ]
    assert moments_of(rows, SMALL).by["week"] == pytest.approx(np.array(expected))


def test_rows_at_fault_are_refused() -> None:
    rows = some_rows(6, 5)
    with pytest.raises(LogError, match="reward missing"):
        moments_of(replace(rows, reward=np.full(5, np.nan)), SMALL)
    given = choices(7, 5)
    with pytest.raises(LogError, match="propensity outside"):
        moments_of_choices(replace(given, propensity=np.zeros(5)), SMALL)


@numba_or_not
def test_a_target_that_is_no_distribution_is_refused_with_its_row(
    compiled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accumulate, "CHUNK_ROWS", 4)
    given = choices(8, 10)
    for wrong in ([0.5, 0.4, 0.0], [1.5, -0.5, 0.0], [np.nan, 0.5, 0.5], [0.6, 0.5, 0.0]):
        target = given.target.copy()
        target[7] = wrong
        with pytest.raises(ProbabilityError, match="row 7 of the target"):
            moments_of_choices(replace(given, target=target), SMALL, 2, compiled)


@pytest.mark.parametrize("action", [-1, 3])
def test_actions_outside_the_catalogue_are_refused(action: int) -> None:
    given = choices(9, 5)
    with pytest.raises(ActionError, match=r"actions must lie in 0\.\.2"):
        moments_of_choices(replace(given, action=np.array([0, 1, action, 0, 0])), SMALL)


def test_predictions_that_are_not_finite_are_refused() -> None:
    given = choices(10, 5)
    with pytest.raises(ShapeError, match="q holds numbers that are not finite"):
        moments_of_choices(replace(given, q=np.full(given.q.shape, np.inf)), SMALL)


def test_arrays_must_fit_together() -> None:
    given = choices(11, 5)
    with pytest.raises(ShapeError, match="expected q"):
        moments_of_choices(replace(given, q=given.q[:, :2]), SMALL)
    with pytest.raises(ShapeError, match="expected q"):
        moments_of_choices(replace(given, action=given.action[:4]), SMALL)
    with pytest.raises(ShapeError, match="one length"):
        moments_of_choices(replace(given, reward=given.reward[:4]), SMALL)
