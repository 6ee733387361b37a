"""Many cheap uniform draws per contact and bin, for worlds with dozens of heads."""

from __future__ import annotations

import torch
from torch import Tensor

_GOLDEN = -7046029254386353131  # 0x9E3779B97F4A7C15 as a signed 64-bit integer
_MIX_1 = -4658895280553007687  # 0xBF58476D1CE4E5B9
_MIX_2 = -7723592293110705685  # 0x94D049BB133111EB
_BITS = 24  # of a float32's mantissa


def _fold(x: Tensor, bits: int) -> Tensor:
    """x xor itself shifted right logically, in place."""
    return x.bitwise_xor_((x >> bits).bitwise_and_((1 << (64 - bits)) - 1))


def packed_uniforms(keys: Tensor, step: Tensor, stream: int, count: int) -> Tensor:
    """Uniform draws in [0, 1), [count, n] float32, two from every 64-bit hash.

    The hash of (key, step, stream) is SplitMix64's; each further pair takes one multiplication of
    the counter sequence that starts there, which passes for independent in pairs and triples at
    the 24 bits used.

    Args:
        keys: one per contact, [n].
        step: bin the draws are for, [n].
        stream: which part of the model draws.
        count: draws per contact.

    Source: Steele, Lea & Flood (2014), Fast Splittable Pseudorandom Number Generators.
    """
    base = keys + (step + 2) * _GOLDEN + stream * _MIX_2 % 2**62
    base = _fold(_fold(_fold(base, 30).mul_(_MIX_1), 27).mul_(_MIX_2), 31)
    pairs = (count + 1) // 2
    index = torch.arange(1, pairs + 1, dtype=torch.int64, device=keys.device) * _GOLDEN
    bits = _fold(_fold(base[None, :] + index[:, None], 32).mul_(_MIX_1), 29)
    draws = torch.empty((2 * pairs, keys.shape[0]), dtype=torch.float32, device=keys.device)
    low = (1 << _BITS) - 1
    draws[:pairs] = (bits >> (64 - _BITS)).bitwise_and_(low)
    draws[pairs:] = bits.bitwise_and_(low)
    return draws.mul_(2.0**-_BITS)[:count]
