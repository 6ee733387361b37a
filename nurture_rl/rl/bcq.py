"""Batch-constrained Q-learning: the best of what the log usually does."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from nurture_rl.learned.choice_rules import GreedyAmongUsual
from nurture_rl.learned.scored import ScoredPolicy
from nurture_rl.learned.training_log import Progress, TrainingLog
from nurture_rl.policies.composition import Region
from nurture_rl.rl.bc import Cloning, clone
from nurture_rl.rl.dqn import QLearning, learn_values, value_network
from nurture_rl.rl.masking import log_probabilities
from nurture_rl.rl.offline_training import BootstrapConfig, follower, in_tiles, later
from nurture_rl.rl.scored_networks import policy_of, score_network, side_by_side
from nurture_rl.rl.transitions import Transitions


@dataclass(frozen=True, slots=True)
class BCQConfig(BootstrapConfig):
    """How the action values are learned and what counts as usual."""

    # Share of the likeliest action's probability, in [0, 1]. Low, for a program that explores
    # draws each other action a few times in a hundred at most.
    threshold: float = 0.02
    double: bool = True  # the trained network chooses what follows, the following one values it

    def __post_init__(self) -> None:
        self.require(threshold=(0.0, 1.0))


def train_bcq(
    log: TrainingLog,
    config: BCQConfig,
    seed: int,
    progress: Progress,
    region: Region | None = None,
) -> ScoredPolicy:
    """Learn what the log does, then Q-learning in which only what it usually does may follow.

        usual(x) = legal actions with p(a|x) >= threshold max_b p(b|x),    p cloned from the log
        minimise mean (r + discount^(bins between) sum_b p(b|x') q-(x', b) - q(x, a))^2,
        p = the best of the usual actions of x' that the release lets be done, see `best_inside`;
            the best usual action without a trust region

    No target and no decision asks for an action that the log hardly takes in such a context, but
    for what a trust region leaves to them: its exploration, and what is left over where the limits
    of the usual actions sum to less than 1. At threshold 0 this is `dqn`, at 1 it does what the log
    does most.

    Args:
        log: the decisions.
        config: network, training and threshold.
        seed: of first weights, batches and the contacts kept aside for the cloning.
        progress: told the loss at every look: of the cloning in nats, then of the values in
            squared deviations of returns.
        region: where the policy will be held, so that its own release is what is valued; None: it
            may do what it likes.

    Returns:
        The policy that takes the best usual action. Of its two scores the first is in the
        journey's unit; its `fit` tells the mean number of `usual` actions where there is a choice.

    Raises:
        FitError: the training diverges.

    Source: Fujimoto et al. (2019), Benchmarking Batch Deep Reinforcement Learning Algorithms.
    """
    luck = torch.Generator().manual_seed(seed)
    data = Transitions.of(log, config.device, region=region)
    logits = score_network(data, data.shape[1], config.hidden, luck)
    weight = torch.ones_like(data.reward)
    cloning = Cloning(logits, data.features, data.mask, data.action, weight)
    cloned = clone(cloning, log, config, luck, progress)
    usual = usual_actions(cloning, cloned["temperature"], config.threshold)
    network = value_network(data, config.hidden, False, luck)
    objective = QLearning(replace(data, mask=usual), network, follower(network), config.double)
    fit = learn_values(objective, config, luck, later(progress, config))
    layers, maps = side_by_side(network, logits)
    units = maps.new_tensor([data.scale, 1.0 / cloned["temperature"]], dtype=torch.float64)
    free = data.mask.sum(dim=1) > 1
    told = {
        **fit,
        "held_out_loss": cloned["held_out_loss"],
        "usual": float(usual[free].sum(dim=1).double().mean()),
    }
    parts = (layers, maps.double() * units[:, None, None])
    return policy_of(log, data, parts, GreedyAmongUsual(config.threshold), told)


def usual_actions(cloning: Cloning, temperature: float, threshold: float) -> Tensor:
    """Legal actions with at least `threshold` times the likeliest one's probability, [n, a]."""

    def usual(rows: Tensor) -> Tensor:
        mask = cloning.mask[rows]
        table = log_probabilities(cloning.network(cloning.features[rows]) / temperature, mask)
        return mask & ((table - table.amax(dim=1, keepdim=True)).exp() >= threshold)

    return in_tiles(usual, torch.arange(len(cloning.mask), device=cloning.mask.device))
