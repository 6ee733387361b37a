"""Cells of text in the usual form are read by a short way, which says what the long one does."""

from __future__ import annotations

import pyarrow as pa
import pytest

from nurture_rl.logs.convert import convert_column
from nurture_rl.logs.schema import UTC_TIME

TIMES = (
    *("2024-06-24T05:34:15Z", "2024-06-24 05:34:15.145371Z", "2024-06-24T05:34:15.1453719Z"),
    *("2024-06-24T05:34:15+02:00", "2024-06-24T05:34:15-0230", "2024-06-24T05:34:15.5+02"),
    *("2024-06-24T05:34Z", "2024-06-24T05+02", "2024-06-24T05:34:15", "2024-06-24"),
    *(
        "0999-06-24T05:34:15Z",
        "0000-01-01T00:00:00Z",
        "1899-06-24T05:34:15Z",
        "2024-02-30T05:34:15Z",
    ),
    *(
        "2024-06-24T24:00:00.000Z",
        "2024-06-24T05:34:60.000Z",
        " 2024-06-24T05:34:15Z",
        "20240624T053415.000000Z",
    ),
    *(
        "2024-06-24T05:34:15z",
        "2024-06-24T05:34:15+2:00",
        "2024-06-24T05:34:15.Z",
        "12024-06-24T05:34:15Z",
    ),
)
NUMBERS = (
    *("1", "1.5", "+2", "-.5", "5.", "1e3", "1E+3", "-0", "1e400", "1e-400", "inf", "nan", "NaN"),
    *("0x1f", "1_0", "1,5", " 1", "1 ", "1e", ".", "-", "infinity", "1f", "0" * 400 + "1"),
)


@pytest.mark.parametrize(
    ("cells", "kind"), [(TIMES, UTC_TIME), (NUMBERS, pa.float64())], ids=["times", "numbers"]
)
def test_a_cell_reads_the_same_beside_a_broken_one(
    cells: tuple[str, ...], kind: pa.DataType
) -> None:
    for cell in cells:
        alone = convert_column("it", pa.array([cell]), kind)
        beside = convert_column("it", pa.array([cell, "no such thing at all"]), kind)
        assert beside.values[:1].equals(alone.values), cell
        assert beside.reasons[:1].equals(alone.reasons), cell
        assert beside.reasons[1].is_valid
