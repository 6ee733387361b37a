"""Hashes of contacts: published vectors, one bucket for ever, and even spread."""

from __future__ import annotations

import numpy as np
import pytest

from nurture_rl.ope.contact_hash import bucket_of, mixed, shift_of, text_ids


def ids_of(*texts: str) -> list[int]:
    data = [text.encode() for text in texts]
    offsets = np.cumsum([0, *(len(text) for text in data)])
    return [int(i) for i in text_ids(np.frombuffer(b"".join(data), np.uint8), offsets)]


def test_published_first_numbers_of_splitmix64() -> None:
    # The generator's first outputs from seed 0 are the mixed multiples of its increment.
    state = np.arange(3, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    assert [hex(int(x)) for x in mixed(state)] == [
        "0xe220a8397b1dcdaf",
        "0x6e789e6aa1b965f4",
        "0x6c45d188009454f",
    ]


def test_published_vectors_of_fnv_1a() -> None:
    assert ids_of("", "a", "foobar") == [
        0xCBF29CE484222325,
        0xAF63DC4C8601EC8C,
        0x85944171F73967E8,
    ]


def test_a_text_is_told_from_its_neighbours_and_by_every_byte() -> None:
    assert ids_of("ab", "c", "ä") == [ids_of("ab")[0], ids_of("c")[0], ids_of("ä")[0]]
    assert len({*ids_of("ab", "ba", "abc", "b")}) == 4
    assert ids_of() == []


@pytest.mark.parametrize(("buckets", "shift"), [(2, 63), (4096, 52)])
def test_buckets_are_the_high_bits(buckets: int, shift: int) -> None:
    ids = np.arange(1000, dtype=np.uint64)
    assert int(shift_of(buckets)) == shift
    expected = [int(x) >> shift for x in mixed(ids)]
    assert bucket_of(ids, buckets).tolist() == expected


def test_neighbouring_contacts_spread_evenly() -> None:
    counts = np.bincount(bucket_of(np.arange(64_000, dtype=np.uint64), 64), minlength=64)
    # 1000 expected each; chi-square of 63 degrees of freedom lies below 120 but for 1 in 50,000.
    assert ((counts - 1000.0) ** 2 / 1000.0).sum() < 120
    assert counts.min() > 0
