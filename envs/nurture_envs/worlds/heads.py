"""The multi-head discrete-time hazard network: what each signal's chance is in the next bin."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import torch
from torch import Tensor, nn

from nurture_envs.actions import ActionCatalog
from nurture_envs.journey import Journey

_REACH = 6.0  # standard deviations; beyond the logged range the response is held constant


@dataclass(frozen=True)
class Heads:
    """Which channels of a journey the network answers for."""

    counts: tuple[str, ...]  # signals that contacts make; what the action makes is known
    values: tuple[str, ...]  # the valued ones among them

    @classmethod
    def of(cls, journey: Journey) -> Heads:
        """Every signal that is not made by the action itself."""
        made = [signal for signal in journey.signals if not signal.by_action]
        return cls(
            counts=tuple(signal.name for signal in made),
            values=tuple(signal.name for signal in made if signal.valued),
        )

    @cached_property
    def source(self) -> list[int]:
        """Count head of each value head."""
        return [self.counts.index(name) for name in self.values]

    def count_channels(self, journey: Journey) -> list[int]:
        """Channel of each count head."""
        return [journey.channel_index(name) for name in self.counts]

    def value_channels(self, journey: Journey) -> list[int]:
        """Channel of each value head."""
        return [journey.channel_index(f"{name}.value") for name in self.values]


@dataclass(frozen=True, slots=True)
class ModelSizes:
    """Shapes of a `ResponseModel`; with its tensors they are all a saved model needs."""

    features: int  # d
    actions: int  # a
    embedding: int  # k, columns that describe an action
    counts: int  # H, count heads
    values: int  # V, value heads
    slots: int  # bins of a period
    hidden: tuple[int, ...] = (64, 64)  # widths of the shared trunk
    rank: int = 16  # of the feature-by-action interaction
    quantiles: int = 129  # of each value head's residuals


class ResponseModel(nn.Module):
    """Hazards and values of a bin, given the decision's features and the action.

    With x the standardised features and z(a) the action's columns (one-hot and catalogue factors),

        out = W [x, z] + b + T mlp([x, z]) + C (U x * V z)

    gives one logit per count head and one standardised mean per value head. Hazards are then
    recalibrated (slope, shift), replaced where too few events were seen (`rates`) and set to
    exactly 0 where an event cannot follow the action (`possible`).
    """

    standard_mean: Tensor
    standard_scale: Tensor
    embedding: Tensor
    slope: Tensor
    shift: Tensor
    learned: Tensor
    rates: Tensor
    possible: Tensor
    repeat: Tensor
    most: Tensor
    logarithmic: Tensor
    value_mean: Tensor
    value_scale: Tensor
    value_low: Tensor
    value_high: Tensor
    residuals: Tensor
    listed: Tensor
    prices: Tensor
    reachable: Tensor

    def __init__(self, sizes: ModelSizes) -> None:
        super().__init__()
        self.sizes = sizes
        d, k, out = sizes.features, sizes.embedding, sizes.counts + sizes.values
        widths = (d + k, *sizes.hidden)
        self.trunk = nn.ModuleList(_empty(a, b, bias=True) for a, b in pairwise(widths))
        self.top = _empty(widths[-1], out, bias=False)
        self.linear = _empty(d + k, out, bias=True)
        self.left = _empty(d, sizes.rank, bias=False)
        self.right = _empty(k, sizes.rank, bias=False)
        self.outer = _empty(sizes.rank, out, bias=False)
        for name, table in _tables(sizes).items():
            self.register_buffer(name, table)

    def raw(self, features: Tensor, action: Tensor) -> Tensor:
        """Logits of the count heads, then means of the value heads; [n, H + V], uncalibrated."""
        x = ((features - self.standard_mean) / self.standard_scale).clamp(-_REACH, _REACH)
        z = self.embedding[action]
        both = torch.cat([x, z], dim=1)
        hidden = both
        for layer in self.trunk:
            hidden = torch.relu(layer(hidden))
        crossed: Tensor = self.outer(self.left(x) * self.right(z))
        out: Tensor = self.linear(both) + self.top(hidden) + crossed
        return out

    def hazards(self, logits: Tensor, action: Tensor) -> Tensor:
        """Chance of at least one event in the bin, [n, H].

        Args:
            logits: the count heads' part of `raw`, [n, H].
            action: catalogue indices, [n].
        """
        chance = torch.sigmoid(self.slope * logits + self.shift)
        chance = torch.where(self.learned, chance, self.rates[action])
        return torch.where(self.possible[action], chance, torch.zeros_like(chance))

    def forward(self, features: Tensor, action: Tensor) -> tuple[Tensor, Tensor]:
        """Hazards [n, H] and standardised value means [n, V]."""
        out = self.raw(features, action)
        return self.hazards(out[:, : self.sizes.counts], action), out[:, self.sizes.counts :]

    def counts(self, luck: Tensor) -> Tensor:
        """Events in a bin that has some, [n, H] float, from uniforms [n, H].

        Geometric on 1, 2, ... with the logged mean, cut at the logged maximum; exactly 1 for heads
        whose mean is below the fit's threshold (`repeat` 0).
        """
        repeat = self.repeat.clamp_min(torch.finfo(self.repeat.dtype).tiny)
        extra = torch.floor(torch.log1p(-luck) / torch.log(repeat))
        return 1.0 + torch.minimum(extra, self.most - 1.0)

    def values(self, means: Tensor, luck: Tensor, action: Tensor) -> Tensor:
        """Values of a bin's events, [n, V], from uniforms [n, V]: mean plus a logged residual.

        Residual quantiles are interpolated, which keeps the mean right for any shape of noise and,
        in logarithmic heads, is the smearing estimate; the result stays inside the logged range.
        Amounts that come from a price list are drawn as they were logged after the action.

        Source: Duan (1983), Smearing Estimate: A Nonparametric Retransformation Method.
        """
        place = luck * (self.sizes.quantiles - 1)
        below = place.floor()
        column = torch.arange(self.sizes.values, device=luck.device).expand(luck.shape)
        low = self.residuals[column, below.long()]
        high = self.residuals[column, (below.long() + 1).clamp(max=self.sizes.quantiles - 1)]
        noise = low + (place - below) * (high - low)
        value = self.value_mean + self.value_scale * (means + noise)
        value = torch.where(self.logarithmic, torch.exp(value), value)
        value = torch.minimum(torch.maximum(value, self.value_low), self.value_high)
        rank = (luck * self.sizes.quantiles).long().clamp(max=self.sizes.quantiles - 1)
        return torch.where(self.listed, self.prices[action[:, None], column, rank], value)


def action_embedding(catalog: ActionCatalog) -> Tensor:
    """Columns that describe each action: one-hot, then the catalogue's factors; [a, k] float32."""
    factors = torch.as_tensor(catalog.factors, dtype=torch.float32)
    return torch.cat([torch.eye(len(catalog)), factors], dim=1)


