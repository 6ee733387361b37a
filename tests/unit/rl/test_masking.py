"""Forbidden actions are never best, never averaged, and move no gradient."""

from __future__ import annotations

import math

import pytest
import torch

from nurture_rl.rl.masking import (
    all_on_best,
    legal_only,
    log_probabilities,
    log_sum_exp,
    mean_over,
)

SCORES = torch.tensor([[1.0, 9.0, 2.0], [-5.0, 0.0, 3.0], [1e6, -1e6, 0.0]])
MASK = torch.tensor([[True, False, True], [True, True, False], [False, True, False]])


def test_the_best_legal_action_is_not_the_best_of_all() -> None:
    assert all_on_best(SCORES, MASK).tolist() == [[0, 0, 1], [0, 1, 0], [0, 1, 0]]
    assert SCORES.argmax(dim=1).tolist() == [1, 2, 0]  # what a learner without masks would take


def test_the_log_sum_exp_runs_over_legal_actions() -> None:
    expected = [math.log(math.e + math.exp(2.0)), math.log(math.exp(-5.0) + 1.0), -1e6]
    assert log_sum_exp(SCORES, MASK).tolist() == pytest.approx(expected)


def test_probabilities_are_0_where_forbidden_and_1_where_nothing_else_is_legal() -> None:
    table = log_probabilities(SCORES, MASK)
    assert bool(torch.isfinite(table).all())
    assert bool((table.exp()[~MASK] == 0.0).all())
    assert float(table[2, 1]) == 0.0
    torch.testing.assert_close(table.exp().sum(dim=1), torch.ones(3))


def test_means_under_a_policy_leave_out_forbidden_actions() -> None:
    mean = mean_over(log_probabilities(torch.zeros(3, 3), MASK), SCORES)
    assert mean.tolist() == pytest.approx([1.5, -2.5, -1e6])


def test_forbidden_actions_get_no_gradient() -> None:
    scores = torch.zeros(3, 3, requires_grad=True)
    loss = 2.0 * log_sum_exp(scores, MASK).sum() + log_probabilities(scores, MASK)[:, 1].sum()
    (gradient,) = torch.autograd.grad(loss, scores)
    assert bool((gradient[~MASK] == 0.0).all())
    assert float(gradient[1, 0].abs()) > 0.0


def test_legal_scores_stay_as_they_are() -> None:
    assert torch.equal(legal_only(SCORES, MASK)[MASK], SCORES[MASK])
