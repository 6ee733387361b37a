"""One row per contact: a person's rows are folded, people known from events are added."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from nurture_rl.logs.schema import CONTACTS

_SORTED = msgspec.json.Encoder(order="sorted")
_ORDER = ("contact_id", "account_id", "time_zone", "zone_confidence", "consent", "attributes")


def fold_contacts(rows: pa.Table) -> pa.Table:
    """One row per contact id; the order of the rows makes no difference.

    Where rows of one contact differ: consent needs every row that speaks of it to give it, and at
    least one that does, for no word on consent is no consent; the zone is the one stated
    with most confidence; the smaller account id is taken; attributes are united, and of two values
    of an attribute the one in the row that sorts first is taken.

    Args:
        rows: contacts with their resolved ids.
    """
    rows = rows.select(list(_ORDER)).combine_chunks()
    rows = rows.sort_by([(name, "ascending") for name in _ORDER])
    codes = np.asarray(rows["contact_id"].combine_chunks().dictionary_encode().indices)
    counts = np.bincount(codes) if codes.size else codes
    several = pa.array(counts[codes] > 1)
    groups: dict[str, list[dict[str, object]]] = {}
    for row in rows.filter(several).to_pylist():
        groups.setdefault(row["contact_id"], []).append(row)
    folded = [_fold(group) for group in groups.values()]
    silent = rows["consent"].fill_null(False)
    rows = rows.set_column(rows.schema.get_field_index("consent"), "consent", silent)
    single = rows.filter(pc.invert(several)).cast(CONTACTS)
    return pa.concat_tables([single, pa.Table.from_pylist(folded, schema=CONTACTS)])


def add_missing_contacts(contacts: pa.Table, seen: Sequence[pa.ChunkedArray]) -> pa.Table:
    """Add contacts that events or decisions name but the contacts table lacks.

    Nobody asked them, so `consent` is false; their zone is unknown.

    Args:
        contacts: folded contacts.
        seen: contact ids of the other tables, each [n].
    """
    ids = pc.unique(pa.concat_arrays([column.combine_chunks() for column in seen]))
    absent = ids.filter(pc.invert(pc.is_in(ids, value_set=contacts["contact_id"].combine_chunks())))
    n = len(absent)
    added = {
        "contact_id": absent,
        "account_id": pa.nulls(n, pa.string()),
        "time_zone": pa.nulls(n, pa.string()),
        "zone_confidence": pa.array(np.zeros(n)),
        "consent": pa.array(np.zeros(n, dtype=bool)),
        "attributes": pa.array(["{}"] * n, pa.string()),
    }
    return pa.concat_tables([contacts, pa.table(added, schema=CONTACTS)])


def _fold(group: Sequence[dict[str, object]]) -> dict[str, object]:
    zoned = [row for row in group if row["time_zone"] is not None]
    surest = max(zoned, key=_zone_confidence) if zoned else group[0]
    accounts = sorted(str(row["account_id"]) for row in group if row["account_id"] is not None)
    said = [bool(row["consent"]) for row in group if row["consent"] is not None]
    attributes: dict[str, object] = {}
    for row in reversed(group):
        attributes |= msgspec.json.decode(str(row["attributes"]), type=dict[str, object])
    return {
        "contact_id": group[0]["contact_id"],
        "account_id": accounts[0] if accounts else None,
        "time_zone": surest["time_zone"],
        "zone_confidence": surest["zone_confidence"],
        "consent": bool(said) and all(said),
        "attributes": _SORTED.encode(attributes).decode(),
    }


def _zone_confidence(row: dict[str, object]) -> float:
    return float(str(row["zone_confidence"]))
