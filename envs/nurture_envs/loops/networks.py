"""A learned world's networks and tables laid out for `network`'s loops."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from nurture_envs.loops import loop_records, network
from nurture_envs.loops.functions import Loop, WorldLoops
from nurture_envs.loops.tracing import UntraceableError
from nurture_envs.simulation import Simulation
from nurture_envs.worlds.learned import LearnedWorld

_FOUR = 4


class _Table:
    """Numbers of one kind behind each other."""

    def __init__(self, dtype: Any, first: int = 0) -> None:
        self._dtype, self._next = dtype, first
        self._parts: list[NDArray[Any]] = []

    def put(self, values: Any) -> int:
        """Where the values begin."""
        part = np.asarray(values, self._dtype).reshape(-1)
        self._parts.append(part)
        self._next += len(part)
        return self._next - len(part)

    def joined(self) -> NDArray[Any]:
        """Everything, and one more number so that no table is empty."""
        return np.concatenate([*self._parts, np.zeros(1, self._dtype)])


def learned_loops(world: LearnedWorld, simulation: Simulation) -> WorldLoops:
    """The world's functions for tiles.

    Raises:
        UntraceableError: the hidden layers differ in width.
    """
    return WorldLoops(
        _start(world, simulation), _answer(world, simulation), (0, 1, 0), _known(world)
    )


def _known(world: LearnedWorld) -> int:
    return int(world.starts.ring.shape[1])


def _model(
    floats: NDArray[np.float32], wholes: NDArray[np.int64], rows: list[int]
) -> loop_records.Model:
    nothing = np.zeros(1, np.float32)
    return loop_records.Model(nothing, np.zeros(1), floats, wholes, np.array(rows, np.int64))


def _start(world: LearnedWorld, simulation: Simulation) -> Loop:
    starts, kept = world.starts, simulation.running.kept
    contacts = len(starts.anchor_us)
    known, columns = _known(world), starts.attributes.shape[1]
    ring = starts.ring[:, :, kept].reshape(contacts, -1)
    floats = torch.cat([starts.attributes, ring], dim=1).numpy()
    flags = torch.stack([starts.zone_known, starts.consent, starts.available], dim=1).long()
    whole = torch.cat([flags, starts.anchor_us[:, None], starts.last.long()], dim=1).numpy()
    to_floats, to_whole, to_flags, channels = 0, 1, 0, starts.last.shape[1]
    member = to_whole + 1 + channels
    header = [contacts, floats.shape[1], whole.shape[1], len(world.members)]
    header += [to_floats, to_whole, to_flags, member]
    rows = [to_floats, known, to_floats + columns, to_whole + 1, to_whole, 0, 1, 2, member]
    table = np.concatenate([np.array(header, np.int64), whole.reshape(-1)])
    model = _model(np.ascontiguousarray(floats, np.float32).reshape(-1), table, rows)
    return Loop(network.start(), model, {"f": floats.shape[1], "q": member + 1, "b": 3})


def _answer(world: LearnedWorld, simulation: Simulation) -> Loop:
    sizes, player, tables = world.members[0].sizes, world.player, world.amounts[0]
    if len(set(sizes.hidden)) != 1 or sizes.hidden[0] % _FOUR:
        raise UntraceableError(
            f"loops play networks whose layers are equally wide, in whole fours, got layers "
            f"{sizes.hidden}"
        )
    model, heads = tables.model, world.heads
    floats, wholes = _Table(np.float32), _Table(np.int64, network.HEADER)
    outputs, trunk = _up(sizes.counts + sizes.values), sizes.hidden[0]
    channels = len(simulation.journey.channels)
    reads = loop_records.SHARE + 1
    links = [(h, j, w) for h, row in enumerate(player.chain) if row is not None
             for j, w in enumerate(row.tolist()) if w != 0.0]  # fmt: skip
    needs = [(h, j) for h, row in enumerate(player.needs) for j in row]
    values = torch.stack([
        model.value_mean, model.value_scale, model.value_low, model.value_high,
        model.listed.float(), model.logarithmic.float(),
    ], dim=1)  # fmt: skip
    repeating = tables.repeating
    laid = network.Sizes(
        features=_up(sizes.features), actions=sizes.actions, members=len(world.members),
        trunk=trunk, deeper=len(sizes.hidden) - 1, outputs=outputs, rank=_up(sizes.rank),
        counts=sizes.counts, values=sizes.values, repeating=len(repeating),
        reach=int(tables.reach), quantiles=sizes.quantiles, slots=sizes.slots, reads=reads,
        read=sizes.features, amounts=reads + sizes.features, channels=channels, available=0,
        latent=loop_records.ANCHOR + 1, room=reads + sizes.features + channels,
        whole_room=loop_records.ANCHOR + 2,
        mean=floats.put(player.mean), over=floats.put(player.over),
        into=floats.put(_spread(torch.stack(player.into), player.parts, _up(sizes.features))),
        table=floats.put(_spread(torch.stack(player.table), player.parts, sizes.actions)),
        layers=floats.put(_layers(player.deeper)),
        last=floats.put(_last(player.top, player.outer, outputs)),
        links=floats.put([w for _, _, w in links]), link_count=len(links),
        again=floats.put(torch.log(model.repeat[repeating])),
        most=floats.put(model.most[repeating]),
        of_values=floats.put(values), residuals=floats.put(model.residuals),
        prices=floats.put(model.prices), reachable=floats.put(model.reachable),
        count_channels=wholes.put(heads.count_channels(simulation.journey)),
        value_channels=wholes.put(heads.value_channels(simulation.journey)),
        sources=wholes.put(heads.source), repeats=wholes.put(repeating),
        link_heads=wholes.put([h for h, _, _ in links]),
        link_seen=wholes.put([j for _, j, _ in links]),
        need_heads=wholes.put([h for h, _ in needs]),
        need_seen=wholes.put([j for _, j in needs]), need_count=len(needs),
    )  # fmt: skip
    table = np.concatenate([np.array(laid, np.int64), wholes.joined()])
    made = _model(floats.joined(), table, [reads, laid.amounts, 0, -1])
    return Loop(network.answer(), made, _rows(laid))


def _rows(laid: network.Sizes) -> dict[str, int]:
    """Rows of scratch: what the tile reads and writes, and room for its columns."""
    columns = loop_records.WIDTH + network.GROUP * laid.members
    draws = laid.counts + laid.repeating + laid.values + laid.reach
    units = laid.trunk + laid.outputs + laid.rank
    rows = laid.features + units + 2 * laid.trunk + laid.counts + draws + 1
    return {
        "f": laid.room + -(-rows * columns // loop_records.WIDTH),
        "q": laid.whole_room + -(-5 * columns // loop_records.WIDTH),
        "b": 1,
    }


def _up(width: int) -> int:
    return -(-width // _FOUR) * _FOUR


def _spread(weights: torch.Tensor, parts: tuple[int, int, int], width: int) -> Any:
    """Weights [E, trunk + outputs + rank, .], outputs, rank and last dimension filled up."""
    trunk, outputs, rank = torch.split(weights, list(parts), dim=1)
    fill = torch.nn.functional.pad
    outputs = fill(outputs, (0, 0, 0, _up(parts[1]) - parts[1]))
    rank = fill(rank, (0, 0, 0, _up(parts[2]) - parts[2]))
    joined = torch.cat([trunk, outputs, rank], dim=1)
    return fill(joined, (0, width - joined.shape[2]))


def _layers(deeper: list[Any]) -> Any:
    """Weights and biases of the trunk after its first layer, [layers, E, u, u + 4]."""
    made = [
        torch.cat([torch.stack(w), torch.nn.functional.pad(torch.stack(b), (0, 3))], dim=2)
        for w, b in deeper
    ]
    return torch.stack(made) if made else []


def _last(top: Any, outer: Any, outputs: int) -> Any:
    joined = torch.cat([torch.stack(list(top)), torch.stack(list(outer))], dim=2)
    rank = outer[0].shape[1]
    joined = torch.nn.functional.pad(joined, (0, _up(rank) - rank))
    return torch.nn.functional.pad(joined, (0, 0, 0, outputs - joined.shape[1]))
