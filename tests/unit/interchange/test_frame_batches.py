"""Ids as 64-bit numbers, however a table holds them."""

from __future__ import annotations

import pyarrow as pa
import pytest

from nurture_rl.interchange.frame_batches import ids_of


def numbered(values: list[object], kind: pa.DataType) -> list[int]:
    return [int(one) for one in ids_of(pa.chunked_array([pa.array(values, kind)]))]


@pytest.mark.parametrize("kind", [pa.int32(), pa.int64(), pa.uint64()])
def test_whole_numbers_name_themselves_whatever_their_width(kind: pa.DataType) -> None:
    assert numbered([5, 6, 5], kind) == [5, 6, 5]


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string()])
def test_texts_name_the_same_wherever_they_lie(kind: pa.DataType) -> None:
    texts = ["x", "ann", None, "bob", "ann", ""]
    whole = numbered(list(texts), kind)
    assert whole[1] == whole[4] != whole[3]
    assert len(set(whole)) == 4  # nobody and an empty name are told apart elsewhere
    column = pa.chunked_array([pa.array(texts, kind)])
    assert ids_of(column.slice(3, 2)).tolist() == whole[3:5]
    parts = pa.chunked_array([pa.array(texts[:2], kind), pa.array(texts[2:], kind)])
    assert ids_of(parts).tolist() == whole
    assert ids_of(column.dictionary_encode()).tolist() == whole
