"""Networks that are trained to act: an actor over masked actions, and a critic."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from nurture_rl.learned.choice_rules import Boltzmann
from nurture_rl.learned.scored import REACH, ScoredModule, ScoredPolicy, split_network
from nurture_rl.rl.masking import log_probabilities


class Standardiser(nn.Module):
    """Features on a common scale, learned before training and then fixed."""

    mean: Tensor
    scale: Tensor

    def __init__(self, features: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("scale", torch.ones(features))

    def learn(self, features: Tensor) -> None:
        """Take mean and spread from contexts [n, d]; constant columns keep scale 1."""
        spread = features.std(dim=0, correction=0)
        self.mean.copy_(features.mean(dim=0))
        self.scale.copy_(torch.where(spread > 1e-6, spread, torch.ones_like(spread)))

    def forward(self, features: Tensor) -> Tensor:
        """Standardised features, [n, d]."""
        scaled: Tensor = ((features - self.mean) / self.scale).clamp(-REACH, REACH)
        return scaled


def perceptron(
    widths: tuple[int, ...],
    gain: float,
    generator: torch.Generator,
    unit: type[nn.Module] = nn.Tanh,
) -> nn.Sequential:
    """Layers with orthogonal weights; `gain` scales the last layer's first outputs."""
    layers: list[nn.Module] = []
    pairs = list(pairwise(widths))
    for position, (inputs, outputs) in enumerate(pairs):
        last = position == len(pairs) - 1
        layer = nn.Linear(inputs, outputs, device="meta").to_empty(device="cpu")
        nn.init.orthogonal_(layer.weight, gain if last else 2.0**0.5, generator)
        nn.init.zeros_(layer.bias)
        layers += [layer] if last else [layer, unit()]
    return nn.Sequential(*layers)


class Actor(nn.Module):
    """Logits of actions from features and mask; standardisation is part of the graph."""

    def __init__(
        self, features: int, actions: int, hidden: tuple[int, ...], generator: torch.Generator
    ) -> None:
        super().__init__()
        self.standardise = Standardiser(features)
        self.layers = perceptron((features, *hidden, actions), 0.01, generator)

    def log_probabilities(self, features: Tensor, mask: Tensor) -> Tensor:
        """Log-probabilities, finite everywhere so that gradients are, [n, a].

        Args:
            features: raw contexts, [n, d] float32.
            mask: True where legal, [n, a] bool; every row has at least one.
        """
        return log_probabilities(self.layers(self.standardise(features)), mask)

    def policy(self, catalog_hash: str, columns: tuple[str, ...]) -> ScoredPolicy:
        """What was trained, ready to act: the softmax of its logits over the legal actions.

        Args:
            catalog_hash: of the catalogue whose order the actions follow.
            columns: feature columns, in order.
        """
        layers, maps = split_network(self.layers)
        moments = tuple(
            one.double().numpy() for one in (self.standardise.mean, self.standardise.scale)
        )
        module = ScoredModule((moments[0], moments[1]), layers, maps, Boltzmann(1.0))
        return ScoredPolicy(catalog_hash, columns, module, {})


class Critic(nn.Module):
    """Expected return from here on, in standardised units."""

    def __init__(self, features: int, hidden: tuple[int, ...], generator: torch.Generator) -> None:
        super().__init__()
        self.standardise = Standardiser(features)
        self.layers = perceptron((features, *hidden, 1), 1.0, generator)

    def forward(self, features: Tensor) -> Tensor:
        """Values, [n]."""
        value: Tensor = self.layers(self.standardise(features))[:, 0]
        return value
