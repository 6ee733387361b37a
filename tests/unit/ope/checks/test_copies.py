"""Copies under other contacts are told from rows that are merely alike."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nurture_rl.ope.checks.copies import copies_finding
from nurture_rl.ope.checks.findings import CheckThresholds, Severity
from nurture_rl.ope.log import EvaluationLog
from tests.unit.ope.log_makers import random_log

LIMITS = CheckThresholds()


def rows(seed: int, n: int, levels: int) -> EvaluationLog:
    """Single decisions between two actions; features of so many levels, few of them paid."""
    rng = np.random.default_rng(seed)
    action = rng.integers(2, size=n)
    return replace(
        random_log(seed, [1] * n, n_actions=2),
        features=rng.integers(levels, size=(n, 1)).astype(np.float32),
        mask=np.ones((n, 2), dtype=np.bool_),
        action=action,
        propensity=np.full(n, 0.5),
        logged_probabilities=None,
        reward=(rng.random(n) < 0.05).astype(np.float64),
    )


def twice(log: EvaluationLog, first: int, cluster: np.ndarray | None = None) -> EvaluationLog:
    """The log with its first rows repeated at its end."""
    index = np.concatenate([np.arange(log.n_rows), np.arange(first)])
    n = index.size
    return replace(
        log,
        features=log.features[index],
        mask=log.mask[index],
        action=log.action[index],
        propensity=log.propensity[index],
        reward=log.reward[index],
        episode=np.arange(n),
        step=np.zeros(n, dtype=np.int64),
        cluster=np.arange(n) if cluster is None else cluster,
        terminal=np.ones(n, dtype=np.bool_),
    )


def test_rows_that_all_stand_twice_are_refused() -> None:
    found = copies_finding(twice(rows(0, 300, 10**7), 300), LIMITS)
    assert found is not None
    assert found.severity is Severity.REFUSE
    assert found.numbers["repeated"] == 300.0
    assert found.numbers["share"] == 0.5
    assert "300 of 600 decisions repeat another contact's" in found.sentence
    assert "one contact" in found.advice


def test_rows_of_few_kinds_are_alike_and_no_copies() -> None:
    for seed in range(20):
        found = copies_finding(rows(seed, 600, 60), LIMITS)
        assert found is not None
        assert found.severity is Severity.OK
        assert found.numbers["repeated"] > 300.0


def test_copies_among_rows_of_few_kinds_are_seen() -> None:
    found = copies_finding(twice(rows(1, 600, 600), 600), LIMITS)
    assert found is not None
    assert found.severity is Severity.REFUSE
    coarse = copies_finding(twice(rows(1, 600, 200), 600), LIMITS)
    assert coarse is not None
    assert coarse.severity is Severity.WARN


def test_a_few_copies_among_many_rows_warn() -> None:
    found = copies_finding(twice(rows(2, 3000, 10**7), 50), LIMITS)
    assert found is not None
    assert found.severity is Severity.WARN
    assert found.numbers["repeated"] == 50.0


def test_a_contact_may_repeat_itself() -> None:
    log = rows(3, 300, 10**7)
    assert copies_finding(twice(log, 300, np.arange(600) % 300), LIMITS) is None


def test_features_that_are_never_alike_say_nothing() -> None:
    assert copies_finding(rows(4, 300, 10**7), LIMITS) is None
    assert copies_finding(twice(rows(4, 300, 10**7), 29), LIMITS) is None
    assert copies_finding(twice(rows(4, 300, 10**7), 30), LIMITS) is not None


def test_what_was_not_drawn_is_no_evidence() -> None:
    log = rows(5, 300, 10**7)
    assert copies_finding(twice(replace(log, propensity=np.ones(300)), 300), LIMITS) is None


def test_copies_must_earn_the_same() -> None:
    both = twice(rows(6, 300, 10**7), 300)
    other = both.reward.copy()
    other[300:] += 1.0
    found = copies_finding(replace(both, reward=other), LIMITS)
    assert found is not None
    assert (found.severity, found.numbers["repeated"]) == (Severity.OK, 0.0)
    # Pairs of no copy at all score below what is allowed: far from any evidence.
    assert found.numbers["p"] > 0.999
