"""Behaviour cloning: what the log would do here, as probabilities that can be trusted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from nurture_rl.learned.choice_rules import Boltzmann
from nurture_rl.learned.scored import ScoredPolicy
from nurture_rl.learned.training_log import Progress, TrainingLog
from nurture_rl.rl.masking import log_probabilities
from nurture_rl.rl.offline_training import NetworkConfig, Trainee, apart, train
from nurture_rl.rl.scored_networks import folded, policy_of, score_network
from nurture_rl.rl.transitions import Transitions

_MOST = 20.0  # times that a row is imitated at most
_TEMPERATURES = torch.logspace(-1.0, 1.0, 81, dtype=torch.float64)  # tried after training


@dataclass(frozen=True, slots=True)
class BCConfig(NetworkConfig):
    """How the log is imitated; training ends early when contacts kept aside say so."""


@dataclass(frozen=True, slots=True, eq=False)
class Cloning:
    """Weighted imitation of logged actions by a network of logits."""

    network: nn.Module  # logits, [n, a]
    features: Tensor  # standardised, perhaps with more columns, [n, d]
    mask: Tensor  # [n, a]
    action: Tensor  # [n, 1]
    weight: Tensor  # how much each row is worth imitating, >= 0, [n]

    def goals(self, rows: Tensor) -> Tensor:
        """The weights of the rows, [r]."""
        return self.weight[rows]

    def loss(self, rows: Tensor, goals: Tensor) -> Tensor:
        """Mean of -weight log p(a|x)."""
        return -(goals * self.log_taken(rows, self.logits(rows))).mean()

    def logits(self, rows: Tensor) -> Tensor:
        """What the network says of some rows, [r, a]."""
        logits: Tensor = self.network(self.features[rows])
        return logits

    def log_taken(self, rows: Tensor, logits: Tensor) -> Tensor:
        """Log-probability of the logged action, [r]."""
        return log_probabilities(logits, self.mask[rows]).gather(1, self.action[rows])[:, 0]


def train_bc(log: TrainingLog, config: BCConfig, seed: int, progress: Progress) -> ScoredPolicy:
    """Learn which actions the log takes where, without a look at rewards.

        minimise -sum_i log p(a_i|x_i),    p = softmax over legal actions of logits / T

    The temperature T is fitted afterwards on contacts kept aside, so the probabilities can stand
    in for propensities that a log does not tell. Rows with one legal action show no choice and
    are left out.

    Args:
        log: the decisions.
        config: network and training.
        seed: of first weights, batches and the contacts kept aside.
        progress: told the loss of batches and of contacts kept aside, in nats, at every look.

    Returns:
        The policy, which draws as the log does; its `fit` tells the loss on contacts kept aside
        (`held_out_loss`, nats) and the `temperature`.

    Raises:
        FitError: the training diverges.

    Source: Guo et al. (2017), On Calibration of Modern Neural Networks, for the temperature.
    """
    luck = torch.Generator().manual_seed(seed)
    data = Transitions.of(log, config.device)
    network = score_network(data, data.shape[1], config.hidden, luck)
    weight = torch.ones_like(data.reward)
    cloning = Cloning(network, data.features, data.mask, data.action, weight)
    fit = clone(cloning, log, config, luck, progress)
    rule = Boltzmann(fit["temperature"])
    return policy_of(log, data, folded(network), rule, fit)


def clone(
    cloning: Cloning,
    log: TrainingLog,
    config: NetworkConfig,
    luck: torch.Generator,
    progress: Progress,
) -> Mapping[str, float]:
    """Train the network of a `Cloning` until contacts kept aside are told no better.

    Args:
        cloning: network, rows and weights.
        log: its decisions.
        config: how to train.
        luck: of batches and of the contacts kept aside.
        progress: as `train`.

    Returns:
        What `train` tells, and the `temperature` that suits the contacts kept aside.
    """
    dealt = np.random.default_rng(int(torch.randint(2**31, (1,), generator=luck)))
    learned, judged = (rows.to(cloning.action.device) for rows in apart(log, dealt))

    def held_out(logits: Tensor) -> Tensor:
        return -(cloning.weight[judged] * cloning.log_taken(judged, logits)).mean()

    asked = partial(cloning.logits, judged)
    trainee = Trainee(cloning.network, learned, held_out=lambda: held_out(asked()))
    fit = train(cloning, trainee, config, luck, progress)
    with torch.no_grad():
        logits = asked()
        losses = torch.stack([held_out(logits / float(one)) for one in _TEMPERATURES])
    return {**fit, "temperature": float(_TEMPERATURES[losses.argmin()])}


def imitation_weights(advantage: Tensor, free: Tensor, temperature: float) -> Tensor:
    """exp(advantage / temperature) in deviations of advantages, at most 20, [n].

    Args:
        advantage: of the logged action, [n].
        free: rows with a choice, which tell the deviation, [n] bool.
        temperature: in those deviations, > 0.

    Returns:
        1 everywhere with fewer than two rows that have a choice: they tell no deviation.
    """
    if int(free.sum()) < 2:
        return torch.ones_like(advantage)
    spread = advantage[free].std(correction=0).clamp_min(1e-12)
    return (advantage / (temperature * spread)).exp().clamp(max=_MOST)
