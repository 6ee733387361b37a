"""Response models compiled for playing: float32, component-major, contacts sorted by member.

A contact's outcome does not depend on the contacts beside it, although matrix products may add in
another order for other shapes: every product and every function runs over a multiple of 64
columns, for which the kernels treat all columns alike. A test compares batches of 1 to 4,096 bit
for bit.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from nurture_envs.worlds.draws import uniforms
from nurture_envs.worlds.heads import (
    REACH,
    ResponseModel,
    deeper_layers,
    first_layer,
    stacked,
)

LANE = 64  # columns


def padded(n: int) -> int:
    """The least multiple of 64 that holds n columns."""
    return -(-n // LANE) * LANE


class ResponseNetworks:
    """The members' networks with everything that depends on the action alone in tables."""

    def __init__(self, models: Sequence[ResponseModel], device: torch.device | str) -> None:
        first = models[0]
        self.sizes = first.sizes
        self.members = len(models)
        with torch.no_grad():
            weights = stacked(models)
            into, table, self.parts = first_layer(weights, first.embedding)
            last = torch.cat([weights["top"], weights["outer"]], dim=2)
            counts, trunk = self.sizes.counts, self.parts[0]
            slope = torch.stack([m.slope for m in models])
            shift = torch.stack([m.shift for m in models])
            scale = torch.where(first.learned, slope, torch.zeros_like(slope))[:, :, None]
            rows = slice(trunk, trunk + counts)
            into[:, rows] *= scale
            last[:, :counts] *= scale
            logits = slope[:, :, None] * table[:, rows] + shift[:, :, None]
            logits = torch.where(first.learned[:, None], logits, torch.logit(first.rates).T)
            table[:, rows] = logits.masked_fill(~first.possible.T, -torch.inf)
        width = self.sizes.hidden[-1]
        self.into = into.to(device).unbind()
        self.table = table.to(device).unbind()
        self.top = last[:, :, :width].to(device).unbind()
        self.outer = last[:, :, width:].to(device).unbind()
        self.deeper = [
            (w.to(device).unbind(), b.to(device)[:, :, None].unbind())
            for w, b in deeper_layers(weights)
        ]
        self.mean = first.standard_mean[:, None].to(device)
        self.over = (1.0 / first.standard_scale)[:, None].to(device)
        chain = torch.where(first.learned[:, None], first.chain, 0.0)
        self.chain = [
            row[:head].to(device) if bool(row[:head].any()) else None
            for head, row in enumerate(chain)
        ]
        self.needs = _nearest(first.needs)

    def outputs(self, features: Tensor, action: Tensor, member: Tensor) -> Tensor:
        """Count logits before the chain, then value means, [H + V, n'] f32, n' >= n padded.

        Args:
            features: [d, n].
            action: catalogue indices, [n].
            member: which network answers for the contact, [n].
        """
        x = self._standard(features)
        n = action.shape[0]
        if self.members == 1:
            source = extended(torch.arange(n, device=action.device), padded(n))
            bounds, back = [0, len(source)], None
        else:
            source, back, bounds = _by_member(member, self.members)
        outputs = []
        for k in range(self.members):
            part = source[bounds[k] : bounds[k + 1]]
            outputs.append(self._network(k, x.index_select(1, part), action.index_select(0, part)))
        out = torch.cat(outputs, dim=1)
        return out if back is None else out.index_select(1, extended(back, padded(n)))

    def all_outputs(self, features: Tensor, action: Tensor) -> Tensor:
        """`outputs` of every member for the same contacts, [E, H + V, n']."""
        n = action.shape[0]
        source = extended(torch.arange(n, device=action.device), padded(n))
        x = self._standard(features).index_select(1, source)
        actions = action.index_select(0, source)
        return torch.stack([self._network(k, x, actions) for k in range(self.members)])

    def _standard(self, features: Tensor) -> Tensor:
        return torch.sub(features, self.mean).mul_(self.over).clamp_(-REACH, REACH)

    def _network(self, k: int, x: Tensor, action: Tensor) -> Tensor:
        """Member k's outputs for standardised columns x [d, n], n a multiple of 64."""
        trunk, outputs, _ = self.parts
        moved = self.table[k].index_select(1, action)
        across = self.into[k] @ x
        across[: trunk + outputs].add_(moved[: trunk + outputs])
        crossed = across[trunk + outputs :].mul_(moved[trunk + outputs :])
        hidden = across[:trunk].relu_()
        for weight, bias in self.deeper:
            hidden = torch.addmm(bias[k], weight[k], hidden).relu_()
        out = across[trunk : trunk + outputs]
        return out.addmm_(self.top[k], hidden).addmm_(self.outer[k], crossed)

    def walk(self, logits: Tensor, luck: Tensor) -> tuple[Tensor, Tensor]:
        """Play the heads in order, each seeing what happened before it.

        Args:
            logits: count heads of `outputs`, [H, n], n a multiple of 64.
            luck: uniforms, [H, n].

        Returns:
            What happened, [H, n] 0 or 1, and each head's chance given the heads before it, [H, n].
        """
        happened, chance = torch.empty_like(logits), torch.empty_like(logits)
        events, chances, draws = happened.unbind(), chance.unbind(), luck.unbind()
        for head, logit in enumerate(logits.unbind()):
            seen = self.chain[head]
            if seen is not None:
                logit = torch.addmv(logit, happened[:head].T, seen)
            torch.sigmoid(logit, out=chances[head])
            for earlier in self.needs[head]:
                chances[head].mul_(events[earlier])
            torch.lt(draws[head], chances[head], out=events[head])
        return happened, chance

    def marginal(self, logits: Sequence[Tensor], keys: Tensor, draws: int) -> Tensor:
        """Chance of each head whatever the others do, the mean of `walk` over `draws`, [E, H, n].

        The draws of a contact and head are spread evenly over (0, 1) from a place hashed from its
        key, in an order of the head's own; every network sees the same luck.

        Args:
            logits: count heads of `outputs` by every network, [H, n] each.
            keys: of the luck, [n].
            draws: how many.
        """
        heads = logits[0].shape[0]
        where = uniforms(keys, torch.zeros_like(keys), _MARGINAL, heads)
        generator = torch.Generator().manual_seed(0)
        order = torch.stack([torch.randperm(draws, generator=generator) for _ in range(heads)])
        steps = (order / draws).to(where)
        total = torch.zeros((len(logits), *where.shape), device=where.device)
        for draw in range(draws):
            luck = where + steps[:, draw, None]
            luck.sub_(luck.floor())
            for k, one in enumerate(logits):
                total[k] += self.walk(one, luck)[1]
        return total / draws

    def hazards(self, features: Tensor, action: Tensor, draws: int, keys: Tensor) -> Tensor:
        """Chance of at least one event of each head in the bin, by every member, [E, H, n].

        Args:
            features: [d, n].
            action: catalogue indices, [n].
            draws: plays of the heads before it that a chance is the mean of; its error falls as
                1 / draws. Heads that see no other head are exact.
            keys: of the plays' luck, [n].
        """
        hazards = []
        for rows in blocks(len(action), action.device):
            out = self.all_outputs(features[:, rows], action[rows])[:, : self.sizes.counts]
            luck = extended(keys[rows], out.shape[2])
            chances = self.marginal(out.unbind(), luck, draws)
            hazards.append(chances[:, :, : rows.stop - rows.start])
        return torch.cat(hazards, dim=2)


