"""The multi-head discrete-time hazard network: what each signal's chance is in the next bin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import torch
from torch import Tensor, nn

from nurture_envs.journey import Journey

REACH = 6.0  # standard deviations; beyond the logged range the response is held constant

# What a bin's mail does comes first, what it leads to after: the order heads see each other in.
_WAY = (
    ("delivered", "deferred", "hard_bounce", "soft_bounce", "dropped"),
    ("open",),
    ("click",),
    ("visit", "page_view", "activity", "product_used"),
    ("form_submitted", "reply", "snoozed"),
    ("unsubscribe", "complaint", "consent_withdrawn"),
)


@dataclass(frozen=True)
class Heads:
    """Which channels of a journey the network answers for, in the order they see each other."""

    counts: tuple[str, ...]  # signals that contacts make; what the action makes is known
    values: tuple[str, ...]  # the valued ones among them

    @classmethod
    def of(cls, journey: Journey) -> Heads:
        """Every signal that is not made by the action itself, mail first, outcomes last."""
        made = sorted(
            (signal for signal in journey.signals if not signal.by_action),
            key=lambda signal: _place(signal.type),
        )
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


def _place(event_type: str) -> int:
    return next((i for i, types in enumerate(_WAY) if event_type in types), len(_WAY))


@dataclass(frozen=True, slots=True)
class ModelSizes:
    """Shapes of a `ResponseModel`; with its tensors they are all a saved model needs."""

    features: int  # d
    actions: int  # a
    columns: tuple[str, ...]  # k names of what describes an action, see `ActionColumns`
    counts: int  # H, count heads
    values: int  # V, value heads
    slots: int  # bins of a period
    hidden: tuple[int, ...] = (32, 32)  # widths of the shared trunk
    rank: int = 8  # of the feature-by-action interaction
    quantiles: int = 129  # of each value head's residuals

    @property
    def embedding(self) -> int:
        """k, columns that describe an action."""
        return len(self.columns)


class ResponseModel(nn.Module):
    """Hazards and values of a bin, given the decision's features and the action.

    With x the standardised features and z(a) the action's columns,

        out = W x + O z + b + T mlp([x, z]) + C (U x * V z)

    gives one logit per count head and one standardised mean per value head. A count head also
    sees which earlier heads happened in the bin,

        logit(h) = slope(h) out(h) + shift(h) + sum_{j < h} chain(h, j) y(j),

    is replaced by a rate where too few events were seen (`rates`), and is exactly 0 where the
    event cannot follow the action (`possible`) or what it needs did not happen (`needs`).

    Parameters, `slope` and `shift` are a member's own; all other tables are counted once and
    shared by the members of an ensemble.
    """

    linear: Tensor  # W [H + V, d]
    own: Tensor  # O [H + V, k]
    bias: Tensor  # b [H + V]
    top: Tensor  # T [H + V, u]
    left: Tensor  # U [r, d]
    right: Tensor  # V [r, k]
    outer: Tensor  # C [H + V, r]
    slope: Tensor  # [H]
    shift: Tensor  # [H]
    standard_mean: Tensor  # [d]
    standard_scale: Tensor  # [d]
    embedding: Tensor  # [a, k]
    chain: Tensor  # [H, H], strictly lower triangular
    needs: Tensor  # [H, H] bool, [h, j]: h never without the earlier j
    learned: Tensor  # [H] bool
    rates: Tensor  # [a, H]
    possible: Tensor  # [a, H] bool
    repeat: Tensor  # [H]: chance that one more event follows in the bin
    most: Tensor  # [H]
    logarithmic: Tensor  # [V] bool
    value_mean: Tensor  # [V], as all value tables below
    value_scale: Tensor
    value_low: Tensor
    value_high: Tensor
    residuals: Tensor  # [V, q]
    listed: Tensor  # [V] bool
    prices: Tensor  # [a, V, q]
    reachable: Tensor  # [slots]

    def __init__(self, sizes: ModelSizes) -> None:
        super().__init__()
        self.sizes = sizes
        for name, shape in _shapes(sizes).items():
            self.register_parameter(name, nn.Parameter(torch.zeros(shape)))
        for name, table in _tables(sizes).items():
            self.register_buffer(name, table)

    def weights(self) -> dict[str, Tensor]:
        """The trained parameters by name."""
        return dict(self.named_parameters())

    def shared(self) -> dict[str, Tensor]:
        """The counted tables, by name, that all members of an ensemble have alike."""
        return {k: v for k, v in self.named_buffers() if k not in ("slope", "shift")}

    def standard(self, features: Tensor) -> Tensor:
        """Standardised features, [n, d]; held constant beyond the logged range."""
        return ((features - self.standard_mean) / self.standard_scale).clamp(-REACH, REACH)

    def raw(self, x: Tensor, action: Tensor) -> Tensor:
        """`out` above, [n, H + V], of standardised features [n, d] and actions [n]."""
        alone = {name: value[None] for name, value in self.weights().items()}
        return outputs(alone, self.embedding, x, action)[0]


def stacked(models: Sequence[ResponseModel]) -> dict[str, Tensor]:
    """The members' parameters side by side, each [E, ...]."""
    names = models[0].weights()
    return {name: torch.stack([m.get_parameter(name) for m in models]).detach() for name in names}


