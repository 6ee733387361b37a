"""Checked rows of all tables → rows that name one contact each, and the table of keys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from nurture_rl.identity.resolve import (
    FROM_THE_START,
    ID_PREFIX,
    Assignment,
    Identities,
    IntArray,
    KeyedRecords,
    assign_contacts,
)
from nurture_rl.logs.changed_columns import with_column
from nurture_rl.logs.domain_accounts import with_domain_accounts
from nurture_rl.logs.identity_rules import IdentityRules
from nurture_rl.logs.joined_people import joined_people
from nurture_rl.logs.quarantine import SHARED_ONLY, reason_where, sift
from nurture_rl.logs.schema import IDENTITY, QUARANTINE, UTC_TIME, TableKind

_KNOWN_AT = {TableKind.EVENTS: "recorded_at", TableKind.DECISIONS: "decided_at"}


@dataclass(frozen=True, slots=True)
class Unified:
    """The tables with every contact named by its one id."""

    rows: Mapping[TableKind, pa.Table]  # of raw_schema, `contact_id` never null
    events: Assignment  # of each naming of the events
    quarantine: pa.Table  # rows that carry only shared keys
    identities: Identities
    merges: pa.Table  # of `MERGES`
    accounts: pa.Table | None  # of `ACCOUNTS`; None: no rules make accounts of domains
    notes: tuple[str, ...]  # what rules of identity did


def unify(
    tables: Mapping[TableKind, pa.Table],
    events: pa.Table,
    strays: pa.Table,
    max_degree: int,
    rules: IdentityRules | None = None,
) -> Unified:
    """Find the contact of every row.

    Args:
        tables: checked rows of contacts and decisions.
        events: the events' namings, each once, with the earliest `recorded_at`.
        strays: those of events that link keys and are themselves left out.
        max_degree: a key linked to more distinct keys than this identifies no contact.
        rules: who is whom beyond shared keys; None: keys alone say it.

    Raises:
        LogError: the rules do not fit the tables.
        ConfigError: they compare records, and what compares them is not installed.
    """
    parts = [
        *((tables[kind], kind) for kind in tables),
        (events, TableKind.EVENTS),
        (strays, TableKind.EVENTS),
    ]
    records = [_keyed(rows, kind) for rows, kind in parts]
    offsets = np.cumsum([0, *(len(rows) for rows, _ in parts)])
    everything = KeyedRecords(
        record=np.concatenate(
            [part.record + start for part, start in zip(records, offsets, strict=False)]
        ),
        key=pa.concat_arrays([part.key for part in records]),
        known_at=np.concatenate([part.known_at for part in records]),
    )
    keyed = dict(zip(tables, records[:-2], strict=True))
    joined = joined_people(
        everything, tables[TableKind.CONTACTS], keyed[TableKind.CONTACTS], max_degree, rules
    )
    identities = joined.identities
    told = {**tables, TableKind.CONTACTS: joined.contacts}
    rows: dict[TableKind, pa.Table] = {}
    refused = [QUARANTINE.empty_table()]
    for kind, part in keyed.items():
        rows[kind], bad = _named(told[kind], kind, assign_contacts(part, identities))
        refused.append(bad)
    named = assign_contacts(records[-2], identities)
    quarantine, accounts, notes = pa.concat_tables(refused), None, joined.notes
    if rules is not None and rules.accounts is not None:
        given = with_domain_accounts(rows[TableKind.CONTACTS], identities, rules.accounts)
        rows[TableKind.CONTACTS], accounts = given.contacts, given.accounts
        notes += given.notes
    return Unified(rows, named, quarantine, identities, joined.merges, accounts, notes)


def identity_table(identities: Identities) -> pa.Table:
    """The keys and their contacts as a table."""
    always = identities.linked_at == FROM_THE_START
    columns = {
        "key": identities.key,
        "contact_id": identities.contact_id,
        "linked_at": pa.array(identities.linked_at, mask=always).cast(UTC_TIME),
        "shared": pa.array(identities.shared),
    }
    return pa.table(columns, schema=IDENTITY)


def _keyed(rows: pa.Table, kind: TableKind) -> KeyedRecords:
    """The keys of each row; its explicit contact id is one of them."""
    given = pc.binary_join_element_wise(ID_PREFIX, rows["contact_id"].combine_chunks(), "")
    named = np.flatnonzero(np.asarray(given.is_valid()))
    keys = rows["keys"].combine_chunks()
    record = np.r_[named, np.asarray(pc.list_parent_indices(keys)).astype(np.int64)]
    order = np.argsort(record, kind="stable")
    key = pa.concat_arrays([given.drop_null(), keys.flatten()]).take(pa.array(order))
    return KeyedRecords(record[order], key, _known_at(rows, kind))


def _known_at(rows: pa.Table, kind: TableKind) -> IntArray:
    """When a row's links became known: those of contact rows always were."""
    if kind not in _KNOWN_AT:
        return np.full(len(rows), FROM_THE_START, dtype=np.int64)
    return np.asarray(rows[_KNOWN_AT[kind]].combine_chunks().cast(pa.int64()))


def _named(rows: pa.Table, kind: TableKind, assigned: Assignment) -> tuple[pa.Table, pa.Table]:
    nobody = assigned.contact_id.is_null()
    kept, refused = sift(rows, kind, reason_where(nobody, SHARED_ONLY))
    return with_column(kept, "contact_id", assigned.contact_id.drop_null()), refused