_MARGINAL = 17  # stream of luck
_BLOCK = 8192  # contacts: enough to outweigh the cost of calls, few enough for the cache


def blocks(n: int, device: torch.device) -> list[slice]:
    """Contacts to be played together: all of them on an accelerator, a cacheful on a CPU."""
    size = _BLOCK if device.type == "cpu" else max(n, 1)
    return [slice(first, min(first + size, n)) for first in range(0, n, size)]


def _by_member(member: Tensor, members: int) -> tuple[Tensor, Tensor, list[int]]:
    """Columns grouped by member, every group padded to a multiple of 64.

    Returns:
        The column each sorted place takes, [n'], where each column went, [n], and the groups'
        ends.
    """
    order = torch.argsort(member, stable=True)
    counts = torch.bincount(member, minlength=members).tolist()
    bounds, gaps, filled = [0], [], 0
    for count in counts:
        gaps.append(bounds[-1] - filled)
        filled += count
        bounds.append(bounds[-1] + padded(count))
    moved = torch.tensor(gaps, device=member.device).index_select(0, member.index_select(0, order))
    place = torch.arange(len(order), device=member.device) + moved
    source = torch.zeros(bounds[-1], dtype=torch.int64, device=member.device)
    source[place] = order
    back = torch.empty_like(order)
    back[order] = place
    return source, back, bounds


def extended(row: Tensor, length: int) -> Tensor:
    """A row with zeros behind it."""
    if len(row) == length:
        return row
    return torch.cat([row, row.new_zeros(length - len(row))])


def _nearest(needs: Tensor) -> list[list[int]]:
    """What each head needs, without what its other needs need already."""
    table = [set(row.nonzero()[:, 0].tolist()) for row in needs]
    return [sorted(row - set().union(*(table[j] for j in row))) for row in table]
