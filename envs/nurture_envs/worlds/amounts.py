"""How many events a bin with some has, what they are worth, and who can be reached."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from nurture_envs.signals import GRID
from nurture_envs.worlds.heads import ResponseModel


@dataclass(frozen=True, slots=True, eq=False)
class AmountTables:
    """A response model's tables of counts and values, on one device."""

    model: ResponseModel
    repeating: Tensor  # [R], count heads that repeat within a bin
    reach: bool  # contacts are sometimes out of reach
    listed: tuple[bool, ...]  # [V]
    logarithmic: tuple[bool, ...]  # [V]

    @classmethod
    def of(cls, model: ResponseModel, device: torch.device | str) -> AmountTables:
        """A copy of the model's tables."""
        copied = ResponseModel(model.sizes)
        copied.load_state_dict(model.state_dict())
        copied = copied.to(device).requires_grad_(False)
        reach = bool((copied.reachable < 1.0).any())
        listed, logs = model.listed.tolist(), model.logarithmic.tolist()
        return cls(copied, copied.repeat.nonzero()[:, 0], reach, tuple(listed), tuple(logs))

    def repeats(self, luck: Tensor) -> Tensor:
        """Events in a bin that has some, of the repeating heads, [R, n], from uniforms [R, n].

        Geometric on 1, 2, ... with the logged mean, cut at the logged maximum.
        """
        again = torch.log(self.model.repeat[self.repeating])[:, None]
        extra = torch.floor(torch.log1p(-luck) / again)
        return 1.0 + torch.minimum(extra, self.model.most[self.repeating][:, None] - 1.0)

    def values(self, means: Tensor, luck: Tensor, action: Tensor) -> Tensor:
        """Values of a bin's events, [V, n], from uniforms [V, n]: mean plus a logged residual.

        Residual quantiles are interpolated, which keeps the mean right for any shape of noise and,
        in logarithmic heads, is the smearing estimate; the result stays inside the logged range.
        Amounts that come from a price list are drawn as they were logged after the action.

        Source: Duan (1983), Smearing Estimate: A Nonparametric Retransformation Method.
        """
        rows = [self._value(v, means[v], luck[v], action) for v in range(means.shape[0])]
        return torch.round(torch.stack(rows) * GRID) / GRID

    def _value(self, v: int, mean: Tensor, luck: Tensor, action: Tensor) -> Tensor:
        model, quantiles = self.model, self.model.sizes.quantiles
        if self.listed[v]:
            rank = (luck * quantiles).long().clamp_(max=quantiles - 1)
            return model.prices[:, v].reshape(-1).index_select(0, action * quantiles + rank)
        place = luck * (quantiles - 1)
        below = place.long()
        low = model.residuals[v].index_select(0, below)
        high = model.residuals[v].index_select(0, (below + 1).clamp_(max=quantiles - 1))
        value = mean + low + (place - below) * (high - low)
        value = model.value_mean[v] + model.value_scale[v] * value
        value = torch.exp(value) if self.logarithmic[v] else value
        return torch.minimum(torch.maximum(value, model.value_low[v]), model.value_high[v])

    def mean_counts(self) -> Tensor:
        """Expected events in a bin that has some, [H]."""
        repeat, most = self.model.repeat, self.model.most
        return torch.where(repeat > 0, (1.0 - repeat**most) / (1.0 - repeat), 1.0)

    def mean_values(self, means: Tensor, action: Tensor) -> Tensor:
        """Expected value of a bin's events, [V, n], of means [V, n]."""
        model = self.model
        left, spread = model.residuals, model.value_scale[:, None]
        centre = model.value_mean[:, None] + spread * means
        logs = torch.exp(centre) * torch.exp(spread * left).mean(dim=1, keepdim=True)
        plain = centre + spread * left.mean(dim=1, keepdim=True)
        value = torch.where(model.logarithmic[:, None], logs, plain)
        low, high = model.value_low[:, None], model.value_high[:, None]
        value = torch.minimum(torch.maximum(value, low), high)
        return torch.where(model.listed[:, None], model.prices.mean(dim=2)[action].T, value)
