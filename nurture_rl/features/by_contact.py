"""Features of a log in files: DuckDB finds what decisions could know, block by block of contacts.

Memory follows the block, not the log or its busiest contact.
"""

from __future__ import annotations

from collections.abc import Iterator

import ibis
import ibis.expr.types as ir
import pyarrow as pa
from ibis.backends.duckdb import Backend

from nurture_envs.features import FeatureSpec
from nurture_rl.features.added_up import added_up, bytes_of_sums
from nurture_rl.features.query import known_pairs
from nurture_rl.progress import PROGRESS

_BLOCK = 2**27  # bytes of sums of the decisions worked on together
_BATCH = 200_000  # pairs of a decision and an event read at once


def numbered_by_contact(engine: Backend, decisions: ir.Table) -> ir.Table:
    """Decisions, kept in the engine, with `row`: their place when they lie contact by contact."""
    row = ibis.row_number().over(order_by=decisions.contact)
    return engine.create_table(
        ibis.util.gen_name("decisions"), decisions.mutate(row=row).order_by("row")
    )


def features_by_contact(
    engine: Backend, events: ir.Table, decisions: ir.Table, spec: FeatureSpec
) -> Iterator[pa.RecordBatch]:
    """decision_id, contact_id, and feature_0, ... of each decision, block by block.

    Args:
        engine: which holds the decisions.
        events: as `signal_query` tells them.
        decisions: as `numbered_by_contact` leaves them.
        spec: the declared features.
    """
    (counted,) = _rows(engine, decisions.aggregate(n=decisions.count())).to_pylist()
    n, block = counted["n"], max(1, _BLOCK // bytes_of_sums(spec))
    if n > block:  # else they are read once, from the file
        PROGRESS.info("sorting the events by contact")
        sorted_events = events.order_by("contact")
        events = engine.create_table(ibis.util.gen_name("events"), sorted_events)
    for first in range(0, n, block):
        PROGRESS.info("decision %s of %s", f"{first:,}", f"{n:,}")
        mine = decisions.filter(decisions.row >= first, decisions.row < first + block)
        asked = _rows(engine, mine.order_by("row"))
        contacts = asked["contact"][0].as_py(), asked["contact"][-1].as_py()
        near = events.filter(events.contact.between(*contacts))
        pairs = known_pairs(near, mine, spec)
        pairs = pairs.select("signal", "value", "lag", place=pairs.row - first)
        found = engine.raw_sql(engine.compile(pairs)).to_arrow_reader(_BATCH)
        made = added_up(found, asked, spec)
        columns = {name: asked[name] for name in ("decision_id", "contact_id")}
        columns |= {f"feature_{i}": made[:, i] for i in range(made.shape[1])}
        yield from pa.table(columns).to_batches()


def _rows(engine: Backend, query: ir.Table) -> pa.Table:
    return engine.raw_sql(engine.compile(query)).to_arrow_table()
