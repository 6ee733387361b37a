"""What an ingestion found, kept and refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from nurture_rl.identity.resolve import MergedContact
from nurture_rl.logs.schema import TableKind


@dataclass(frozen=True, slots=True)
class TableCount:
    """The rows of one table over all its files."""

    table: str
    files: tuple[str, ...]
    read: int  # kept + quarantined
    kept: int
    quarantined: int
    reasons: Mapping[str, int]  # kind of problem → rows


@dataclass(frozen=True, slots=True)
class IngestSummary:
    """One ingestion; everything in it follows from the input alone."""

    tables: tuple[TableCount, ...]
    contacts: int  # after folding, with those known only from events or decisions
    contacts_added: int  # named by an event or decision, absent from the contacts table
    contacts_merged: tuple[MergedContact, ...]  # explicit ids that are one contact
    shared_keys: int  # linked to too many keys to name anybody
    missing_propensity: int  # kept decisions whose propensity is null
    first_at: str | None  # ISO-8601, UTC, of the earliest kept event
    last_at: str | None  # of the latest
    notes: tuple[str, ...]  # what was assumed, and what lay in the folder unread
    fingerprint: str  # SHA-256 of the events, contacts and decisions

    def to_json(self) -> bytes:
        """The summary as indented JSON."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n"


def count_table(
    kind: TableKind, files: Sequence[str], kept: int, quarantine: pa.Table
) -> TableCount:
    """Count what became of one table's rows.

    Args:
        kind: the table.
        files: names of the files it came from.
        kept: rows that passed every check.
        quarantine: the quarantine of all tables.
    """
    own = quarantine.filter(pc.equal(quarantine["table"], kind.value))
    reasons = Counter(reason.split(":")[0] for reason in own["reason"].to_pylist())
    return TableCount(
        table=kind.value,
        files=tuple(files),
        read=kept + len(own),
        kept=kept,
        quarantined=len(own),
        reasons=dict(sorted(reasons.items())),
    )


def told(count: TableCount, quarantine: pa.Table) -> str:
    """How much of a table is usable, and why the rest is not, with one example."""
    where = ", ".join(count.files) or "no file"
    text = f"{count.kept} of {count.read} {count.table} ({where}"
    if count.reasons:
        own = quarantine.filter(pc.equal(quarantine["table"], count.table))
        reasons = ", ".join(f"{rows} × {reason}" for reason, rows in count.reasons.items())
        text += f": {reasons}; the first: {own['reason'][0].as_py()}"
    return f"{text})"
