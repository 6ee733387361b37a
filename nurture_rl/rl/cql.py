"""Conservative Q-learning: actions that the log takes seldom are valued low."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

import torch
from torch import Tensor

from nurture_rl.learned.choice_rules import Greedy
from nurture_rl.learned.scored import ScoredPolicy
from nurture_rl.learned.training_log import Progress, TrainingLog
from nurture_rl.policies.composition import Region
from nurture_rl.rl.dqn import DQNConfig, QLearning, in_units, learn_values, value_network
from nurture_rl.rl.masking import log_sum_exp
from nurture_rl.rl.offline_training import follower
from nurture_rl.rl.scored_networks import policy_of
from nurture_rl.rl.transitions import Transitions


@dataclass(frozen=True, slots=True)
class CQLConfig(DQNConfig):
    """How the action values are learned and how low the unusual ones are held."""

    # Weight of the penalty, deviations of returns, >= 0; 0 is `dqn`. Small, as what one message
    # changes is small beside the luck of a return.
    alpha: float = 0.02

    def __post_init__(self) -> None:
        self.require(alpha=(0.0, inf))


@dataclass(frozen=True, slots=True, eq=False)
class ConservativeQ(QLearning):
    """Q-learning with a penalty on values of actions that were not logged."""

    alpha: float

    def loss(self, rows: Tensor, goals: Tensor) -> Tensor:
        """Mean of (goal - q(x, a))^2 + alpha (log sum over legal b of exp q(x, b) - q(x, a))."""
        q: Tensor = self.network(self.data.features[rows])
        taken = q.gather(1, self.data.action[rows])[:, 0]
        penalty = log_sum_exp(q, self.data.mask[rows]) - taken
        return ((goals - taken) ** 2 + self.alpha * penalty).mean()


def train_cql(
    log: TrainingLog,
    config: CQLConfig,
    seed: int,
    progress: Progress,
    region: Region | None = None,
) -> ScoredPolicy:
    """Learn what every action is worth, with values held low where the log says little.

        minimise mean (r + discount^(bins between) sum_b p(b|x') q-(x', b) - q(x, a))^2
                 + alpha mean (log sum_b exp q(x, b) - q(x, a)),
        p = the best that the release lets be done in x', see `best_inside`; the best legal action
            without a trust region

    The penalty pushes all legal actions down and the logged one up, so that an action is only
    preferred where the log shows that it pays. The sum runs over legal actions alone: a forbidden
    one can neither be taken nor be too optimistic. Values are in deviations of returns here, and
    so is alpha: the larger it is, the closer the policy stays to what the log does most.

    Args:
        log: the decisions.
        config: network, training and penalty.
        seed: of first weights and batches.
        progress: told the mean loss at every look, in squared deviations of returns.
        region: where the policy will be held, so that its own release is what is valued; None: it
            may do what it likes.

    Returns:
        The policy that takes the best legal action; its scores are in the journey's unit.

    Raises:
        FitError: the training diverges.

    Source: Kumar et al. (2020), Conservative Q-Learning for Offline Reinforcement Learning, CQL(H).
    """
    luck = torch.Generator().manual_seed(seed)
    data = Transitions.of(log, config.device, region=region)
    network = value_network(data, config.hidden, config.dueling, luck)
    objective = ConservativeQ(data, network, follower(network), config.double, config.alpha)
    fit = learn_values(objective, config, luck, progress)
    return policy_of(log, data, in_units(network, data), Greedy(), fit)
