"""Imitation of what was done where returns turned out high."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from nurture_rl.learned.choice_rules import Boltzmann
from nurture_rl.learned.scored import REACH, ScoredPolicy
from nurture_rl.learned.training_log import Progress, TrainingLog
from nurture_rl.policies.policy import FloatArray, IntArray
from nurture_rl.rl.bc import Cloning, clone
from nurture_rl.rl.offline_training import NetworkConfig
from nurture_rl.rl.scored_networks import Layers, folded, policy_of, relu_network
from nurture_rl.rl.transitions import Transitions


@dataclass(frozen=True, slots=True)
class ReturnConditionedConfig(NetworkConfig):
    """How the log is imitated, and how high a return is asked for."""

    quantile: float = 0.95  # of the returns from the same bin on that is asked for, in [0, 1]

    def __post_init__(self) -> None:
        self.require(quantile=(0.0, 1.0))


def train_return_conditioned(
    log: TrainingLog, config: ReturnConditionedConfig, seed: int, progress: Progress
) -> ScoredPolicy:
    """Learn what the log does given how high the return turns out, then ask for a high one.

        minimise -sum_i log p(a_i|x_i, g_i),    g_i = return from i on, less the mean of
                                                returns from the same bin on, in their deviations
        act by p(a|x, quantile of all g_i)

    The small relative of the decision transformer: one context in the place of a history, and
    nothing is planned. It cannot tell luck from skill: an action after which returns vary most
    looks good, and in a log in which chance decides more than actions it does about what the log
    does. Where fewer than 1 - quantile of returns are above 0, nothing high is asked for: `asked`
    tells. Read it as a baseline.

    Args:
        log: the decisions.
        config: network, training and the quantile asked for.
        seed: of first weights, batches and the contacts kept aside.
        progress: told the loss of batches and of contacts kept aside, in nats, at every look.

    Returns:
        The policy, which draws by its probabilities; its `fit` tells how high a return is asked
        for (`asked`, deviations of returns from the same bin on).

    Raises:
        FitError: the training diverges.

    Source: Emmons et al. (2022), RvS: What is Essential for Offline RL via Supervised Learning?;
        Chen et al. (2021), Decision Transformer; for the limits Brandfonbrener et al. (2022),
        When does return-conditioned supervised learning work for offline reinforcement learning?
    """
    luck = torch.Generator().manual_seed(seed)
    data = Transitions.of(log, config.device)
    asked = asked_height(log, config.quantile)
    features = with_heights(log, data)
    widths = (features.shape[1], *config.hidden, data.shape[1])
    network = relu_network(widths, luck).to(features.device)
    weight = torch.ones_like(data.reward)
    cloning = Cloning(network, features, data.mask, data.action, weight)
    fit = clone(cloning, log, config, luck, progress)
    layers, maps = folded(network)
    parts = (_asking(layers, asked), maps)
    return policy_of(log, data, parts, Boltzmann(fit["temperature"]), {**fit, "asked": asked})


def with_heights(log: TrainingLog, data: Transitions) -> Tensor:
    """Standardised features and, as the last column, how high the return is, [n, d + 1].

    Args:
        log: the decisions.
        data: the same on the device of the training.
    """
    height = torch.from_numpy(within_bins(log.step, log.returns)).to(data.features)
    return torch.cat([data.features, height[:, None]], dim=1)


def asked_height(log: TrainingLog, quantile: float) -> float:
    """How high a return is asked for: a quantile of those in the log."""
    return float(np.quantile(within_bins(log.step, log.returns), quantile))


def within_bins(step: IntArray, returns: FloatArray) -> FloatArray:
    """How high each return is among those from the same bin on, in their deviations, [n].

    Args:
        step: bin of each decision, [n].
        returns: from the decision on, [n].
    """
    bin_ = np.unique(step, return_inverse=True)[1]
    rows = np.bincount(bin_)
    mean = (np.bincount(bin_, returns) / rows)[bin_]
    spread = np.sqrt(np.bincount(bin_, (returns - mean) ** 2) / rows)[bin_]
    # Where all returns of a bin are equal none of them is high.
    height = np.divide(returns - mean, spread, out=np.zeros_like(mean), where=spread > 0.0)
    return height.clip(-REACH, REACH)


def _asking(layers: Layers, asked: float) -> Layers:
    """The hidden layers with the last input fixed, as part of the first bias."""
    (weight, bias), *rest = layers
    return [(weight[:, :-1], bias + weight[:, -1] * asked), *rest]
