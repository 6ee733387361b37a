"""Fixed hashes of contacts: the same on every machine, in every run and in every part of a log."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

HashArray = NDArray[np.uint64]

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
MIX_2 = np.uint64(0x94D049BB133111EB)
_FNV_START = np.uint64(0xCBF29CE484222325)
_FNV_PRIME = np.uint64(0x100000001B3)


def mixed(ids: HashArray) -> HashArray:
    """Scatter 64-bit numbers over all 64-bit numbers, one to one; neighbours land far apart.

    Source: Steele, Lea & Flood (2014), Fast Splittable Pseudorandom Number Generators.
    """
    x = ids + GOLDEN
    x = (x ^ (x >> np.uint64(30))) * MIX_1
    x = (x ^ (x >> np.uint64(27))) * MIX_2
    return x ^ (x >> np.uint64(31))


def bucket_of(ids: HashArray, n_buckets: int) -> NDArray[np.int64]:
    """Bucket of each contact, 0 .. n_buckets - 1, from the high bits of its hash, [n].

    Args:
        ids: 64-bit numbers of contacts, [n].
        n_buckets: a power of two, at least 2.
    """
    return (mixed(ids) >> shift_of(n_buckets)).astype(np.int64)


def shift_of(n_buckets: int) -> np.uint64:
    """How far a hash is moved right to number one of so many buckets, a power of two."""
    return np.uint64(65 - n_buckets.bit_length())


def text_ids(data: NDArray[np.uint8], offsets: NDArray[np.int64]) -> HashArray:
    """64-bit numbers of texts that lie one behind the other (FNV-1a), [n].

    Args:
        data: bytes of all texts.
        offsets: where each text begins in `data`, and where the last one ends, [n + 1].

    Source: Fowler, Noll & Vo, FNV hash.
    """
    hashes = np.full(offsets.size - 1, _FNV_START, dtype=np.uint64)
    first, length = offsets[:-1], np.diff(offsets)
    for place in range(int(length.max(initial=0))):
        rows = np.flatnonzero(length > place)
        hashes[rows] = (hashes[rows] ^ data[first[rows] + place]) * _FNV_PRIME
    return hashes
