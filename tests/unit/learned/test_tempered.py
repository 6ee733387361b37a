"""Values that tilt: the same scores, acted on softly."""

from __future__ import annotations

import numpy as np
import pytest

from nurture_rl.learned.choice_rules import Greedy, Vote
from nurture_rl.learned.scored import ScoredModule, ScoredPolicy
from nurture_rl.learned.tempered import has_values, spread_of_values, tempered
from nurture_rl.policies.policy import PolicyError

X, OPEN = np.zeros((2, 1), np.float32), np.ones((2, 3), np.bool_)


def valued(rule: Greedy | Vote) -> ScoredPolicy:
    """Actions worth 0, 1 and 3, whatever the context."""
    maps = np.array([[[0.0, 0.0], [1.0, 0.0], [3.0, 0.0]]])
    module = ScoredModule((np.zeros(1), np.ones(1)), [], maps, rule)
    return ScoredPolicy("abc", ("x",), module, {"rows": 5.0})


def test_a_tempered_policy_weighs_by_its_values_and_the_first_stays_as_it_was() -> None:
    policy = valued(Greedy())
    soft = tempered(policy, 2.0).action_probabilities(X, OPEN)[0]
    assert soft == pytest.approx(np.exp([0.0, 0.5, 1.5]) / np.exp([0.0, 0.5, 1.5]).sum())
    assert policy.action_probabilities(X, OPEN)[0].round(6).tolist() == [0.0, 0.0, 1.0]


def test_a_temperature_that_is_none_is_refused() -> None:
    with pytest.raises(PolicyError, match="temperature"):
        tempered(valued(Greedy()), 0.0)


def test_who_takes_the_best_action_has_values_and_who_votes_has_not() -> None:
    assert has_values(valued(Greedy()))
    assert not has_values(valued(Vote()))
    assert not has_values(tempered(valued(Greedy()), 1.0))


def test_the_spread_is_that_of_what_the_logging_policy_does_by_hand() -> None:
    logging = np.array([[0.5, 0.5, 0.0], [0.0, 0.0, 1.0]])
    # values 0 and 1 with mean 1/2: variance 1/4; then no choice: 0; their mean is 1/8
    spread = spread_of_values(valued(Greedy()), X, OPEN, logging)
    assert spread == pytest.approx(np.sqrt(1.0 / 8.0))
