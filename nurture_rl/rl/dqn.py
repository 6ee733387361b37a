"""Deep Q-learning from a log: one network of action values, double and dueling where asked."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nurture_rl.learned.choice_rules import Greedy
from nurture_rl.learned.scored import ScoredPolicy
from nurture_rl.learned.training_log import Progress, TrainingLog
from nurture_rl.policies.composition import Region
from nurture_rl.rl.offline_training import (
    BootstrapConfig,
    Trainee,
    follower,
    train,
)
from nurture_rl.rl.scored_networks import Dueling, Layers, folded, policy_of, score_network
from nurture_rl.rl.transitions import Transitions


@dataclass(frozen=True, slots=True)
class DQNConfig(BootstrapConfig):
    """How the action values are learned."""

    double: bool = True  # the trained network chooses what follows, the following one values it
    dueling: bool = False  # the worth of a state and what each action adds are told apart


@dataclass(frozen=True, slots=True, eq=False)
class QLearning:
    """What a network of action values aims at."""

    data: Transitions
    network: nn.Module  # values of every action, [n, a]
    following: nn.Module  # the copy that goals come from
    double: bool

    def goals(self, rows: Tensor) -> Tensor:
        """Reward and the worth of the best that may be done next, [r]."""
        features, _ = self.data.after(rows)
        worth = self.following(features)
        done = self.data.best_after(rows, self.network(features) if self.double else worth)
        return self.data.backed_up(rows, (done * worth).sum(dim=1))

    def loss(self, rows: Tensor, goals: Tensor) -> Tensor:
        """Mean of (goal - q(x, a))^2.

        Squared, not clipped: rewards that come once in a hundred decisions are outliers of no
        other loss's mean.
        """
        q: Tensor = self.network(self.data.features[rows])
        return ((goals - q.gather(1, self.data.action[rows])[:, 0]) ** 2).mean()


def train_dqn(
    log: TrainingLog,
    config: DQNConfig,
    seed: int,
    progress: Progress,
    region: Region | None = None,
) -> ScoredPolicy:
    """Learn what every action is worth by Q-learning on the log.

        minimise mean (r + discount^(bins between) sum_b p(b|x') q-(x', b) - q(x, a))^2,
        p = the best that the release lets be done in x' by q (double) or by q-:
            without a trust region the best legal action, inside one see `best_inside`

    with q- a copy that follows q. Nothing holds the values of actions that the log never takes
    here: where that matters, `bcq` and `cql` are safer.

    Args:
        log: the decisions.
        config: network and training.
        seed: of first weights and batches.
        progress: told the mean squared error at every look, in squared deviations of returns.
        region: where the policy will be held, so that its own release is what is valued; None: it
            may do what it likes.

    Returns:
        The policy that takes the best legal action; its scores are in the journey's unit.

    Raises:
        FitError: the training diverges.

    Source: Mnih et al. (2015), Human-level control through deep reinforcement learning; van
        Hasselt et al. (2016), Deep Reinforcement Learning with Double Q-learning.
    """
    luck = torch.Generator().manual_seed(seed)
    data = Transitions.of(log, config.device, region=region)
    network = value_network(data, config.hidden, config.dueling, luck)
    objective = QLearning(data, network, follower(network), config.double)
    fit = learn_values(objective, config, luck, progress)
    return policy_of(log, data, in_units(network, data), Greedy(), fit)


def value_network(
    data: Transitions, hidden: tuple[int, ...], dueling: bool, luck: torch.Generator
) -> nn.Module:
    """A network of action values, [n, a]."""
    actions = data.shape[1]
    if not dueling:
        return score_network(data, actions, hidden, luck)
    return Dueling(score_network(data, 1 + actions, hidden, luck))


def learn_values(
    objective: QLearning, config: BootstrapConfig, luck: torch.Generator, progress: Progress
) -> dict[str, float]:
    """Train the network of an objective on every row of its log; tells what `train` tells."""
    rows = torch.arange(len(objective.data), device=objective.data.reward.device)
    return train(
        objective, Trainee(objective.network, rows, objective.following), config, luck, progress
    )


def in_units(network: nn.Module, data: Transitions) -> tuple[Layers, Tensor]:
    """Layers and map of trained action values, which then score in the journey's unit."""
    layers, maps = folded(network)
    return layers, maps.double() * data.scale
