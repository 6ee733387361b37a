"""A neural policy over masked actions: the trained module, and the `Policy` around it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from nurture_rl.policies.policy import (
    BoolArray,
    FeatureArray,
    FloatArray,
    Spec,
    normalised,
    require_batch,
)

_REACH = 10.0  # standard deviations; an outlier saturates instead of steering the network
_MASKED = -1e9  # exp(_MASKED - x) is exactly 0 in float32 for every logit x that can occur


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
        scaled: Tensor = ((features - self.mean) / self.scale).clamp(-_REACH, _REACH)
        return scaled


def perceptron(widths: tuple[int, ...], gain: float, generator: torch.Generator) -> nn.Sequential:
    """Tanh layers with orthogonal weights; `gain` scales the last layer's first outputs."""
    layers: list[nn.Module] = []
    pairs = list(pairwise(widths))
    for position, (inputs, outputs) in enumerate(pairs):
        last = position == len(pairs) - 1
        layer = nn.Linear(inputs, outputs, device="meta").to_empty(device="cpu")
        nn.init.orthogonal_(layer.weight, gain if last else 2.0**0.5, generator)
        nn.init.zeros_(layer.bias)
        layers += [layer] if last else [layer, nn.Tanh()]
    return nn.Sequential(*layers)


class Actor(nn.Module):
    """Action probabilities from features and mask; standardisation is part of the graph."""

    def __init__(
        self, features: int, actions: int, hidden: tuple[int, ...], generator: torch.Generator
    ) -> None:
        super().__init__()
        self.standardise = Standardiser(features)
        self.layers = perceptron((features, *hidden, actions), 0.01, generator)

    def masked_logits(self, features: Tensor, mask: Tensor) -> Tensor:
        """Logits with masked actions out of reach, [n, a]."""
        logits = self.layers(self.standardise(features))
        return torch.where(mask, logits, torch.full_like(logits, _MASKED))

    def log_probabilities(self, features: Tensor, mask: Tensor) -> Tensor:
        """Log of `forward`, finite everywhere so that gradients are, [n, a]."""
        return torch.log_softmax(self.masked_logits(features, mask), dim=1)

    def forward(self, features: Tensor, mask: Tensor) -> Tensor:
        """Probabilities, exactly 0 where masked.

        Args:
            features: raw contexts, [n, d] float32.
            mask: True where legal, [n, a] bool; every row has at least one.

        Returns:
            [n, a] float32, rows sum to 1.
        """
        return torch.softmax(self.masked_logits(features, mask), dim=1)


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


@dataclass(frozen=True, slots=True, eq=False)
class ActorPolicy:
    """A trained actor as a `Policy`."""

    name: str
    catalog_hash: str  # of the catalogue whose order the actions follow
    columns: tuple[str, ...]  # feature columns, in order
    hidden: tuple[int, ...]
    n_actions: int
    module: Actor  # on the CPU; forward(features f32 [n, d], mask bool [n, a]) -> f32 [n, a]

    def action_probabilities(self, features: FeatureArray, mask: BoolArray) -> FloatArray:
        """The actor's distribution, [n, a].

        Raises:
            ShapeError: the arrays do not fit the policy.
            ProbabilityError: a row without any legal action.
        """
        require_batch(features, mask, self.n_actions)
        with torch.no_grad():
            table = self.module(torch.as_tensor(features), torch.as_tensor(mask))
        return normalised(table.double().numpy(), mask)

    def spec(self) -> Spec:
        """The kind and the name it is saved under."""
        return {"kind": "model", "name": self.name}
