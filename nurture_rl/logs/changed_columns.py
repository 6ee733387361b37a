"""Tables with other values in one of their columns, under its name and type, in its place."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray


def with_column(rows: pa.Table, name: str, values: pa.Array | pa.ChunkedArray) -> pa.Table:
    """The rows with other values in a column.

    Args:
        rows: [n].
        name: of the column.
        values: of its type, [n].
    """
    return rows.set_column(rows.schema.get_field_index(name), rows.schema.field(name), values)


def with_cells(rows: pa.Table, name: str, places: NDArray[np.int64], values: pa.Array) -> pa.Table:
    """The rows with other values in some cells of a column.

    Args:
        rows: [n].
        name: of the column.
        places: rows of the cells, in ascending order, [m].
        values: of the column's type, [m].
    """
    mask = np.zeros(len(rows), np.bool_)
    mask[places] = True
    whole = pc.replace_with_mask(rows[name].combine_chunks(), pa.array(mask), values)
    return with_column(rows, name, whole)
