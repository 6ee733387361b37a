"""A learned policy: a network or linear maps score every action, a rule draws from the scores."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from nurture_rl.errors import ShapeError
from nurture_rl.learned.choice_rules import Rule, floored
from nurture_rl.policies.policy import (
    BoolArray,
    FeatureArray,
    FloatArray,
    PolicyError,
    Spec,
    require_batch,
)

CORE = "core"  # what descriptions of policies call the learned part
_REACH = 10.0  # standard deviations; an outlier saturates instead of steering the network
_UNITS: Mapping[str, Callable[[Tensor], Tensor]] = {"relu": torch.relu, "tanh": torch.tanh}
_CHUNK_BYTES = 8 << 20  # of the [rows, a, m] scores, and of comparing them, held at once


class ScoredModule(nn.Module):
    """Probabilities from features and mask; standardisation is part of the graph.

    Layers of a network, if there are any, run in float32; the maps, the rule and the floor in
    float64.
    """

    mean: Tensor
    scale: Tensor
    maps: Tensor

    def __init__(
        self,
        moments: tuple[NDArray[np.float64], NDArray[np.float64]],
        layers: Sequence[tuple[Tensor, Tensor]],
        maps: NDArray[np.float64] | Tensor,
        rule: Rule,
        floor: float = 0.0,
        unit: str = "tanh",
    ) -> None:
        """Put a policy together.

        Args:
            moments: mean and scale of the training contexts, [d] each.
            layers: weight [out, in] and bias [out] of each hidden layer, followed by the unit;
                none for scores that are linear in the features.
            maps: scores as linear maps of [1, hidden], or of [1, features], [m, a, h + 1].
            rule: from scores to probabilities.
            floor: least probability of a legal action.
            unit: `tanh` or `relu`.

        Raises:
            ShapeError: the parts do not fit together.
            PolicyError: the floor leaves no room, or the unit is unknown.
        """
        super().__init__()
        mean, scale = moments
        self.register_buffer("mean", torch.as_tensor(mean, dtype=torch.float64))
        self.register_buffer("scale", torch.as_tensor(scale, dtype=torch.float64))
        self.register_buffer("maps", torch.as_tensor(maps, dtype=torch.float64).clone())
        for index, (weight, bias) in enumerate(layers):
            self.register_buffer(f"weight_{index}", weight.detach().float().clone())
            self.register_buffer(f"bias_{index}", bias.detach().float().clone())
        self.depth, self.rule, self.floor, self.unit = len(layers), rule, floor, unit
        widths = (len(mean), *(len(bias) for _, bias in layers), self.maps.shape[2] - 1)
        fit = all(
            tuple(weight.shape) == (after, before)
            for (weight, _), (before, after) in zip(layers, pairwise(widths), strict=False)
        )
        if len(scale) != len(mean) or not fit or widths[-2] != widths[-1]:
            raise ShapeError(
                f"expected maps [m, a, h + 1] behind layers of widths {widths[:-1]}, got maps "
                f"{tuple(self.maps.shape)} and scale {tuple(self.scale.shape)}"
            )
        if unit not in _UNITS:
            raise PolicyError(f"expected a unit of {', '.join(_UNITS)}, got {unit!r}")
        if not 0.0 <= floor * self.actions <= 1.0:
            raise PolicyError(
                f"a floor of {floor:g} on each of {self.actions} actions must lie in [0, 1] in "
                f"all; lower it to at most {1.0 / self.actions:g}"
            )

    @property
    def actions(self) -> int:
        """Actions scored, a."""
        return int(self.maps.shape[1])

    def scores(self, features: Tensor) -> Tensor:
        """Scores of every action, [n, a, m] float64.

        Args:
            features: raw contexts, [n, d] float32.
        """
        hidden = (features.to(torch.float64) - self.mean) / self.scale
        if self.depth:
            hidden = hidden.clamp(-_REACH, _REACH).to(torch.float32)
            for index in range(self.depth):
                weight, bias = getattr(self, f"weight_{index}"), getattr(self, f"bias_{index}")
                hidden = _UNITS[self.unit](nn.functional.linear(hidden, weight, bias))
            hidden = hidden.to(torch.float64)
        m, a, _ = self.maps.shape
        flat = self.maps.permute(2, 1, 0).reshape(-1, a * m)
        return (hidden @ flat[1:] + flat[0]).reshape(-1, a, m)

    def forward(self, features: Tensor, mask: Tensor) -> Tensor:
        """Probabilities, exactly 0 where masked.

        Args:
            features: raw contexts, [n, d] float32.
            mask: True where legal, [n, a] bool; every row has at least one.

        Returns:
            [n, a] float64, rows sum to 1.
        """
        return floored(self.rule(self.scores(features), mask), mask, self.floor)


@dataclass(frozen=True, slots=True, eq=False)
class ScoredPolicy:
    """What a learner made, as a `Policy`."""

    catalog_hash: str  # of the catalogue whose order the actions follow
    columns: tuple[str, ...]  # feature columns, in order
    module: ScoredModule  # on the CPU
    fit: Mapping[str, float]  # what the fit saw, for reports
    name: str = CORE

    def action_probabilities(self, features: FeatureArray, mask: BoolArray) -> FloatArray:
        """The rule's distribution over the scores, [n, a].

        Raises:
            ShapeError: not the catalogue's actions or not the features of the training.
            ProbabilityError: a row without any legal action.
        """
        m, n_actions, _ = self.module.maps.shape
        require_batch(features, mask, n_actions)
        if features.shape[1] != len(self.columns):
            raise ShapeError(
                f"expected {len(self.columns)} features, got {features.shape[1]}; use the journey "
                "the policy was fitted on"
            )
        probabilities = np.zeros(mask.shape)
        step = max(1, _CHUNK_BYTES // (8 * max(m, n_actions) * n_actions))
        with torch.no_grad():
            for start in range(0, len(mask), step):
                rows = slice(start, start + step)
                table = self.module(torch.tensor(features[rows]), torch.tensor(mask[rows]))
                probabilities[rows] = table.numpy()
        return probabilities

    def spec(self) -> Spec:
        """A learned policy is described by its name."""
        return {"kind": "model", "name": self.name}


def split_network(network: nn.Sequential) -> tuple[list[tuple[Tensor, Tensor]], Tensor]:
    """A trained perceptron as hidden layers and the map of its last layer.

    Args:
        network: Linear, Tanh or ReLU, ..., Linear; the last layer has one output per action.

    Returns:
        The hidden layers' weights and biases; the last layer's map, bias first, [1, a, h + 1].
    """
    linear = [layer for layer in network if isinstance(layer, nn.Linear)]
    last = linear.pop()
    maps = torch.cat([last.bias[:, None], last.weight], dim=1).detach()[None]
    return [(layer.weight, layer.bias) for layer in linear], maps
