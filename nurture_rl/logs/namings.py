"""The ways in which rows name their contact: an id, keys, or both; each told apart once."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

IntArray = NDArray[np.int64]

COLUMNS = ("contact_id", "keys")
_SCHEMA = pa.schema(
    [
        pa.field("contact_id", pa.string()),
        pa.field("keys", pa.list_(pa.string())),
        pa.field("text", pa.string()),
    ]
)
_SELDOM = 1 << 20  # namings that are at least collected before they are put in order


class NamingIndex:
    """Numbers for namings, in the order of their first row; rows come part by part."""

    def __init__(self) -> None:
        """Begin without any."""
        self._known = _SCHEMA.empty_table()
        self._waiting: list[pa.Table] = []
        self._numbers: list[IntArray] = []  # of each part's own namings

    def add(self, own: pa.Table) -> None:
        """Take a part's namings, as `distinct_namings` gives them."""
        self._waiting.append(own)
        if sum(map(len, self._waiting)) > max(_SELDOM, len(self._known)):
            self._settle()

    def namings(self) -> pa.Table:
        """Every naming once, `contact_id` and `keys`, [namings]."""
        self._settle()
        return self._known.select(list(COLUMNS))

    def numbers(self, part: int, codes: NDArray[np.int32]) -> IntArray:
        """The number of the naming of each row.

        Args:
            part: the place of the rows' part among all.
            codes: of rows, among the part's own namings, [n].
        """
        self._settle()
        return self._numbers[part][codes]

    def _settle(self) -> None:
        if not self._waiting:
            return
        before = len(self._known)
        given = pa.concat_tables(self._waiting)
        texts = pa.concat_tables([self._known, given])["text"].combine_chunks()
        encoded = texts.dictionary_encode()
        numbers = np.asarray(encoded.indices)[before:]
        firsts = _firsts(numbers, len(encoded.dictionary))[before:]  # of those that are new
        new = given.combine_chunks().take(pa.array(firsts))
        self._known = pa.concat_tables([self._known, new])
        self._numbers += np.split(numbers, np.cumsum([len(part) for part in self._waiting])[:-1])
        self._waiting = []


def distinct_namings(rows: pa.Table) -> tuple[pa.Table, NDArray[np.int32]]:
    """The namings of some rows, each once, and which of them each row has.

    Args:
        rows: with the columns `contact_id` and `keys`, [n].

    Returns:
        The namings with a text that tells them apart, and the place of each row's, [n].
    """
    who, keys = (rows[name].combine_chunks() for name in COLUMNS)
    keyed = np.asarray(pc.greater(pc.list_value_length(keys).fill_null(0), 0)).astype(np.bool_)
    some = pa.array(np.flatnonzero(keyed))
    # Most rows name their contact by its id alone: their texts are made once for each id.
    plain = who.filter(pa.array(~keyed)).dictionary_encode(null_encoding="encode")
    told = _with_keys(who.take(some), keys.take(some)).dictionary_encode()
    codes = np.empty(len(who), np.int32)
    codes[~keyed] = np.asarray(plain.indices)
    codes[keyed] = np.asarray(told.indices) + len(plain.dictionary)
    texts = pa.concat_arrays([_plain(plain.dictionary), told.dictionary])
    firsts = np.sort(_firsts(codes, len(texts)))
    order = codes[firsts]
    place = np.empty(order.size, np.int32)
    place[order] = np.arange(order.size)
    taken = pa.array(firsts)
    own = [who.take(taken), keys.take(taken), texts.take(pa.array(order))]
    return pa.table(own, schema=_SCHEMA), place[codes]


def _firsts(codes: NDArray[np.int32], distinct: int) -> IntArray:
    """Where each code comes first, [distinct]."""
    firsts = np.zeros(distinct, np.int64)
    firsts[codes[::-1]] = np.arange(codes.size)[::-1]
    return firsts


def _plain(who: pa.Array) -> pa.Array:
    """A text for each naming by an id alone; equal texts, equal namings."""
    return pc.binary_join_element_wise(_length(who), who.fill_null(""), ":")


def _with_keys(who: pa.Array, keys: pa.ListArray) -> pa.Array:
    """Likewise where there are keys; each part's length stands first."""
    lengths = pa.ListArray.from_arrays(keys.offsets, _length(keys.values))
    joined = pc.binary_join(lengths, ","), pc.binary_join(keys, "")
    return pc.binary_join_element_wise(_plain(who), *joined, ":")


def _length(texts: pa.Array) -> pa.Array:
    return pc.binary_length(texts).cast(pa.string()).fill_null("-")


def earliest(namings: Iterable[IntArray], times: Iterable[IntArray], count: int) -> IntArray:
    """The earliest time of each naming, [count]; the largest number where it has no row.

    Args:
        namings: numbers of namings, of each part, [n] each.
        times: UTC microseconds, likewise.
        count: how many namings there are.
    """
    first = np.full(count, np.iinfo(np.int64).max, np.int64)
    for number, time in zip(namings, times, strict=True):
        np.minimum.at(first, number, time)
    return first
