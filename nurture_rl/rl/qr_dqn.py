"""Quantile Q-learning: the distribution of what follows an action, judged by its mean or tail."""

from __future__ import annotations

import math
from dataclasses import dataclass
from math import inf

import torch
from torch import Tensor, nn

from nurture_rl.learned.choice_rules import Greedy
from nurture_rl.learned.scored import ScoredPolicy, split_network
from nurture_rl.learned.setting_ranges import LEAST
from nurture_rl.learned.training_log import Progress, TrainingLog
from nurture_rl.policies.composition import Region
from nurture_rl.rl.offline_training import (
    BootstrapConfig,
    Trainee,
    follower,
    train,
)
from nurture_rl.rl.scored_networks import policy_of, score_network
from nurture_rl.rl.transitions import Transitions


@dataclass(frozen=True, slots=True)
class QRDQNConfig(BootstrapConfig):
    """How the quantiles are learned and which of them an action is judged by."""

    quantiles: int = 32  # of each action; an outcome rarer than one in so many is hardly seen
    level: float = 1.0  # lowest share of outcomes judged by, in (0, 1]; 1: the mean
    kappa: float = 0.1  # errors below count by their square, deviations of returns, > 0
    double: bool = True  # the trained network chooses what follows, the following one values it

    def __post_init__(self) -> None:
        self.require(quantiles=(1, inf), level=(LEAST, 1.0), kappa=(LEAST, inf))

    @property
    def lowest(self) -> int:
        """Quantiles that an action is judged by: `level` of them, one more where that is no whole.

        What floats miss of a whole number is no more: 0.28 of 25 are 7.
        """
        return max(1, math.ceil(self.level * self.quantiles - 1e-9))


@dataclass(frozen=True, slots=True, eq=False)
class QuantileQ:
    """Quantiles of the return of every action."""

    data: Transitions
    network: nn.Module  # quantiles of every action, ascending by aim, [n, a m]
    following: nn.Module  # the copy that goals come from
    lowest: int  # quantiles that actions are judged by
    kappa: float
    double: bool
    luck: torch.Generator  # draws which of several actions a quantile is taken of, on the CPU

    def quantiles(self, network: nn.Module, features: Tensor) -> Tensor:
        """Quantiles of every action, [n, a, m]."""
        flat: Tensor = network(features)
        return flat.view(len(flat), self.data.shape[1], -1)

    def goals(self, rows: Tensor) -> Tensor:
        """Reward and quantiles of the best that may be done next, [r, m]."""
        features, _ = self.data.after(rows)
        worth = self.quantiles(self.following, features)
        judged = self.quantiles(self.network, features) if self.double else worth
        done = self.data.best_after(rows, judged[:, :, : self.lowest].mean(dim=2))
        return self.data.backed_up(rows, drawn_quantiles(done, worth, self.luck))

    def loss(self, rows: Tensor, goals: Tensor) -> Tensor:
        """Quantile error of the logged action against every goal."""
        table = self.quantiles(self.network, self.data.features[rows])
        taken = table[torch.arange(len(rows), device=rows.device), self.data.action[rows][:, 0]]
        return quantile_error(taken, goals, self.kappa)


def drawn_quantiles(table: Tensor, quantiles: Tensor, luck: torch.Generator) -> Tensor:
    """As many outcomes as there are quantiles, drawn from a mixture of actions, [n, m].

    Each quantile comes up once, of an action that is drawn in proportion: the m places are spread
    evenly over the actions' shares. Of a single action all its quantiles are given.

    Args:
        table: share of each action, rows sum to 1, [n, a].
        quantiles: of the outcomes of each action, [n, a, m].
        luck: on the CPU.
    """
    n, _, m = quantiles.shape
    begun = torch.rand((n, 1), generator=luck, dtype=torch.float64)
    place = (torch.randperm(m, generator=luck) + begun) / m
    upto = table.double().cumsum(dim=1)
    # Short of the sum, or an action of share 0 could be drawn behind the last one.
    place = place.to(table.device).clamp_max(1.0 - 1e-9) * upto[:, -1:]
    action = torch.searchsorted(upto, place, right=True)
    return quantiles.gather(1, action[:, None, :])[:, 0]


def quantile_error(quantiles: Tensor, goals: Tensor, kappa: float) -> Tensor:
    """Mean of |tau_i - 1(u < 0)| h(u) / kappa over u = goal_j - quantile_i, summed over i.

    h(u) = u^2 / 2 up to kappa, kappa (|u| - kappa / 2) beyond; tau_i = (i + 1/2) / m.

    Args:
        quantiles: [b, m].
        goals: [b, k].
        kappa: where an error stops to count by its square, > 0.
    """
    m = quantiles.shape[1]
    tau = (torch.arange(m, device=quantiles.device) + 0.5) / m
    gap = goals[:, None, :] - quantiles[:, :, None]
    size = gap.abs()
    huber = torch.where(size <= kappa, 0.5 * gap**2, kappa * (size - 0.5 * kappa))
    weight = torch.where(gap < 0.0, 1.0 - tau[:, None], tau[:, None])
    return (weight * huber / kappa).mean(dim=2).sum(dim=1).mean()


def train_qr_dqn(
    log: TrainingLog,
    config: QRDQNConfig,
    seed: int,
    progress: Progress,
    region: Region | None = None,
) -> ScoredPolicy:
    """Learn the quantiles of what every action brings, and judge it by the lowest of them.

        z_i(x, a) -> quantile (i + 1/2) / m of r + discount^(bins between) z-(x', b),    b ~ p,
        p = the best that the release lets be done in x' by the mean of the lowest `level` m
            quantiles, of z (double) or z-; without a trust region the best legal action

    At level 1 that is the mean; below, the conditional value at risk: of two actions with equal
    means the one whose bad outcomes are milder is taken. It is asked anew at every decision, which
    is stricter than the risk of the whole episode.

    Args:
        log: the decisions.
        config: network, training, quantiles and level.
        seed: of first weights and batches.
        progress: told the mean loss at every look.
        region: where the policy will be held, so that its own release is what is valued; None: it
            may do what it likes.

    Returns:
        The policy that takes the best legal action; its score is in the journey's unit.

    Raises:
        FitError: the training diverges.

    Source: Dabney et al. (2018), Distributional Reinforcement Learning with Quantile Regression.
    """
    luck = torch.Generator().manual_seed(seed)
    data = Transitions.of(log, config.device, region=region)
    actions, m = data.shape[1], config.quantiles
    network = score_network(data, actions * m, config.hidden, luck)
    following = follower(network)
    lowest = config.lowest
    objective = QuantileQ(data, network, following, lowest, config.kappa, config.double, luck)
    rows = torch.arange(len(data), device=data.reward.device)
    fit = train(objective, Trainee(network, rows, following), config, luck, progress)
    layers, flat = split_network(network)
    judged = flat.view(actions, m, -1)[:, :lowest].double().mean(dim=1)
    return policy_of(log, data, (layers, data.scale * judged[None]), Greedy(), fit)