def _empty(inputs: int, outputs: int, bias: bool) -> nn.Linear:
    """A layer whose weights are 0, made without touching torch's global generator."""
    layer = nn.Linear(inputs, outputs, bias=bias, device="meta").to_empty(device="cpu")
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer


def _tables(sizes: ModelSizes) -> dict[str, Tensor]:
    """Buffers of a model that has learned nothing yet."""
    d, a, h, v = sizes.features, sizes.actions, sizes.counts, sizes.values
    return {
        "standard_mean": torch.zeros(d),
        "standard_scale": torch.ones(d),
        "embedding": torch.zeros(a, sizes.embedding),
        "slope": torch.ones(h),
        "shift": torch.zeros(h),
        "learned": torch.ones(h, dtype=torch.bool),
        "rates": torch.zeros(a, h),
        "possible": torch.ones(a, h, dtype=torch.bool),
        "repeat": torch.zeros(h),
        "most": torch.ones(h),
        "logarithmic": torch.zeros(v, dtype=torch.bool),
        "value_mean": torch.zeros(v),
        "value_scale": torch.ones(v),
        "value_low": torch.zeros(v),
        "value_high": torch.zeros(v),
        "residuals": torch.zeros(v, sizes.quantiles),
        "listed": torch.zeros(v, dtype=torch.bool),
        "prices": torch.zeros(a, v, sizes.quantiles),
        "reachable": torch.ones(sizes.slots),
    }
