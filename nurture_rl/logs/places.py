"""Where each decision and contact stood in the raw files, for whoever refuses one later on."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa

from nurture_rl.logs.schema import FILE_COLUMN, LINE_COLUMN, TableKind

_ID = {TableKind.CONTACTS: "contact_id", TableKind.DECISIONS: "decision_id"}
PLACES = pa.schema(
    [
        pa.field("table", pa.string(), nullable=False),
        pa.field("id", pa.string(), nullable=False),
        pa.field("file", pa.string(), nullable=False),
        pa.field("line", pa.int64(), nullable=False),  # 1-based
    ]
)


def places(rows: Mapping[TableKind, pa.Table]) -> pa.Table:
    """File and line of every decision and contact row, by id.

    Args:
        rows: unified rows of `raw_schema`, by table.
    """
    parts = [
        pa.table(
            {
                "table": pa.array([kind.value] * len(rows[kind]), pa.string()),
                "id": rows[kind][name],
                "file": rows[kind][FILE_COLUMN],
                "line": rows[kind][LINE_COLUMN],
            },
            schema=PLACES,
        )
        for kind, name in _ID.items()
    ]
    return pa.concat_tables(parts).sort_by([(name, "ascending") for name in PLACES.names])