FirstLayer = tuple[Tensor, Tensor, tuple[int, int, int]]


def first_layer(weights: Mapping[str, Tensor], embedding: Tensor) -> FirstLayer:
    """Everything that features and actions enter by, for all members.

    Returns:
        Weights of the features, [E, U, d]; what each action adds to (or, in the rank part,
        multiplies) their product, [E, U, a]; and the sizes of the three parts of U: trunk,
        outputs, rank.
    """
    of_features = torch.cat([weights["trunk_0"], weights["linear"], weights["left"]], dim=1)
    of_action = torch.cat([weights["trunk_own"], weights["own"], weights["right"]], dim=1)
    parts = [weights[name].shape[1] for name in ("trunk_0", "linear", "left")]
    free = torch.zeros_like(weights["left"][:, :, 0])
    bias = torch.cat([weights["trunk_0_bias"], weights["bias"], free], dim=1)
    table = of_action @ embedding.T + bias[:, :, None]
    return of_features, table, (parts[0], parts[1], parts[2])


def deeper_layers(weights: Mapping[str, Tensor]) -> list[tuple[Tensor, Tensor]]:
    """Weights [E, u', u] and biases [E, u'] of the trunk after its first layer."""
    count = sum(name.startswith("trunk_") and name.endswith("_bias") for name in weights)
    return [(weights[f"trunk_{i}"], weights[f"trunk_{i}_bias"]) for i in range(1, count)]


def outputs(weights: Mapping[str, Tensor], embedding: Tensor, x: Tensor, action: Tensor) -> Tensor:
    """Logits before the chain, then value means, of all members for the same rows.

    Args:
        weights: parameters of E members side by side, see `stacked`.
        embedding: columns of each action, [a, k].
        x: standardised features, [n, d].
        action: catalogue indices, [n].

    Returns:
        [E, n, H + V].
    """
    return outputs_after(first_layer(weights, embedding), weights, x, action)


def outputs_after(
    first: FirstLayer, weights: Mapping[str, Tensor], x: Tensor, action: Tensor
) -> Tensor:
    """As `outputs`, of a first layer that is worked out already.

    Args:
        first: see `first_layer`.
        weights: parameters of the same members; of these only the layers after the first are read.
        x, action: see `outputs`.
    """
    of_features, table, parts = first
    members, units = table.shape[:2]
    across = (x @ of_features.flatten(0, 1).T).view(-1, members, units)
    moved = table.permute(2, 0, 1).index_select(0, action)
    sizes = list(parts)
    into, straight, crossed = torch.split(across, sizes, dim=2)
    onto, beside, crossing = torch.split(moved, sizes, dim=2)
    hidden = torch.relu(into + onto).transpose(0, 1)
    for weight, bias in deeper_layers(weights):
        hidden = torch.relu(torch.baddbmm(bias[:, None], hidden, weight.transpose(1, 2)))
    inner = torch.cat([hidden, (crossed * crossing).transpose(0, 1)], dim=2)
    last = torch.cat([weights["top"], weights["outer"]], dim=2)
    out = (straight + beside).transpose(0, 1)
    return torch.baddbmm(out, inner, last.transpose(1, 2))


def _shapes(sizes: ModelSizes) -> dict[str, tuple[int, ...]]:
    """Shape of each parameter."""
    d, k, r, out = sizes.features, sizes.embedding, sizes.rank, sizes.counts + sizes.values
    shapes: dict[str, tuple[int, ...]] = {}
    for i, (inputs, units) in enumerate(pairwise((d, *sizes.hidden))):
        shapes |= {f"trunk_{i}": (units, inputs), f"trunk_{i}_bias": (units,)}
    return shapes | {
        "trunk_own": (sizes.hidden[0], k),
        "linear": (out, d),
        "own": (out, k),
        "bias": (out,),
        "top": (out, sizes.hidden[-1]),
        "left": (r, d),
        "right": (r, k),
        "outer": (out, r),
    }


def _tables(sizes: ModelSizes) -> dict[str, Tensor]:
    """Buffers of a model that has learned nothing yet."""
    d, a, h, v = sizes.features, sizes.actions, sizes.counts, sizes.values
    return {
        "slope": torch.ones(h),
        "shift": torch.zeros(h),
        "standard_mean": torch.zeros(d),
        "standard_scale": torch.ones(d),
        "embedding": torch.zeros(a, sizes.embedding),
        "chain": torch.zeros(h, h),
        "needs": torch.zeros(h, h, dtype=torch.bool),
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
