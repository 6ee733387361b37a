"""Cases from real logs: the replayed value by hand, agreement of two measured values, verdicts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from experiments.real_logs.study import (
    CANNOT_TELL,
    MISSED,
    RECOVERED,
    Known,
    RealCase,
    ask,
    figure_rows,
    matched_value,
    mean_of,
    on_log,
    summary_table,
)
from nurture_rl.ope.estimators import ips
from nurture_rl.ope.log import EvaluationLog, FloatArray, evaluation_log
from nurture_rl.ope.named_estimators import FULLY_WEIGHTED
from nurture_rl.ope.targets import target_on_log


def even_log(n: int, seed: int, chance: float = 0.5) -> EvaluationLog:
    """Action 1 earns 1 in three of five decisions, action 0 in one of five."""
    rng = np.random.default_rng(seed)
    action = (rng.random(n) < chance).astype(np.int64)
    rows = np.tile([1.0 - chance, chance], (n, 1))
    return evaluation_log(
        features=rng.normal(size=(n, 2)),
        mask=np.ones((n, 2)),
        action=action,
        propensity=rows[np.arange(n), action],
        logged_probabilities=rows,
        reward=rng.random(n) < np.where(action == 1, 0.6, 0.2),
        episode=np.arange(n),
        step=np.zeros(n),
        cluster=np.arange(n),
        terminal=np.ones(n),
        action_factors=np.eye(2),
        discount=1.0,
        unit="EUR",
    )


def test_a_replayed_value_weighs_strata_by_their_size() -> None:
    # Rows 0-3: action 1 has chance 0.5; rows 4-9: 0.25. Means of those who got it: 3 and 6.
    chance = np.repeat([0.5, 0.25], [4, 6])
    action = np.array([1, 1, 0, 0, 1, 1, 0, 0, 0, 0])
    reward = np.array([2.0, 4.0, 9.0, 9.0, 5.0, 7.0, 9.0, 9.0, 9.0, 9.0])
    rows = np.stack([1.0 - chance, chance], axis=1)
    log = evaluation_log(
        features=np.zeros((10, 1)),
        mask=np.ones((10, 2)),
        action=action,
        propensity=rows[np.arange(10), action],
        logged_probabilities=rows,
        reward=reward,
        episode=np.arange(10),
        step=np.zeros(10),
        cluster=np.arange(10),
        terminal=np.ones(10),
        action_factors=np.eye(2),
        discount=1.0,
        unit="EUR",
    )
    found = matched_value(log, np.tile([0.0, 1.0], (10, 1)))
    assert found.value == pytest.approx(0.4 * 3.0 + 0.6 * 6.0)
    # Rows of the action stray by share * (r - mean) / matched, all rows by (mean - value) / N.
    inside = np.array([-0.2, 0.2, 0, 0, -0.3, 0.3, 0, 0, 0, 0])
    between = np.repeat([3.0 - 4.8, 6.0 - 4.8], [4, 6]) / 10.0
    assert found.stderr == pytest.approx(np.sqrt(10 / 9 * ((inside + between) ** 2).sum()))


def test_a_target_given_by_rows_is_the_target_asked_of_a_policy() -> None:
    log = even_log(50, 1, chance=0.25)
    rows = np.tile([0.4, 0.6], (50, 1))

    class Same:
        def action_probabilities(self, features: object, mask: object, /) -> FloatArray:
            return rows

    given, asked = on_log(log, rows), target_on_log(log, Same(), "same", 50)
    np.testing.assert_array_equal(given.taken, asked.taken)
    np.testing.assert_allclose(given.second_moment, asked.second_moment)
    np.testing.assert_array_equal(given.unsupported, asked.unsupported)
    bare = replace(log, logged_probabilities=None)
    alone, unknown = on_log(bare, rows), target_on_log(bare, Same(), "same", 50)
    np.testing.assert_allclose(alone.second_moment, unknown.second_moment)
    assert alone.unsupported is None


def case(known: Known, n: int = 600) -> RealCase:
    log = even_log(n, 2)
    return RealCase("made", "even", "always 1", log, np.tile([0.0, 1.0], (n, 1)), known)


def test_a_case_is_recovered_missed_or_not_carried() -> None:
    rng = np.random.default_rng(0)
    right = ask(case(Known(0.6, 0.02)), rng)
    assert right.verdict == RECOVERED
    assert right.missed == ()
    assert right.answers[0].value == pytest.approx(ips(case(right.known).log, _ones()).value)
    wrong = ask(case(Known(0.3, 0.001)), rng)
    assert wrong.verdict == MISSED
    assert {"ips", "snips", "dr"} <= set(wrong.missed)
    assert set(wrong.missed) <= FULLY_WEIGHTED  # others promise nothing about their bias
    assert ask(case(Known(0.6, 0.02), n=60), rng).verdict == CANNOT_TELL


def _ones() -> FloatArray:
    return np.asarray(even_log(600, 2).action == 1, np.float64)


def test_two_measured_values_may_differ_by_both_errors() -> None:
    rng = np.random.default_rng(0)
    exact = ask(case(Known(0.6, 0.0)), rng).answers[0]
    half = exact.upper - exact.value
    far = Known(exact.value + 1.1 * half, 0.0)
    assert not ask(case(far), rng).answers[0].covered
    # sqrt(1 + z^2 s^2) >= 1.1 half widths: s of 0.3 half widths is enough.
    assert ask(case(replace(far, stderr=0.3 * half)), rng).answers[0].covered
    below = Known(exact.value - 0.9 * (exact.value - exact.lower), 0.0)
    assert ask(case(below), rng).answers[0].covered


def test_a_plain_mean_has_its_standard_error() -> None:
    assert mean_of(np.array([1.0, 3.0])) == Known(2.0, 1.0)


def test_the_table_and_the_figure_tell_the_same() -> None:
    found = [ask(case(Known(0.5, 0.05)), np.random.default_rng(0))]
    line = summary_table(found, ["snips", "dr", "absent"]).splitlines()[2]
    assert line.startswith("| made | even → always 1 | 600 | 0.5 [0.402, 0.598] |")
    assert "| refused |" in line
    row = figure_rows(found, ["snips"])[0]
    assert row.known_half == pytest.approx(1.96 * 0.05 / 0.5, rel=1e-3)
    assert [one[0] for one in row.estimates] == ["snips"]
    snips = next(one for one in found[0].answers if one.estimator == "snips")
    assert row.estimates[0][1:] == pytest.approx(
        (2.0 * snips.value, 2.0 * snips.lower, 2.0 * snips.upper)
    )
