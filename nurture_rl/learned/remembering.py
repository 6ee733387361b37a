"""A causal transformer over what a context remembers: one token a bin, then a wish, then now."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import torch
from torch import Tensor, nn

from nurture_rl.errors import ShapeError

_MEMORY = re.compile(r"(?P<track>.+)@(?P<ago>[1-9]\d*)")
_UNSEEN = -1e9  # added to attention; exp of it is exactly 0


def memory_places(columns: Sequence[str]) -> tuple[tuple[int, ...], ...]:
    """Where a context remembers each bin, oldest bin first, [bins][tracks].

    A track is a feature of kind `memory`, whose columns are called `track@bins ago`. Where a track
    looks back less far than others, the place is -1.

    Args:
        columns: feature columns, in order.
    """
    found = {
        (match["track"], int(match["ago"])): place
        for place, column in enumerate(columns)
        if (match := _MEMORY.fullmatch(column))
    }
    tracks = list(dict.fromkeys(track for track, _ in found))
    most = max((ago for _, ago in found), default=0)
    return tuple(
        tuple(found.get((track, ago), -1) for track in tracks) for ago in range(most, 0, -1)
    )


@dataclass(frozen=True, slots=True)
class MemoryShape:
    """Which columns are memory, and the sizes of the transformer that reads them."""

    features: int  # columns of a context, d
    places: tuple[tuple[int, ...], ...]  # see `memory_places`
    width: int  # numbers of a token, a multiple of `heads`
    heads: int  # of attention in each block
    hidden: tuple[int, ...]  # ReLU units of each block

    def __post_init__(self) -> None:
        named = [place for bin_ in self.places for place in bin_ if place >= 0]
        tracks = {len(bin_) for bin_ in self.places}
        fits = len(tracks) <= 1 and 0 not in tracks and len(set(named)) == len(named)
        if not fits or any(place >= self.features for place in named):
            raise ShapeError(
                f"expected as many places of every bin, each below {self.features} and named once, "
                f"got {self.places}"
            )
        if self.heads < 1 or self.width < 1 or self.width % self.heads or not self.hidden:
            raise ShapeError(
                f"expected blocks and a width that is a multiple of the heads, got width "
                f"{self.width}, {self.heads} heads and blocks of {list(self.hidden)} units"
            )

    @property
    def rest(self) -> tuple[int, ...]:
        """Columns that are no memory, in order."""
        named = {place for bin_ in self.places for place in bin_}
        return tuple(place for place in range(self.features) if place not in named)


class RememberingTrunk(nn.Module):
    """What a context and its past come to, as one vector.

        tokens  = [bin k, ..., bin 1, opening, context],    each a linear map, and its position
        block:    t <- t + attention(norm(t)),    t <- t + relu network(norm(t))
        answer  = norm(the last token)

    A token attends to itself and to those before it. The opening says which return is wished for:
    one vector for all contexts once training is over.

    Source: Radford et al. (2019), Language Models are Unsupervised Multitask Learners, for the
        blocks; Chen et al. (2021), Decision Transformer, for the wish.
    """

    places: Tensor
    rest: Tensor
    unseen: Tensor

    def __init__(self, shape: MemoryShape, luck: torch.Generator) -> None:
        super().__init__()
        self.shape = shape
        bins, width = len(shape.places), shape.width
        # Missing places read a column of zeros behind the others.
        places = [[place % (shape.features + 1) for place in bin_] for bin_ in shape.places]
        tracks = len(places[0]) if places else 0
        whole = torch.tensor(places, dtype=torch.int64).reshape(bins, tracks)
        later = torch.ones(bins + 2, bins + 2, dtype=torch.bool).triu(1)
        self.register_buffer("places", whole, persistent=False)
        self.register_buffer("rest", torch.tensor(shape.rest), persistent=False)
        self.register_buffer("unseen", torch.where(later, _UNSEEN, 0.0), persistent=False)
        self.opening = nn.Parameter(torch.zeros(width))
        self.position = nn.Parameter(torch.zeros(bins + 2, width))
        nn.init.normal_(self.position, std=0.02, generator=luck)
        self.of_bin = linear(tracks, width, luck) if bins else nn.Identity()
        self.of_context = linear(len(shape.rest), width, luck)
        self.blocks = nn.ModuleList(
            _Block(width, units, shape.heads, luck) for units in shape.hidden
        )
        self.norm = nn.LayerNorm(width)

    def forward(self, features: Tensor, opening: Tensor | None = None) -> Tensor:
        """The answer, [n, width].

        Args:
            features: standardised contexts, [n, d].
            opening: token of the wish, [n, width]; None: the one kept.
        """
        kept = self.opening.expand(len(features), -1) if opening is None else opening
        now = self.of_context(features[:, self.rest])
        tokens = torch.stack([kept, now], dim=1)
        if len(self.shape.places):
            padded = torch.cat([features, torch.zeros_like(features[:, :1])], dim=1)
            tokens = torch.cat([self.of_bin(padded[:, self.places]), tokens], dim=1)
        tokens = tokens + self.position
        for depth, block in enumerate(self.blocks, start=1):
            # Of the last block nothing but the last token is read.
            wanted = 1 if depth == len(self.blocks) else len(self.position)
            tokens = block(tokens, self.unseen[-wanted:])
        answer: Tensor = self.norm(tokens[:, -1])
        return answer


class _Block(nn.Module):
    """Attention, then a network of one ReLU layer, each beside what comes in."""

    def __init__(self, width: int, units: int, heads: int, luck: torch.Generator) -> None:
        super().__init__()
        self.heads, self.scale = heads, sqrt(width / heads)
        self.before, self.behind = nn.LayerNorm(width), nn.LayerNorm(width)
        self.asking, self.told = linear(width, width, luck), linear(width, 2 * width, luck)
        self.joined = linear(width, width, luck)
        self.inner, self.outer = linear(width, units, luck), linear(units, width, luck)

    def forward(self, tokens: Tensor, unseen: Tensor) -> Tensor:
        """The last w of the tokens, [n, w, width].

        Args:
            tokens: [n, t, width].
            unseen: added to how much each of the last w heeds each of all t, [w, t].
        """
        wanted, normed = tokens[:, -len(unseen) :], self.before(tokens)
        query = self._by_head(self.asking(normed[:, -len(unseen) :]), self.heads)
        key, value = self._by_head(self.told(normed), 2 * self.heads).chunk(2, dim=1)
        heed = torch.softmax(query @ key.transpose(2, 3) / self.scale + unseen, dim=3)
        tokens = wanted + self.joined((heed @ value).transpose(1, 2).flatten(2))
        added: Tensor = self.outer(torch.relu(self.inner(self.behind(tokens))))
        return tokens + added

    @staticmethod
    def _by_head(rows: Tensor, parts: int) -> Tensor:
        """Each token's numbers dealt to so many parts, [n, parts, t, width of a head]."""
        return rows.reshape(*rows.shape[:2], parts, -1).transpose(1, 2)


def linear(inputs: int, outputs: int, luck: torch.Generator) -> nn.Linear:
    """A linear layer whose weights are drawn from `luck` alone; biases begin at 0."""
    layer = nn.Linear(inputs, outputs, device="meta").to_empty(device="cpu")
    nn.init.xavier_uniform_(layer.weight, generator=luck)
    nn.init.zeros_(layer.bias)
    return layer
