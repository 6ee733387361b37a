"""Critic-regularised regression: imitate what a critic finds better than the policy's average."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

import torch
from torch import Tensor, nn

from nurture_rl.learned.choice_rules import Boltzmann
from nurture_rl.learned.scored import ScoredPolicy
from nurture_rl.learned.setting_ranges import LEAST
from nurture_rl.learned.training_log import Progress, TrainingLog
from nurture_rl.rl.bc import imitation_weights
from nurture_rl.rl.masking import log_probabilities, mean_over
from nurture_rl.rl.offline_training import (
    BootstrapConfig,
    Trainee,
    follower,
    train,
)
from nurture_rl.rl.scored_networks import folded, policy_of, score_network
from nurture_rl.rl.transitions import Transitions


@dataclass(frozen=True, slots=True)
class CRRConfig(BootstrapConfig):
    """How the critic is learned and what of the log is imitated."""

    # Advantage that is imitated e times as much, deviations of advantages, > 0; null: what is
    # better than the policy's average is imitated once, the rest not at all.
    temperature: float | None = 1.0

    def __post_init__(self) -> None:
        self.require(temperature=(LEAST, inf))


@dataclass(frozen=True, slots=True, eq=False)
class Regression:
    """A critic of the policy, and the policy that imitates what the critic approves."""

    data: Transitions
    networks: nn.ModuleDict  # `critic` and `actor`, [n, a] each
    following: nn.ModuleDict  # the copies that goals come from
    temperature: float | None

    def goals(self, rows: Tensor) -> Tensor:
        """Reward and the policy's mean worth of what follows, [r]."""
        features, legal = self.data.after(rows)
        log_table = log_probabilities(self.following["actor"](features), legal)
        return self.data.backed_up(rows, mean_over(log_table, self.following["critic"](features)))

    def loss(self, rows: Tensor, goals: Tensor) -> Tensor:
        """Squared error of the critic less the approved log-probability."""
        features, action = self.data.features[rows], self.data.action[rows]
        q: Tensor = self.networks["critic"](features)
        log_table = log_probabilities(self.networks["actor"](features), self.data.mask[rows])
        taken = q.gather(1, action)[:, 0]
        with torch.no_grad():
            free = self.data.mask[rows].sum(dim=1) > 1
            approved = approval(taken - mean_over(log_table, q), free, self.temperature)
        imitated = approved * log_table.gather(1, action)[:, 0]
        return ((goals - taken) ** 2 - imitated).mean()


def approval(advantage: Tensor, free: Tensor, temperature: float | None) -> Tensor:
    """How much a logged action is imitated, [n].

    Args:
        advantage: worth of the logged action above the policy's average, [n].
        free: rows with a choice, [n] bool.
        temperature: see `CRRConfig`.
    """
    if temperature is None:
        return (advantage > 0.0).to(advantage.dtype)
    return imitation_weights(advantage, free, temperature)


def train_crr(log: TrainingLog, config: CRRConfig, seed: int, progress: Progress) -> ScoredPolicy:
    """Learn a critic of the policy, and the policy by imitating what the critic approves.

        minimise mean (r + discount^(bins between) sum_b p(b|x') q-(x', b) - q(x, a))^2
        maximise mean f(q(x, a) - sum_b p(b|x) q(x, b)) log p(a|x)
        f(advantage) = exp(advantage / (temperature spread)), or 1(advantage > 0)

    The policy only ever imitates logged actions. Its averages run over legal actions alone. With
    the sharp f, values that the critic makes up for unlogged actions can leave a context without
    anything to imitate; the smooth one imitates something everywhere.

    Args:
        log: the decisions.
        config: networks, training and what is imitated.
        seed: of first weights and batches.
        progress: told the mean loss at every look.

    Returns:
        The policy, which draws by its probabilities.

    Raises:
        FitError: the training diverges.

    Source: Wang et al. (2020), Critic Regularized Regression.
    """
    luck = torch.Generator().manual_seed(seed)
    data = Transitions.of(log, config.device)
    names, actions = ("critic", "actor"), data.shape[1]
    networks = nn.ModuleDict(
        {name: score_network(data, actions, config.hidden, luck) for name in names}
    )
    following = follower(networks)
    objective = Regression(data, networks, following, config.temperature)
    rows = torch.arange(len(data), device=data.reward.device)
    fit = train(objective, Trainee(networks, rows, following), config, luck, progress)
    return policy_of(log, data, folded(networks["actor"]), Boltzmann(1.0), fit)
