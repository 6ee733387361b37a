"""The tensors and the loop of neural fitted-Q evaluation; `fqe` is the door.

Everything stays on one device. The goals of many batches are worked out at once from the network
that follows; a gradient step then gathers its rows by index, goes forward and back, and takes one
fused Adam step. Nothing is logged or copied in between.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from nurture_rl.learned.returns import returns_to_go
from nurture_rl.ope.log import EvaluationLog, FloatArray, IntArray, continuation
from nurture_rl.ope.sequential.fqe_config import FqeConfig

TILE_ROWS = 512  # rows that go through a CPU's layers together: they stay in its cache
WIDE_ROWS = 65_536  # the same on other devices, which need much to do at once
START_ROWS = 4096  # first decisions the value is watched on


@dataclass(frozen=True, slots=True, eq=False)
class Network:
    """ReLU layers over one flat vector, so that one operation updates or copies all of them."""

    flat: Tensor  # every weight, [p]
    layers: tuple[tuple[Tensor, Tensor], ...]  # views of it: matrix [out, in] and bias [out]


@dataclass(frozen=True, slots=True, eq=False)
class Buffer:
    """A log and a target policy on one device."""

    features: Tensor  # standardised context and bin, [N, 1 + d] float32
    target: Tensor  # target probabilities, [N, a] float32
    action: Tensor  # [N, 1] int64
    reward: Tensor  # in units of `scale`, [N] float32
    onward: Tensor  # discount to the next row, 0 at an episode's last, [N] float32
    scale: float  # deviation of the logged returns to go, in the log's unit

    @property
    def tile(self) -> int:
        """Rows that go through the layers together."""
        return TILE_ROWS if self.features.device.type == "cpu" else WIDE_ROWS


def buffer_of(log: EvaluationLog, target: FloatArray, device: str) -> Buffer:
    """Put a log on a device; features are standardised with the moments of the whole log."""
    features = np.hstack([log.features.astype(np.float64), log.step[:, None].astype(np.float64)])
    spread = features.std(axis=0)
    spread[spread <= 1e-9 * np.abs(features).max(axis=0)] = np.inf
    after = returns_to_go(log.reward, log.episode, log.step, log.discount)
    scale = float(after.std()) or 1.0

    def put(values: FloatArray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32)).to(device)

    return Buffer(
        features=put((features - features.mean(axis=0)) / spread),
        target=put(target),
        action=torch.from_numpy(log.action[:, None]).to(device),
        reward=put(log.reward / scale),
        onward=put(continuation(log)),
        scale=scale,
    )


def train(
    buffer: Buffer, rows: IntArray, starts: IntArray, config: FqeConfig, least_steps: int
) -> tuple[Network, int]:
    """Train until the value at the first decisions settles.

    Args:
        buffer: the log.
        rows: rows to learn from.
        starts: first decisions of their episodes.
        config: network and training.
        least_steps: gradient steps before the value may count as settled.

    Returns:
        The following network, and the gradient steps taken.
    """
    device = buffer.features.device
    luck = torch.Generator(device).manual_seed(config.seed)
    network = initial_network(buffer, config.hidden, luck)
    gradient, following = network_like(network), network_like(network)
    following.flat.copy_(network.flat)
    network.flat.grad = gradient.flat
    optimiser = torch.optim.Adam([network.flat], lr=config.learning_rate, fused=True)
    learned = torch.from_numpy(rows).to(device)
    watched = torch.from_numpy(starts[:: 1 + starts.size // START_ROWS]).to(device)
    before, calm, steps = float("inf"), 0, 0
    while steps < config.max_steps and calm < config.patience:
        for _ in range(config.check_every):
            drawn = torch.randint(
                rows.size, (config.refresh, config.batch), generator=luck, device=device
            )
            batches = learned[drawn]
            for batch, goal in zip(batches, goals(buffer, following, batches), strict=True):
                squared_error_gradient(buffer, batch, goal, network, gradient)
                optimiser.step()
            following.flat.lerp_(network.flat, config.follow)
            steps += config.refresh
        now = float(values(buffer, following, watched).mean())
        settled = abs(now - before) <= config.settled and steps >= least_steps
        before, calm = now, calm + 1 if settled else 0
    return following, steps


def goals(buffer: Buffer, following: Network, rows: Tensor) -> Tensor:
    """Reward and worth of what follows, r + discount v(x'), of each row; shaped like `rows`."""
    # Past the last row of an episode nothing counts, so its next row may be any.
    last = len(buffer.reward) - 1
    after = (rows + 1).clamp_(max=last)
    if rows.numel() > last:  # each row comes up more than once: work it out once
        every = torch.arange(last + 1, device=rows.device)
        ahead = values(buffer, following, every)[after]
    else:
        ahead = values(buffer, following, after.flatten()).view_as(rows)
    return torch.addcmul(buffer.reward[rows], buffer.onward[rows], ahead)


def values(buffer: Buffer, network: Network, rows: Tensor) -> Tensor:
    """Value of following the target at some rows, in units of the buffer's scale, [n]."""
    # The whole distribution: masked actions have probability exactly 0.
    parts = [
        (buffer.target[chunk] * forward(network, buffer.features[chunk])[-1]).sum(dim=1)
        for chunk in torch.split(rows, buffer.tile)
    ]
    return torch.cat(parts)


def forward(network: Network, features: Tensor) -> list[Tensor]:
    """What goes into each layer, and q of every action at the end, [n, a]."""
    inputs = [features]
    for matrix, bias in network.layers[:-1]:
        inputs.append(torch.addmm(bias, inputs[-1], matrix.t()).relu_())
    matrix, bias = network.layers[-1]
    return [*inputs, torch.addmm(bias, inputs[-1], matrix.t())]


def squared_error_gradient(
    buffer: Buffer, batch: Tensor, goal: Tensor, network: Network, gradient: Network
) -> None:
    """Gradient of mean (goal - q(x, a))^2 over the rows of `batch`, [B], into `gradient`.

    Written out by hand: on small batches the bookkeeping of automatic differentiation costs as
    much as a layer.
    """
    gradient.flat.zero_()
    per_row = 2.0 / len(batch)
    for part, aim in zip(
        torch.split(batch, buffer.tile), torch.split(goal, buffer.tile), strict=True
    ):
        *inputs, q = forward(network, buffer.features[part])
        action = buffer.action[part]
        error = q.gather(1, action).sub_(aim[:, None]).mul_(per_row)
        slope = q.zero_().scatter_(1, action, error)
        for depth in range(len(inputs) - 1, -1, -1):
            matrix, bias = gradient.layers[depth]
            matrix.addmm_(slope.t(), inputs[depth])
            bias.add_(slope.sum(dim=0))
            if depth:
                slope = torch.mm(slope, network.layers[depth][0]).mul_(inputs[depth] > 0.0)


def answers(buffer: Buffer, network: Network, rows: IntArray) -> tuple[FloatArray, FloatArray]:
    """q of the logged action and value of following the target, in the log's unit, [n] each."""
    q_logged, value = np.empty(rows.size), np.empty(rows.size)
    for first in range(0, rows.size, buffer.tile):
        part = slice(first, first + buffer.tile)
        chunk = torch.from_numpy(rows[part]).to(buffer.features.device)
        q = forward(network, buffer.features[chunk])[-1]
        q_logged[part] = q.gather(1, buffer.action[chunk]).squeeze(1).cpu().numpy()
        value[part] = (buffer.target[chunk] * q).sum(dim=1).cpu().numpy()
    return q_logged * buffer.scale, value * buffer.scale


def initial_network(buffer: Buffer, hidden: tuple[int, ...], luck: torch.Generator) -> Network:
    """Uniform weights within 1 / sqrt(inputs), so that layers keep the size of what they get."""
    widths = (buffer.features.shape[1], *hidden, buffer.target.shape[1])
    size = sum((inputs + 1) * outputs for inputs, outputs in pairwise(widths))
    flat = torch.rand(size, generator=luck, device=buffer.features.device).mul_(2.0).sub_(1.0)
    network = _views(flat, widths)
    for matrix, bias in network.layers:
        matrix.mul_(matrix.shape[1] ** -0.5)
        bias.mul_(matrix.shape[1] ** -0.5)
    return network


def network_like(network: Network) -> Network:
    """A network of the same shape with weights 0."""
    shapes = [matrix.shape for matrix, _ in network.layers]
    widths = (shapes[0][1], *(shape[0] for shape in shapes))
    return _views(torch.zeros_like(network.flat), widths)


def _views(flat: Tensor, widths: tuple[int, ...]) -> Network:
    layers, place = [], 0
    for inputs, outputs in pairwise(widths):
        matrix = flat[place : place + inputs * outputs].view(outputs, inputs)
        place += inputs * outputs
        layers.append((matrix, flat[place : place + outputs]))
        place += outputs
    return Network(flat, tuple(layers))
