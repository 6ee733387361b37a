"""Who is taken without the truth, and where the lift goes that the taken one leaves."""

from __future__ import annotations

import pytest

from experiments.learners.chooser import chosen_alone, chosen_for_release
from experiments.learners.losses import losses
from tests.experiments.learners.recorded import BROKEN, CQL, PPO, learner, outcome, standard


def test_the_highest_lower_bound_is_taken_for_release_whatever_the_truth() -> None:
    taken = chosen_for_release([CQL, PPO, BROKEN])
    assert taken is not None
    assert (taken.record.learner, taken.merit) == ("ppo", 6.0)
    assert (taken.best.learner, taken.regret) == ("cql", 10.0)  # truly 50 against 40


def test_the_highest_mean_in_the_fitted_world_is_taken_alone() -> None:
    taken = chosen_alone([CQL, PPO, BROKEN])
    assert taken is not None
    assert (taken.record.learner, taken.merit) == ("ppo", 100.0)
    assert (taken.best.learner, taken.regret) == ("cql", 10.0)  # truly 80 against 70


def test_who_has_no_bound_is_taken_only_where_nobody_has_one() -> None:
    unknown = learner("dqn", outcome(90.0, 95.0, lower=-float("inf")), outcome(90.0, 95.0))
    taken = chosen_for_release([unknown, CQL])
    assert taken is not None
    assert taken.record.learner == "cql"


def test_nobody_is_taken_where_all_failed() -> None:
    assert chosen_for_release([BROKEN]) is None
    assert chosen_alone([BROKEN]) is None


def test_the_parts_of_the_lift_add_up() -> None:
    taken = chosen_for_release([CQL, PPO])
    assert taken is not None
    found = losses(taken, 80.0, standard())
    assert found.taken == 10.0  # ppo is released at 40, the drip earns 30
    assert found.by_region == 30.0  # alone it earns 70
    assert found.by_choice == 10.0  # cql alone earns 80
    assert found.by_learning == 50.0  # the oracle earns 130
    parts = (found.taken, found.by_region, found.by_choice, found.by_learning)
    assert sum(parts) == pytest.approx(found.lift)
    assert (found.world_error, found.world_error_alone) == (50.0, 30.0)  # believed 90 and 100
