"""Goals and losses of each learner against loops and hand calculation."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from nurture_rl.rl.bc import BCConfig, Cloning, imitation_weights, train_bc
from nurture_rl.rl.bcq import BCQConfig, train_bcq, usual_actions
from nurture_rl.rl.cql import ConservativeQ
from nurture_rl.rl.crr import Regression, approval
from nurture_rl.rl.dqn import QLearning
from nurture_rl.rl.fqi import goals_of_linear
from nurture_rl.rl.iql import ImplicitQ, expectile_error
from nurture_rl.rl.qr_dqn import QuantileQ, quantile_error
from nurture_rl.rl.transitions import Transitions
from tests.unit.bandits.planted_log import planted
from tests.unit.rl.world_logs import DISCOUNT, process_log

LOG = process_log(40)
DATA = Transitions.of(LOG)
ROWS = torch.arange(len(DATA))
FORBIDDEN = 2  # in state 1
# State 1 follows the first action in state 0, and nothing else.
BEFORE_STATE_1 = torch.from_numpy(np.flatnonzero((LOG.features[:, 0] == 1.0) & (LOG.action == 0)))


def table(seed: int, outputs: int = 3, illegal: float = 0.0) -> nn.Linear:
    """A random linear network; `illegal` is added to the action that state 1 forbids."""
    layer = nn.Linear(3, outputs)
    nn.init.normal_(layer.weight, generator=torch.Generator().manual_seed(seed))
    nn.init.zeros_(layer.bias)
    if illegal:
        with torch.no_grad():
            layer.bias[FORBIDDEN :: 3 if outputs == 3 else 1] += illegal
    return layer


def enumerated(worth_of: Callable[[int], float]) -> list[float]:
    """Goals row by row, by the log itself: reward and discounted worth of the next row."""
    found = []
    for row in range(len(LOG.reward)):
        goal = LOG.reward[row] / DATA.scale
        if row + 1 < len(LOG.reward) and LOG.episode[row + 1] == LOG.episode[row]:
            goal += DISCOUNT ** (LOG.step[row + 1] - LOG.step[row]) * worth_of(row + 1)
        found.append(goal)
    return found


def legal_of(row: int) -> list[int]:
    return [int(action) for action in np.flatnonzero(LOG.mask[row])]


@torch.no_grad()
def scores(network: nn.Module, row: int) -> list[float]:
    return [float(value) for value in network(DATA.features[row : row + 1])[0]]


@pytest.mark.parametrize("illegal", [0.0, 1000.0])
@pytest.mark.parametrize("kind", ["dqn", "double dqn", "cql", "fqi"])
@torch.no_grad()
def test_goals_are_the_best_legal_action_s_by_enumeration(kind: str, illegal: float) -> None:
    trained, following = table(1, illegal=illegal), table(2, illegal=illegal)

    def best(row: int) -> float:
        worth = scores(following, row)
        by = worth if kind in ("dqn", "fqi") else scores(trained, row)
        return worth[max(legal_of(row), key=lambda action: by[action])]

    if kind == "fqi":
        maps = torch.cat([following.bias[:, None], following.weight], dim=1).double()
        found = goals_of_linear(DATA, maps)
    elif kind == "cql":
        found = ConservativeQ(DATA, trained, following, True, 0.1).goals(ROWS)
    else:
        found = QLearning(DATA, trained, following, kind == "double dqn").goals(ROWS)
    assert found.tolist() == pytest.approx(enumerated(best), rel=1e-4, abs=1e-5)
    assert float(found[BEFORE_STATE_1].abs().max()) < 100.0


@torch.no_grad()
def test_a_learner_without_masks_would_have_believed_the_forbidden_action() -> None:
    # negative control of the test above
    following = table(2, illegal=1000.0)
    unmasked = Transitions.of(LOG)
    unmasked.mask.fill_(True)
    found = QLearning(unmasked, following, following, False).goals(ROWS)
    assert float(found[BEFORE_STATE_1].min()) > 100.0


@torch.no_grad()
def test_the_policy_s_mean_worth_leaves_out_forbidden_actions() -> None:
    networks = nn.ModuleDict({"critic": table(1, illegal=1000.0), "actor": table(2, illegal=9.0)})

    def mean(row: int) -> float:
        logits, worth = scores(networks["actor"], row), scores(networks["critic"], row)
        weights = {action: math.exp(logits[action]) for action in legal_of(row)}
        return sum(weights[a] * worth[a] for a in weights) / sum(weights.values())

    found = Regression(DATA, networks, networks, None).goals(ROWS)
    assert found.tolist() == pytest.approx(enumerated(mean), rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("double", [False, True])
@torch.no_grad()
def test_quantiles_follow_the_legal_action_whose_lowest_are_best(double: bool) -> None:
    trained, following = table(1, outputs=6), table(2, outputs=6)  # two quantiles of each action
    for one in (trained, following):
        one.bias[4:] += 1000.0  # of the forbidden one
    luck = torch.Generator()
    objective = QuantileQ(DATA, trained, following, 1, 0.1, double, luck)
    found = objective.goals(ROWS)
    for quantile in range(2):

        def ahead(row: int, quantile: int = quantile) -> float:
            by = scores(trained if double else following, row)
            chosen = max(legal_of(row), key=lambda action: by[2 * action])
            return scores(following, row)[2 * chosen + quantile]

        expected = enumerated(ahead)
        assert found[:, quantile].tolist() == pytest.approx(expected, rel=1e-4, abs=1e-4)


@torch.no_grad()
def test_implicit_goals_ask_for_no_action_that_was_not_logged() -> None:
    values = nn.ModuleDict({"action": table(1, illegal=1000.0), "context": table(2, outputs=1)})
    found = ImplicitQ(DATA, values, values, 0.8).goals(ROWS)
    ahead = enumerated(lambda row: scores(values["context"], row)[0])
    assert found[:, 0].tolist() == pytest.approx(ahead, rel=1e-4, abs=1e-5)
    logged = [scores(values["action"], row)[LOG.action[row]] for row in ROWS.tolist()]
    assert found[:, 1].tolist() == pytest.approx(logged, rel=1e-4, abs=1e-5)


def fixed(values: list[float]) -> nn.Linear:
    """A network that gives the same scores everywhere."""
    layer = nn.Linear(3, len(values))
    nn.init.zeros_(layer.weight)
    with torch.no_grad():
        layer.bias.copy_(torch.tensor(values))
    return layer


def of_action(action: int, state: int) -> Tensor:
    """One row of the log with this state and action."""
    rows = (LOG.features[:, state] == 1.0) & (LOG.action == action)
    return torch.from_numpy(np.flatnonzero(rows)[:1])


def test_squared_errors_match_hand_calculation() -> None:
    network = fixed([1.0, 3.0, 0.0])
    objective = QLearning(DATA, network, network, False)
    rows = torch.cat([of_action(0, 0), of_action(1, 0)])
    loss = objective.loss(rows, torch.tensor([2.0, 1.0]))
    assert float(loss.detach()) == pytest.approx((1.0 + 4.0) / 2)


def test_the_penalty_pushes_the_logged_action_up_and_the_other_legal_ones_down() -> None:
    network = fixed([1.0, 3.0, 50.0])
    objective = ConservativeQ(DATA, network, network, False, 0.5)
    rows = of_action(0, 1)  # state 1 forbids the third action
    loss = objective.loss(rows, torch.tensor([1.0]))
    assert float(loss.detach()) == pytest.approx(
        0.5 * (math.log(math.e + math.exp(3.0)) - 1.0), rel=1e-5
    )
    (gradient,) = torch.autograd.grad(loss, network.bias)
    assert float(gradient[0]) < 0.0 < float(gradient[1])  # a step goes against the gradient
    assert float(gradient[2]) == 0.0


def test_a_high_expectile_costs_more_where_the_value_is_too_low() -> None:
    gap = torch.tensor([2.0, 0.5, -2.0])  # value too low by 2 and a half, too high by 2
    assert expectile_error(gap, 0.8).tolist() == pytest.approx([3.2, 0.2, 0.8])
    assert expectile_error(gap, 0.5).tolist() == pytest.approx([2.0, 0.125, 2.0])


def test_both_errors_of_implicit_values_count() -> None:
    values = nn.ModuleDict({"action": fixed([1.0, 0.0, 0.0]), "context": fixed([5.0])})
    objective = ImplicitQ(DATA, values, values, 0.8)
    # The action aims at 4, from 1; the context aims at 4, from 5.
    loss = objective.loss(of_action(0, 0), torch.tensor([[4.0, 4.0]]))
    assert float(loss.detach()) == pytest.approx(9.0 + 0.2 * 1.0)
    assert objective.advantages(of_action(0, 0)).tolist() == [-4.0]


def test_better_actions_are_imitated_more_in_deviations_of_advantages() -> None:
    advantage = torch.tensor([-1.0, 1.0, 30.0])
    free = torch.tensor([True, True, False])
    weights = imitation_weights(advantage, free, 1.0)
    assert weights.tolist() == pytest.approx([math.exp(-1.0), math.e, 20.0])
    tenfold = imitation_weights(10.0 * advantage, free, 1.0)
    torch.testing.assert_close(tenfold, weights)
    even = imitation_weights(torch.zeros(3), free, 1.0)
    assert even.tolist() == [1.0, 1.0, 1.0]


@pytest.mark.parametrize("free", [[False, False], [False, True]])
def test_rows_that_tell_no_deviation_are_imitated_once(free: list[bool]) -> None:
    advantage = torch.tensor([-3.0, 2.0])
    assert imitation_weights(advantage, torch.tensor(free), 1.0).tolist() == [1.0, 1.0]


def test_imitation_is_the_weighted_log_loss_over_legal_actions() -> None:
    network = fixed([1.0, 3.0, 50.0])
    weight = torch.full((len(DATA),), 2.0)
    cloning = Cloning(network, DATA.features, DATA.mask, DATA.action, weight)
    rows = of_action(0, 1)
    loss = cloning.loss(rows, cloning.goals(rows))
    expected = 2.0 * (math.log(math.e + math.exp(3.0)) - 1.0)
    assert float(loss.detach()) == pytest.approx(expected, rel=1e-5)
    (gradient,) = torch.autograd.grad(loss, network.bias)
    assert float(gradient[0]) < 0.0 < float(gradient[1])
    cooler = -float(cloning.log_taken(rows, cloning.logits(rows) / 2.0).detach())
    assert cooler == pytest.approx(math.log(math.exp(0.5) + math.exp(1.5)) - 0.5, rel=1e-5)


def test_imitation_is_judged_by_the_log_loss_of_contacts_kept_aside() -> None:
    log = planted(600, seed=1, tilt=3.0).log  # the first action is taken where x_0 is high
    config = BCConfig(hidden=(8,), steps=200, batch=64, learning_rate=1e-2)
    fit = train_bc(log, config, 0, lambda look, told: None).fit
    even = np.log(log.mask.sum(axis=1)[log.choice]).mean()  # of drawing every legal action alike
    assert 0.3 * even < fit["held_out_loss"] < 0.9 * even
    assert 0.4 < fit["temperature"] < 2.5  # 0.1 or 10 would be the worst


def test_only_actions_better_than_the_policy_s_average_are_imitated() -> None:
    advantage, free = torch.tensor([-1.0, 0.0, 1.0, 5.0]), torch.tensor([True, False, True, False])
    assert approval(advantage, free, None).tolist() == [0.0, 0.0, 1.0, 1.0]
    expected = [math.exp(-2.0), 1.0, math.exp(2.0), 20.0]
    assert approval(advantage, free, 0.5).tolist() == pytest.approx(expected)


def test_the_critic_and_the_approved_imitation_both_count() -> None:
    networks = nn.ModuleDict({"critic": fixed([4.0, 0.0, 99.0]), "actor": fixed([0.0, 0.0, 9.0])})
    objective = Regression(DATA, networks, networks, None)
    better = objective.loss(of_action(0, 1), torch.tensor([1.0]))
    assert float(better.detach()) == pytest.approx(9.0 + math.log(2.0))  # advantage 4 - 2
    worse = objective.loss(of_action(1, 1), torch.tensor([1.0]))
    assert float(worse.detach()) == pytest.approx(1.0)  # advantage 0 - 2
    actor = networks["actor"]
    assert isinstance(actor, nn.Linear)
    (gradient,) = torch.autograd.grad(better, actor.bias)
    assert float(gradient[0]) < 0.0 < float(gradient[1])
    assert float(gradient[2]) == 0.0


def test_quantile_errors_match_hand_calculation() -> None:
    # tau 1/4 and 3/4; gaps of the first 1 and -1, of the second 0 and -2; kappa 0.5
    found = quantile_error(torch.tensor([[0.0, 1.0]]), torch.tensor([[1.0, -1.0]]), 0.5)
    first = (0.25 * (1.0 - 0.25) + 0.75 * (1.0 - 0.25)) / 2
    second = (0.0 + 0.25 * (2.0 - 0.25)) / 2
    assert float(found) == pytest.approx(first + second)
    small = quantile_error(torch.tensor([[0.0]]), torch.tensor([[0.3, -0.2]]), 0.5)
    assert float(small) == pytest.approx(0.5 * 0.5 * (0.09 + 0.04) / 0.5 / 2)  # by their squares


def test_the_quantiles_of_the_logged_action_are_held_against_the_goals() -> None:
    network = fixed([9.0, 9.0, 0.0, 1.0, 9.0, 9.0])  # two quantiles of each action
    luck = torch.Generator().manual_seed(0)
    objective = QuantileQ(DATA, network, network, 1, kappa=0.5, double=False, luck=luck)
    goals = torch.tensor([[1.0, -1.0]])
    loss = objective.loss(of_action(1, 0), goals)
    expected = quantile_error(torch.tensor([[0.0, 1.0]]), goals, 0.5)
    assert float(loss.detach()) == pytest.approx(float(expected))


def test_quantile_errors_are_least_at_the_quantiles() -> None:
    goals = torch.arange(1000.0)[None] / 1000.0  # uniform on [0, 1)
    places = torch.zeros(1, 4, requires_grad=True)
    optimiser = torch.optim.Adam([places], lr=0.02)
    for _ in range(300):
        optimiser.zero_grad()
        torch.autograd.backward([quantile_error(places, goals, 0.01)])
        optimiser.step()
    assert places[0].tolist() == pytest.approx([0.125, 0.375, 0.625, 0.875], abs=0.03)


def test_errors_of_the_conservative_values_count_by_their_square_beside_the_penalty() -> None:
    network = fixed([1.0, 3.0, 0.0])
    objective = ConservativeQ(DATA, network, network, False, 0.5)
    rows = torch.cat([of_action(0, 0), of_action(1, 0)])
    loss = objective.loss(rows, torch.tensor([3.0, 0.0]))  # too low by 2, too high by 3
    spread = math.log(math.e + math.exp(3.0) + 1.0)
    penalty = ((spread - 1.0) + (spread - 3.0)) / 2
    assert float(loss.detach()) == pytest.approx((4.0 + 9.0) / 2 + 0.5 * penalty, rel=1e-5)


def test_rows_with_two_legal_actions_tell_how_far_advantages_spread() -> None:
    networks = nn.ModuleDict({"critic": fixed([4.0, 0.0, 99.0]), "actor": fixed([0.0, 0.0, 9.0])})
    objective = Regression(DATA, networks, networks, 1.0)
    rows = torch.cat([of_action(0, 1), of_action(1, 1)])  # advantages 4 - 2 and 0 - 2
    loss = objective.loss(rows, torch.tensor([1.0, 1.0]))
    imitated = math.log(2.0) * (math.e + math.exp(-1.0)) / 2
    assert float(loss.detach()) == pytest.approx((9.0 + 1.0) / 2 + imitated, rel=1e-5)


def test_usual_is_what_has_the_named_share_of_the_likeliest_legal_action_s_probability() -> None:
    network = fixed([0.0, math.log(10.0), 50.0])  # the forbidden one is likeliest by far
    weight = torch.ones(len(DATA))
    cloning = Cloning(network, DATA.features, DATA.mask, DATA.action, weight)
    row = int(of_action(0, 1))  # state 1 forbids the third action

    def usual(temperature: float, threshold: float) -> list[bool]:
        found: list[bool] = usual_actions(cloning, temperature, threshold)[row].tolist()
        return found

    assert usual(1.0, 0.09) == [True, True, False]  # a tenth of it
    assert usual(1.0, 0.11) == [False, True, False]
    assert usual(2.0, 0.3) == [True, True, False]  # at temperature 2 about 0.32 of it
    assert usual(2.0, 0.33) == [False, True, False]
    assert usual(1.0, 0.0) == [True, True, False]


def test_the_policy_s_two_scores_are_values_in_the_journey_s_unit_and_cloned_logits() -> None:
    config = BCQConfig(hidden=(4,), steps=60, batch=32, threshold=0.3)
    log = planted(400, seed=1, tilt=3.0).log
    policy = train_bcq(log, config, 0, lambda look, told: None)
    scores = policy.module.scores(torch.from_numpy(log.features))
    mask = torch.from_numpy(log.mask)
    logits = scores[:, :, 1].masked_fill(~mask, -math.inf)
    usual = (logits - logits.amax(dim=1, keepdim=True)).exp() >= config.threshold
    free = mask.sum(dim=1) > 1
    assert policy.fit["usual"] == pytest.approx(float(usual[free].sum(dim=1).double().mean()))
    forced = float(usual[~free].sum(dim=1).double().mean())
    assert policy.fit["usual"] > forced == 1.0
    spread = float(scores[:, :, 0][torch.arange(400), torch.from_numpy(log.action)].std())
    assert 0.02 < spread / log.returns.std() < 2.0  # not in units of their own
