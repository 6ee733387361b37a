"""How alike two policies decide, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from nurture_rl.appraisal.fidelity import ActionFidelity, fidelity
from nurture_rl.errors import ShapeError

IDS = ("wait", "send", "call")
SHOWN = np.array([0, 0, 1, 1, 1, 2])
TAKEN = np.array([0, 1, 1, 1, 2, 0])
CLUSTER = np.array([7, 7, 8, 9, 9, 9])


def test_decisions_are_counted_alike_and_by_what_is_at_stake() -> None:
    stake = np.array([1.0, 2.0, 5.0, 0.0, 1.0, 1.0])
    found = fidelity(SHOWN, TAKEN, stake, CLUSTER, IDS)
    assert found.alike.value == pytest.approx(3 / 6)
    assert found.at_stake.value == pytest.approx(6 / 10)
    assert (found.decisions, found.contacts) == (6, 3)
    assert found.actions == (
        ActionFidelity("send", 3, 2, "call"),
        ActionFidelity("wait", 2, 1, "send"),
        ActionFidelity("call", 1, 0, "wait"),
    )


def test_the_interval_counts_contacts_not_decisions() -> None:
    same = np.tile([1, 0], 50)
    once = fidelity(same, np.ones(100, int), np.ones(100), np.arange(100), ("a", "b"))
    # The same hundred decisions ten times each by the same contacts tell no more.
    again = fidelity(
        np.repeat(same, 10), np.ones(1000, int), np.ones(1000), np.repeat(np.arange(100), 10),
        ("a", "b"),
    )  # fmt: skip
    assert (again.alike.lower, again.alike.upper) == pytest.approx(
        (once.alike.lower, once.alike.upper)
    )
    # 1.96 standard errors of a share of one half among 100
    assert once.alike.upper - once.alike.value == pytest.approx(1.96 * 0.05, rel=0.01)


def test_where_nothing_is_at_stake_every_decision_counts_alike() -> None:
    found = fidelity(SHOWN, TAKEN, np.zeros(6), CLUSTER, IDS)
    assert found.at_stake == found.alike


def test_no_decision_at_all_is_refused() -> None:
    none = np.zeros(0, int)
    with pytest.raises(ShapeError, match="expected decisions that both policies take, got 0"):
        fidelity(none, none, np.zeros(0), none, IDS)
