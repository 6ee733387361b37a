"""Imitation of what was done where returns turned out high."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from nurture_rl.learned.choice_rules import Boltzmann
from nurture_rl.learned.scored import ScoredPolicy
from nurture_rl.learned.training_log import Progress, TrainingLog
from nurture_rl.policies.policy import FloatArray, IntArray
from nurture_rl.rl.actor import perceptron
from nurture_rl.rl.bc import Cloning, clone
from nurture_rl.rl.offline_training import NetworkConfig, require, require_settings
from nurture_rl.rl.scored_networks import Layers, folded, policy_of
from nurture_rl.rl.transitions import Transitions


@dataclass(frozen=True, slots=True)
class ReturnConditionedConfig(NetworkConfig):
    """How the log is imitated, and how high a return is asked for."""

    quantile: float = 0.95  # of the returns from the same bin on that is asked for, in [0, 1]


def train_return_conditioned(
    log: TrainingLog, config: ReturnConditionedConfig, seed: int, progress: Progress
) -> ScoredPolicy:
    """Learn what the log does given how high the return turns out, then ask for a high one.

        minimise -sum_i log p(a_i|x_i, g_i),    g_i = rank of the return from i on, in [0, 1],
                                                among returns from the same bin on
        act by p(a|x, quantile)

    The small relative of the decision transformer: one context in the place of a history, and
    nothing is planned. It cannot tell luck from skill: an action after which returns vary most
    looks good, and in a log in which chance decides more than actions it does about what the log
    does. Where fewer than 1 - quantile of returns are above 0, a return of 0 is what is asked for:
    `asked_return` tells. Read it as a baseline.

    Args:
        log: the decisions.
        config: network, training and the quantile asked for.
        seed: of first weights, batches and the contacts kept aside.
        progress: told the loss of batches and of contacts kept aside, in nats, at every look.

    Returns:
        The policy, which draws by its probabilities; its `fit` tells the quantile of all returns
        (`asked_return`, the journey's unit).

    Raises:
        FitError: settings out of range, or the training diverges.

    Source: Emmons et al. (2022), RvS: What is Essential for Offline RL via Supervised Learning?;
        Chen et al. (2021), Decision Transformer; for the limits Brandfonbrener et al. (2022),
        When does return-conditioned supervised learning work for offline reinforcement learning?
    """
    named = "quantile", config.quantile
    require(0.0 <= config.quantile <= 1.0, *named, "a quantile from 0 to 1")
    require_settings(config)
    luck = torch.Generator().manual_seed(seed)
    data = Transitions.of(log, config.device)
    rank = ranks_within(log.step, log.returns)
    asked = torch.from_numpy(_spread(rank)).to(data.features)
    features = torch.cat([data.features, asked[:, None]], dim=1)
    widths = (features.shape[1], *config.hidden, data.shape[1])
    network = perceptron(widths, 0.01, luck).to(features.device)
    weight = torch.ones_like(data.reward)
    cloning = Cloning(network, features, data.mask, data.action, weight)
    fit = clone(cloning, log, config, luck, progress)
    layers, maps = folded(network)
    parts = (_asking(layers, _spread(config.quantile)), maps)
    told = {**fit, "asked_return": float(np.quantile(log.returns, config.quantile))}
    return policy_of(log, data, parts, Boltzmann(fit["temperature"]), told)


def ranks_within(group: IntArray, values: FloatArray) -> FloatArray:
    """Share of a group's values below each of its values, of equal ones half, [n].

    Args:
        group: any integers, [n].
        values: [n].
    """
    order = np.lexsort((values, group))
    first = np.append(True, np.diff(group[order]) != 0)
    fresh = first | np.append(True, np.diff(values[order]) != 0.0)
    began = np.flatnonzero(first)[np.cumsum(first) - 1]  # of the group, in order
    run = np.cumsum(fresh) - 1
    starts = np.flatnonzero(fresh)
    ends = np.append(starts[1:], values.size)
    size = np.bincount(np.cumsum(first) - 1)[np.cumsum(first) - 1]
    found = np.empty(values.size)
    found[order] = ((starts[run] + ends[run]) / 2.0 - began) / size
    return found


def _spread(rank: FloatArray | float) -> FloatArray:
    """Ranks with mean 0 and deviation 1, as the features."""
    return np.asarray((np.asarray(rank, np.float32) - 0.5) * 12.0**0.5, np.float32)


def _asking(layers: Layers, asked: FloatArray) -> Layers:
    """The hidden layers with the last input fixed, as part of the first bias."""
    (weight, bias), *rest = layers
    return [(weight[:, :-1], bias + weight[:, -1] * float(asked)), *rest]
