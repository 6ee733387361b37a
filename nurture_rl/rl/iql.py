"""Implicit Q-learning: values of logged actions alone, and the better ones of them imitated."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

import torch
from torch import Tensor, nn

from nurture_rl.learned.choice_rules import Boltzmann
from nurture_rl.learned.scored import ScoredPolicy
from nurture_rl.learned.setting_ranges import LEAST
from nurture_rl.learned.training_log import Progress, TrainingLog
from nurture_rl.rl.bc import Cloning, clone, imitation_weights
from nurture_rl.rl.offline_training import (
    BootstrapConfig,
    Trainee,
    follower,
    in_tiles,
    later,
    train,
)
from nurture_rl.rl.scored_networks import folded, policy_of, score_network
from nurture_rl.rl.transitions import Transitions


@dataclass(frozen=True, slots=True)
class IQLConfig(BootstrapConfig):
    """How values are learned and how sharply the policy follows them."""

    # Of what the logged actions are worth here, in [0.5, 0.999]; 0.5: the mean.
    expectile: float = 0.8
    temperature: float = 1.0  # advantage that is imitated e times as much, deviations of advantages

    def __post_init__(self) -> None:
        self.require(expectile=(0.5, 0.999), temperature=(LEAST, inf))


@dataclass(frozen=True, slots=True, eq=False)
class ImplicitQ:
    """Values of logged actions, and of contexts as an expectile of them."""

    data: Transitions
    values: nn.ModuleDict  # `action` [n, a] and `context` [n, 1]
    following: nn.ModuleDict  # the copy that goals come from
    expectile: float

    def goals(self, rows: Tensor) -> Tensor:
        """Reward and worth of the next context; worth of the logged action, [r, 2]."""
        features, _ = self.data.after(rows)
        ahead = self.data.backed_up(rows, self.following["context"](features)[:, 0])
        q = self.following["action"](self.data.features[rows])
        return torch.stack([ahead, q.gather(1, self.data.action[rows])[:, 0]], dim=1)

    def loss(self, rows: Tensor, goals: Tensor) -> Tensor:
        """Squared error of the action's value and expectile error of the context's."""
        features, action = self.data.features[rows], self.data.action[rows]
        q: Tensor = self.values["action"](features).gather(1, action)[:, 0]
        v = self.values["context"](features)[:, 0]
        squared = (goals[:, 0] - q) ** 2
        return (squared + expectile_error(goals[:, 1] - v, self.expectile)).mean()

    def advantages(self, rows: Tensor) -> Tensor:
        """What the logged action is worth above its context, [r]."""
        features = self.data.features[rows]
        q = self.values["action"](features).gather(1, self.data.action[rows])[:, 0]
        advantage: Tensor = q - self.values["context"](features)[:, 0]
        return advantage


def expectile_error(gap: Tensor, expectile: float) -> Tensor:
    """|expectile - 1(gap < 0)| gap^2: being too low costs more the higher the expectile is."""
    return torch.where(gap < 0.0, 1.0 - expectile, expectile) * gap**2


def train_iql(log: TrainingLog, config: IQLConfig, seed: int, progress: Progress) -> ScoredPolicy:
    """Learn values without ever asking about an action that was not logged; imitate the better.

        minimise mean (r + discount^(bins between) v(x') - q(x, a))^2
                 + mean |expectile - 1(q- < v)| (q-(x, a) - v(x))^2
        then maximise mean exp((q - v) / (temperature spread)) log p(a|x)

    A high expectile of what logged actions are worth stands in for the best action, so no target
    asks for an action outside the log. The policy is a softmax over legal actions. Advantages are
    taken in deviations of themselves, since effects of a message are small beside the luck of a
    return, and differ by journey.

    Args:
        log: the decisions.
        config: networks, training and how sharply the policy follows.
        seed: of first weights, batches and the contacts kept aside.
        progress: told the loss at every look: of the values, then of the policy, whose training
            ends when contacts kept aside are told no better.

    Returns:
        The policy, which draws by its probabilities.

    Raises:
        FitError: the training diverges.

    Source: Kostrikov et al. (2022), Offline Reinforcement Learning with Implicit Q-Learning.
    """
    luck = torch.Generator().manual_seed(seed)
    data = Transitions.of(log, config.device)
    values = nn.ModuleDict(
        {
            "action": score_network(data, data.shape[1], config.hidden, luck),
            "context": score_network(data, 1, config.hidden, luck),
        }
    )
    following = follower(values)
    objective = ImplicitQ(data, values, following, config.expectile)
    rows = torch.arange(len(data), device=data.reward.device)
    valued = train(objective, Trainee(values, rows, following), config, luck, progress)
    free = data.mask.sum(dim=1) > 1
    weight = imitation_weights(in_tiles(objective.advantages, rows), free, config.temperature)
    network = score_network(data, data.shape[1], config.hidden, luck)
    cloning = Cloning(network, data.features, data.mask, data.action, weight)
    fit = clone(cloning, log, config, luck, later(progress, config))
    told = {**fit, "value_loss": valued["loss"]}
    return policy_of(log, data, folded(network), Boltzmann(fit["temperature"]), told)
