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
from nurture_rl.learned.choice_rules import Rule, UpperBound, Vote, floored, merit
from nurture_rl.learned.remembering import RememberingTrunk
from nurture_rl.policies.policy import (
    BoolArray,
    FeatureArray,
    FloatArray,
    IntArray,
    PolicyError,
    Spec,
    require_batch,
)

CORE = "core"  # what descriptions of policies call the learned part
REACH = 10.0  # standard deviations; an outlier saturates instead of steering the network
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
        trunk: RememberingTrunk | None = None,
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
            trunk: reads the standardised features before the layers; None: the layers do.

        Raises:
            ShapeError: the parts do not fit together.
            PolicyError: the floor leaves no room, the unit is unknown, a number is not finite, or
                a scale is not above 0.
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
        self.trunk = trunk
        self._require_shapes(layers)
        numbers_are_finite = all(bool(part.isfinite().all()) for part in self.state_dict().values())
        if not numbers_are_finite or not bool((self.scale > 0.0).all()):
            raise PolicyError(
                "expected finite moments, layers and maps, and scales > 0; fit the policy again"
            )
        if unit not in _UNITS:
            raise PolicyError(f"expected a unit of {', '.join(_UNITS)}, got {unit!r}")
        if not 0.0 <= floor * self.actions <= 1.0:
            raise PolicyError(
                f"a floor of {floor:g} on each of {self.actions} actions must lie in [0, 1] in "
                f"all; lower it to at most {1.0 / self.actions:g}"
            )

    def _require_shapes(self, layers: Sequence[tuple[Tensor, Tensor]]) -> None:
        read = self.mean.shape if self.trunk is None else (self.trunk.shape.width,)
        widths = [*read, *(bias.numel() for _, bias in layers)]
        flat = self.mean.ndim == 1 and self.scale.shape == self.mean.shape
        flat &= self.trunk is None or (self.trunk.shape.features,) == tuple(self.mean.shape)
        fit = flat and all(
            tuple(weight.shape) == (after, before) and tuple(bias.shape) == (after,)
            for (weight, bias), (before, after) in zip(layers, pairwise(widths), strict=True)
        )
        maps = tuple(self.maps.shape)
        if not fit or len(maps) != 3 or 0 in maps or maps[2] != widths[-1] + 1:
            raise ShapeError(
                f"expected maps [m, a, h + 1] behind layers of widths {tuple(widths)}, got maps "
                f"{maps}, mean {tuple(self.mean.shape)} and scale {tuple(self.scale.shape)}"
            )

    @property
    def actions(self) -> int:
        """Actions scored, a."""
        return int(self.maps.shape[1])

    @property
    def is_linear(self) -> bool:
        """Whether the number that the rule goes by is linear in the features."""
        return not self.depth and self.trunk is None and not isinstance(self.rule, UpperBound)

    def scores(self, features: Tensor, actions: Tensor | None = None) -> Tensor:
        """Scores of every action, [n, a, m] float64.

        Args:
            features: raw contexts, [n, d] float32.
            actions: those that are scored, [a]; None: all.
        """
        hidden = (features.to(torch.float64) - self.mean) / self.scale
        if self.depth or self.trunk is not None:
            hidden = hidden.clamp(-REACH, REACH).to(torch.float32)
            hidden = hidden if self.trunk is None else self.trunk(hidden)
            for index in range(self.depth):
                weight, bias = getattr(self, f"weight_{index}"), getattr(self, f"bias_{index}")
                hidden = _UNITS[self.unit](nn.functional.linear(hidden, weight, bias))
            hidden = hidden.to(torch.float64)
        maps = self.maps if actions is None else self.maps[:, actions]
        m, a, _ = maps.shape
        flat = maps.permute(2, 1, 0).reshape(-1, a * m)
        return (hidden @ flat[1:] + flat[0]).reshape(-1, a, m)

    def forward(self, features: Tensor, mask: Tensor, actions: Tensor | None = None) -> Tensor:
        """Probabilities, exactly 0 where masked.

        Args:
            features: raw contexts, [n, d] float32.
            mask: True where legal, [n, a] bool; every row has at least one.
            actions: those that the mask is about, [a]; None: all.

        Returns:
            [n, a] float64, rows sum to 1.
        """
        return floored(self.rule(self.scores(features, actions), mask), mask, self.floor)

    def told(self, features: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Probabilities of `forward`, and what the rule goes by, see `merit`; [n, a] each."""
        scores = self.scores(features)
        return floored(self.rule(scores, mask), mask, self.floor), merit(self.rule, scores)


@dataclass(frozen=True, slots=True, eq=False)
class ScoredPolicy:
    """What a learner made, as a `Policy`.

    Raises:
        ShapeError: not one column per feature of the module.
    """

    catalog_hash: str  # of the catalogue whose order the actions follow
    columns: tuple[str, ...]  # feature columns, in order
    module: ScoredModule  # on the CPU
    fit: Mapping[str, float]  # what the fit saw, for reports
    name: str = CORE

    def __post_init__(self) -> None:
        if len(self.columns) != len(self.module.mean):
            raise ShapeError(
                f"expected {len(self.module.mean)} columns, one per feature of the module, got "
                f"{len(self.columns)}"
            )

    def action_probabilities(self, features: FeatureArray, mask: BoolArray) -> FloatArray:
        """The rule's distribution over the scores, [n, a].

        Raises:
            ShapeError: not the catalogue's actions or not the features of the training.
            PolicyError: a feature is not finite; names the row.
            ProbabilityError: a row without any legal action.
        """
        m, n_actions, _ = self.module.maps.shape
        require_batch(features, mask, n_actions)
        if features.shape[1] != len(self.columns):
            raise ShapeError(
                f"expected {len(self.columns)} features, got {features.shape[1]}; use the journey "
                "the policy was fitted on"
            )
        good = np.isfinite(features)
        if not good.all():
            row, column = np.argwhere(~good)[0]
            raise PolicyError(
                f"row {row} has {features[row, column]} in {self.columns[column]}, expected finite "
                "features; build them as for the training"
            )
        probabilities = np.zeros(mask.shape)
        with torch.no_grad():
            for rows, actions in self._scored(mask):
                step = max(1, _CHUNK_BYTES // (8 * max(m, n_actions) * len(actions)))
                for start in range(0, len(rows), step):
                    some = rows[start : start + step]
                    at, legal = np.ix_(some, actions), torch.from_numpy(actions)
                    table = self.module(torch.tensor(features[some]), torch.tensor(mask[at]), legal)
                    probabilities[at] = table.numpy()
        return probabilities

    def _scored(self, mask: BoolArray) -> list[tuple[IntArray, IntArray]]:
        """Rows that are scored together, and the actions that they are scored for.

        Where many draws vote, scores take most of the time, and no vote depends on an action that
        is not legal: contexts with few legal actions are scored for theirs alone.
        """
        rows, actions = np.arange(len(mask)), np.arange(mask.shape[1])
        if not isinstance(self.module.rule, Vote):
            return [(rows, actions)]
        few = 2 * mask.sum(axis=1) < len(actions)
        return [(rows[part], actions[mask[part].any(axis=0)]) for part in (few, ~few) if part.any()]

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
