"""Taking event rows that came by any door: all that can be stored is, and of the rest it is said.

The rows of one request stand each for itself: a bad one does not lose the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from nurture_envs.stops import forbids, say_of
from nurture_rl.serving.deciding.service import Service
from nurture_rl.serving.http import wire
from nurture_rl.serving.http.intake import ReadRow, raw_text, read_rows, readable_contact
from nurture_rl.serving.names import contact_key
from nurture_rl.serving.records import Quarantined
from nurture_rl.serving.storage.ledger import Settled

Row = dict[str, Any]

_TAKEN = "event_id is taken by an event with other content - at `$.event_id`"


@dataclass(frozen=True, slots=True)
class BroughtRow:
    """A row of a request."""

    position: int  # in the request, from 0
    cells: Row  # named as those of `EventIn`
    raw: Row  # as it came; kept where it is refused or mended
    notes: tuple[str, ...] = ()  # what was found out before, for the answer


@dataclass(frozen=True, slots=True)
class RefusedEventRow:
    """A row of a request that cannot become an event."""

    position: int  # in the request, from 0
    reason: str
    may_forbid_mail: bool
    raw: Row | None  # as it came; None: nothing of it may be kept


def take_events(
    service: Service,
    door: str,
    brought: Sequence[BroughtRow],
    refused: Sequence[RefusedEventRow] = (),
) -> wire.EventsOut:
    """Store rows as events and withdraw what they forbid; both are on disk when this returns.

    Args:
        service: of a store.
        door: the path by which they came.
        brought: rows to store.
        refused: rows that were refused before; they are kept and told with the others.
    """
    now_us = service.settings.clock()
    good, rejected = _read(service, brought, now_us)

    def kept(at_us: int, row: BroughtRow, reason: str) -> Quarantined:
        return Quarantined(at_us, door, readable_contact(row.cells), reason, raw_text(row.raw))

    def taken(settled: Settled, at_us: int) -> list[Quarantined]:
        positions = (*settled.renamed, *settled.conflicting)
        return [kept(at_us, brought[good[one].position], _TAKEN) for one in positions]

    rows = [
        Quarantined(now_us, door, readable_contact(row.raw), row.reason, raw_text(row.raw))
        for row in refused
        if row.raw is not None
    ]
    rows += [kept(now_us, brought[row.row], row.reason) for row in rejected]
    rows += [kept(now_us, brought[row.position], "; ".join(row.notes)) for row in good if row.notes]
    added = service.append_events([row.event for row in good], rows, taken)
    notes = [[*brought[row.position].notes, *row.notes] for row in good]
    for one in added.settled.renamed:
        notes[one].append(f"{_TAKEN}; stored under another")
    conflicting = [good[one].position for one in added.settled.conflicting]
    told = [wire.RejectedRow(row.position, row.reason, row.may_forbid_mail) for row in refused]
    told += [
        wire.RejectedRow(brought[row.row].position, row.reason, row.may_forbid_mail)
        for row in (*rejected, *(wire.RejectedRow(index, _TAKEN, False) for index in conflicting))
    ]
    service.metrics.reported(added.stored, added.repeated, len(told))
    return wire.EventsOut(
        rejected=sorted(told, key=lambda row: row.row),
        mended=[
            wire.MendedRow(brought[row.position].position, said)
            for row, said in zip(good, notes, strict=True)
            if said
        ],
        stored=added.stored,
        repeated=added.repeated,
        withdrawn=[wire.withdrawn_send(one) for one in added.withdrawn],
    )


def _read(
    service: Service, brought: Sequence[BroughtRow], now_us: int
) -> tuple[list[ReadRow], list[wire.RejectedRow]]:
    cells = [row.cells for row in brought]
    good, rejected = read_rows(cells, service.forbidding, now_us, service.settings.simulated_clock)
    return _with_strangers(service, good), rejected


def _with_strangers(service: Service, rows: Sequence[ReadRow]) -> list[ReadRow]:
    """The rows, with a note where a word against mail names a contact that nobody has put."""
    said = [forbids(say_of(row.event.type, row.event.reply_class)) for row in rows]
    names = [row.event.contact_id for row, no in zip(rows, said, strict=True) if no]
    known = service.store.contacts(names) if names else {}
    return [
        replace(row, notes=(*row.notes, f"no contact {name!r} is known: kept for one of this id"))
        if no and contact_key(name := row.event.contact_id) not in known
        else row
        for row, no in zip(rows, said, strict=True)
    ]
