"""Draws as hashes of (key, step, stream, index): the same luck whatever the batch or device."""

from __future__ import annotations

from functools import lru_cache
from importlib import import_module
from typing import Any

import torch
from torch import Tensor
from torch.overrides import handle_torch_function, has_torch_function_unary

from nurture_envs.compiling import against_numba, warn_of_slow_path

_GOLDEN = -7046029254386353131  # 0x9E3779B97F4A7C15 as a signed 64-bit integer
_MIX_1 = -4658895280553007687  # 0xBF58476D1CE4E5B9
_MIX_2 = -7723592293110705685  # 0x94D049BB133111EB
_EPISODE = 1_000_003
_BITS = 24  # of a float32's mantissa

START = -1  # the step of draws made before the first bin


def _fold(x: Tensor, bits: int) -> Tensor:
    """x xor itself shifted right logically, in place."""
    return x.bitwise_xor_((x >> bits).bitwise_and_((1 << (64 - bits)) - 1))


def _wrap(x: int) -> int:
    """The signed 64-bit integer that x is modulo 2^64."""
    return (x + 2**63) % 2**64 - 2**63


def _mix(x: Tensor) -> Tensor:
    """The output function of SplitMix64.

    Source: Steele, Lea & Flood (2014), Fast Splittable Pseudorandom Number Generators.
    """
    x = _fold(x.clone(), 30).mul_(_MIX_1)
    return _fold(_fold(x, 27).mul_(_MIX_2), 31)


def contact_keys(seed: int, n: int, device: torch.device | str = "cpu") -> Tensor:
    """Keys of n contacts, [n] int64; row i is the single key of seed + i.

    Neighbouring seeds share all but one contact, as the rows of a vector environment must. For
    contacts that two seeds do not share, take `population_keys`.
    """
    index = torch.arange(n, dtype=torch.int64, device=device) + seed
    return _mix(index * _GOLDEN)


def population_keys(seed: int, n: int, device: torch.device | str = "cpu") -> Tensor:
    """Keys of n contacts of their own for every seed, [n] int64; the first rows do not need n."""
    index = torch.arange(1, n + 1, dtype=torch.int64, device=device)
    base = _mix(torch.tensor(_wrap(seed * _MIX_1 + _MIX_2), dtype=torch.int64, device=device))
    return _mix(base + index * _GOLDEN)


def next_episode(keys: Tensor) -> Tensor:
    """Keys of the episodes that follow, [n]."""
    return _mix(keys + _wrap(_EPISODE * _GOLDEN))


def uniforms(keys: Tensor, step: Tensor | int, stream: int, count: int) -> Tensor:
    """Uniform draws in [0, 1), [count, n] float32, two from every 64-bit hash.

    Args:
        keys: one per contact, [n].
        step: bin the draws are for, [n] or one number; START before the first.
        stream: which part of the model draws, so that parts do not share luck.
        count: draws per contact.
    """
    if has_torch_function_unary(keys):  # a trace of what is done with the draws
        traced: Tensor = handle_torch_function(uniforms, (keys,), keys, step, stream, count)
        return traced
    bins = step if isinstance(step, Tensor) else torch.full_like(keys, step)
    compiled = _compiled() if keys.device.type == "cpu" else None
    if compiled is not None:
        drawn = torch.empty((count, len(keys)))
        compiled.fill_uniforms(keys.numpy(), bins.numpy(), stream, drawn.numpy())
        return drawn
    base = _mix(keys + (bins + 2) * _GOLDEN) + _wrap(stream * _MIX_2)
    pairs = (count + 1) // 2
    index = torch.arange(1, pairs + 1, dtype=torch.int64, device=keys.device) * _GOLDEN
    # The counter starts at a hash; one more multiplication per pair of draws parts its steps.
    bits = _fold(_fold(base[None, :] + index[:, None], 32).mul_(_MIX_1), 29)
    draws = torch.empty((pairs, 2, len(keys)), dtype=torch.float32, device=keys.device)
    draws[:, 0] = (bits >> (64 - _BITS)).bitwise_and_((1 << _BITS) - 1)
    draws[:, 1] = bits.bitwise_and_((1 << _BITS) - 1)
    return draws.mul_(2.0**-_BITS).view(2 * pairs, len(keys))[:count]


@lru_cache
def _compiled() -> Any:
    """The compiled loops, where numba can be had: the same draws, sooner."""
    reason = against_numba()
    if reason:
        warn_of_slow_path("luck is drawn by torch", reason)
        return None
    return import_module("nurture_envs.worlds.draw_loops")


def normals(keys: Tensor, step: Tensor | int, stream: int, count: int) -> Tensor:
    """Standard normal draws, [count, n] float32, by the inverse distribution function."""
    u = uniforms(keys, step, stream, count).to(torch.float64) + 2.0**-25
    drawn: Tensor = torch.special.ndtri(u)
    return drawn.to(torch.float32)


def choose(probabilities: Tensor, u: Tensor) -> Tensor:
    """Index drawn from each row of probabilities, [n], by one uniform per row, [n]."""
    cumulative = torch.cumsum(probabilities.to(torch.float64), dim=1)
    target = u.to(torch.float64)[:, None] * cumulative[:, -1:]
    return torch.clamp((cumulative <= target).sum(dim=1), max=probabilities.shape[1] - 1)
