"""The decision transformer: what was done, given the past and how high the return turned out."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from math import inf

import torch
from torch import Tensor, nn

from nurture_rl.errors import FitError
from nurture_rl.learned.choice_rules import Boltzmann
from nurture_rl.learned.remembering import MemoryShape, RememberingTrunk, linear, memory_places
from nurture_rl.learned.scored import ScoredPolicy, split_network
from nurture_rl.learned.training_log import Progress, TrainingLog
from nurture_rl.rl.actor import perceptron
from nurture_rl.rl.bc import Cloning, clone
from nurture_rl.rl.offline_training import NetworkConfig
from nurture_rl.rl.return_conditioned import asked_height, with_heights
from nurture_rl.rl.scored_networks import policy_of
from nurture_rl.rl.transitions import Transitions
from nurture_rl.wording import counted


@dataclass(frozen=True, slots=True)
class DecisionTransformerConfig(NetworkConfig):
    """How the log is imitated, and how high a return is asked for."""

    hidden: tuple[int, ...] = (64, 64)  # ReLU units of each block, one block at least
    width: int = 32  # numbers of a token, a multiple of `heads`
    heads: int = 2  # of attention in each block
    quantile: float = 0.95  # of the returns from the same bin on that is asked for, in [0, 1]

    def __post_init__(self) -> None:
        self.require(quantile=(0.0, 1.0), width=(1, inf), heads=(1, inf))
        if self.width % self.heads:
            raise FitError(
                f"width of DecisionTransformer must be a multiple of its {self.heads} heads, got "
                f"{self.width}"
            )


class Wishing(nn.Module):
    """Logits of actions from a context, what it remembers, and the return wished for."""

    def __init__(self, shape: MemoryShape, actions: int, luck: torch.Generator) -> None:
        super().__init__()
        self.trunk = RememberingTrunk(shape, luck)
        self.wish = linear(1, shape.width, luck)
        self.head = perceptron((shape.width, actions), 0.01, luck)

    def forward(self, told: Tensor) -> Tensor:
        """Logits, [n, a]; `told` [n, d + 1] are the features and the return's height."""
        logits: Tensor = self.head(self.trunk(told[:, :-1], self.wish(told[:, -1:])))
        return logits

    @torch.no_grad()
    def asking(self, height: float) -> RememberingTrunk:
        """The trunk of a policy that always wishes for a return of that height."""
        trunk = copy.deepcopy(self.trunk).requires_grad_(False)
        trunk.opening.copy_(self.wish.weight[:, 0] * height + self.wish.bias)
        return trunk


def train_decision_transformer(
    log: TrainingLog, config: DecisionTransformerConfig, seed: int, progress: Progress
) -> ScoredPolicy:
    """Learn what the log does given the past and how high the return turns out; ask for a high one.

        minimise -sum_i log p(a_i | m_i, g_i, x_i),    p = softmax over legal actions of logits / T
        m_i = what happened in each of the bins before i, as far as the journey remembers,
        g_i = return from i on, less the mean of returns from the same bin on, in their deviations
        act by p(a | m, quantile of all g_i, x)

    A causal transformer reads one token a bin (mails, calls and answers of that bin), then the
    wish, then the context. What is remembered are the journey's features of kind `memory`: a
    decision still follows from one context row, in a log, in a world, in a judge and in a server.
    A bin of a pause is a token in which nothing was sent, so time runs evenly however long a pause
    is; rows with one legal action show no choice and are left out of the loss. Returns wished for
    at earlier bins are no tokens: they follow from the present wish and from what came in between.

    Take it where what happened when decides, and where the log's better episodes are better by what
    was done in them. Without memory it is `return_conditioned` with another network, and `fit` says
    so (`bins` 0). It shares its limits: it cannot tell luck from skill, and it stitches nothing
    together. What it earned from one log: `experiments/memory`.

    Args:
        log: the decisions.
        config: network, training and the quantile asked for.
        seed: of first weights, batches and the contacts kept aside.
        progress: told the loss of batches and of contacts kept aside, in nats, at every look.

    Returns:
        The policy, which draws by its probabilities; its `fit` tells how high a return is asked
        for (`asked`, deviations of returns from the same bin on), and of how many bins (`bins`) and
        memories (`tracks`) it reads.

    Raises:
        FitError: the training diverges.

    Source: Chen et al. (2021), Decision Transformer: Reinforcement Learning via Sequence Modeling;
        for the limits Brandfonbrener et al. (2022), When does return-conditioned supervised
        learning work for offline reinforcement learning?
    """
    luck = torch.Generator().manual_seed(seed)
    data = Transitions.of(log, config.device)
    asked = asked_height(log, config.quantile)
    places = memory_places(log.columns)
    shape = MemoryShape(data.shape[0], places, config.width, config.heads, config.hidden)
    network = Wishing(shape, data.shape[1], luck).to(config.device)
    told = with_heights(log, data)
    cloning = Cloning(network, told, data.mask, data.action, torch.ones_like(data.reward))
    fit = clone(cloning, log, config, luck, progress)
    tracks = float(len(places[0])) if places else 0.0
    fit = {**fit, "asked": asked, "bins": float(len(places)), "tracks": tracks}
    rule, trunk = Boltzmann(fit["temperature"]), network.asking(asked)
    return policy_of(log, data, split_network(network.head), rule, fit, trunk)


def memory_verdict(fit: Mapping[str, float]) -> str:
    """How far back a decision transformer looks, in a line.

    Args:
        fit: of `train_decision_transformer`.
    """
    if not fit["bins"]:
        return (
            "reads no earlier bin: the journey remembers none; give it features of kind memory, or "
            "take return_conditioned, its one-step form"
        )
    bins, tracks = counted(int(fit["bins"]), "bin"), int(fit["tracks"])
    return f"reads each of the last {bins} in {tracks} {'memory' if tracks == 1 else 'memories'}"
