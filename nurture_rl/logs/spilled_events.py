"""The checked events of a log: on disk, but for what is asked of all of them at once.

Memory holds some 30 bytes of each event: its time, a hash of its id and how it names its contact.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from nurture_rl.identity.resolve import Assignment
from nurture_rl.logs.checks import check_events
from nurture_rl.logs.duplicates import hashed, later_rows
from nurture_rl.logs.in_turn import in_turn
from nurture_rl.logs.machine_marks import are_exact, mail_minutes
from nurture_rl.logs.namings import NamingIndex, distinct_namings, earliest
from nurture_rl.logs.quarantine import SHARED_ONLY, sift
from nurture_rl.logs.readers import RawTable
from nurture_rl.logs.schema import UTC_TIME, TableKind, raw_schema
from nurture_rl.logs.spill import Spill, SpilledNumbers
from nurture_rl.logs.vocabulary import Vocabulary

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

COMPARED = 1 << 20  # rows of repeated ids that are compared at once
_SPARSE = 8  # places for each repeated id among those that its bits may have
TOLD_EVERY = 10_000_000  # rows
_POSITION = "_position"


@dataclass(frozen=True, slots=True)
class _Part:
    """Consecutive rows, checked."""

    rows: pa.Table  # of raw_schema, [n]
    quarantine: pa.Table
    ids: IntArray  # hashes of the rows' ids, [n]
    namings: pa.Table
    codes: NDArray[np.int32]  # of each row's naming, [n]
    mails: BoolArray  # rows of mails that went out, [n]
    coarse: BoolArray  # those of them at second 0, [n]


class SpilledEvents:
    """Checked events in the order in which they were read, and which of them are kept."""

    def __init__(
        self,
        parts: Iterable[Callable[[], RawTable]],
        words: Vocabulary,
        folder: Path,
        progress: Callable[[str], None],
    ) -> None:
        """Read and check events; of several of one id the first is kept.

        Args:
            parts: each reads some consecutive rows; they may be read side by side.
            words: the types and reply classes that are known.
            folder: where there is room for all rows.
            progress: told now and then how far it is.

        Raises:
            LogError: a file cannot be read.
        """
        self._spill = Spill(folder / "events.arrow", raw_schema(TableKind.EVENTS))
        self._namings = NamingIndex()
        self.quarantine: list[pa.Table] = []
        kinds = {"recorded": "i8", "ids": "i8", "codes": "i4", "mails": "?", "coarse": "?"}
        columns = {name: SpilledNumbers(folder / name, kind) for name, kind in kinds.items()}
        for part in in_turn(partial(_checked, words=words), parts):
            self.quarantine.append(part.quarantine)
            if len(part.rows):
                self._add(part, progress)
                columns["recorded"].add(np.asarray(part.rows["recorded_at"].cast(pa.int64())))
                for name in ("ids", "codes", "mails", "coarse"):
                    columns[name].add(getattr(part, name))
        self._spill.end()
        self._recorded_us: IntArray = columns["recorded"].taken()
        self._codes: NDArray[np.int32] = columns["codes"].taken()
        self._mails: BoolArray = columns["mails"].taken()
        self._coarse: BoolArray = columns["coarse"].taken()
        self._kept = np.ones(self._recorded_us.size, np.bool_)
        self._set_repeated_aside(columns["ids"].taken(), folder)

    def __len__(self) -> int:
        """How many rows are kept."""
        return int(self._kept.sum())

    @property
    def known_us(self) -> IntArray:
        """When each kept row was known, UTC microseconds, [kept]."""
        return self._recorded_us[self._kept]

    @property
    def tells_seconds(self) -> bool:
        """Whether the times of kept mails are exact."""
        mails, coarse = (int((which & self._kept).sum()) for which in (self._mails, self._coarse))
        return are_exact(mails, coarse)

    def set_aside(self, rows: IntArray, reasons: pa.Array) -> None:
        """Put kept rows into quarantine.

        Args:
            rows: which of the kept rows, ascending, [n].
            reasons: why, [n] strings.
        """
        self._refuse(np.flatnonzero(self._kept)[rows], reasons)

    def namings(self, rows: IntArray | None = None, at_us: int = 0) -> pa.Table:
        """How rows name their contacts, each naming once, and since when that is known.

        Args:
            rows: which of the kept rows are asked for, known at `at_us`; None: all, each known
                when it was recorded.
            at_us: UTC microseconds.

        Returns:
            `contact_id`, `keys` and `recorded_at`, and `number` of the naming.
        """
        chosen, times = self._kept, self._recorded_us
        if rows is not None:
            chosen = np.zeros_like(chosen)
            chosen[np.flatnonzero(self._kept)[rows]] = True
            times = np.full(chosen.size, at_us)
        every = self._namings.namings()
        places = self._spill.places
        first = earliest(
            (self._naming(i, chosen, place) for i, place in enumerate(places)),
            (times[place][chosen[place]] for place in places),
            len(every),
        )
        numbers = np.flatnonzero(first < np.iinfo(np.int64).max)
        return (
            every.take(pa.array(numbers))
            .append_column("recorded_at", pa.array(first[numbers]).cast(UTC_TIME))
            .append_column("number", pa.array(numbers))
        )

    def name(self, namings: pa.Table, assigned: Assignment) -> NamedEvents:
        """Give each kept row its contact; set those aside that have none.

        Args:
            namings: as `namings` gave them for all kept rows.
            assigned: the contact of each.
        """
        place = np.full(len(self._namings.namings()), -1, np.int64)
        place[np.asarray(namings["number"])] = np.arange(len(namings))
        nobody = np.asarray(assigned.contact_id.is_null())
        if nobody.any():
            unnamed = [
                nobody[place[self._naming(i, self._kept, part)]]
                for i, part in enumerate(self._spill.places)
            ]
            rows = np.flatnonzero(self._kept)[np.concatenate(unnamed)]
            self._refuse(rows, pa.array([SHARED_ONLY] * rows.size, pa.string()))
        return NamedEvents(self, place, assigned)

    def _naming(self, part: int, chosen: BoolArray, place: slice) -> IntArray:
        """The number of the naming of each chosen row of a part that stands at a place."""
        return self._namings.numbers(part, self._codes[place][chosen[place]])

    def _add(self, part: _Part, progress: Callable[[str], None]) -> None:
        before = len(self._spill) // TOLD_EVERY
        self._spill.add(part.rows)
        self._namings.add(part.namings)
        if len(self._spill) // TOLD_EVERY > before:
            progress(f"events: {len(self._spill):,} rows checked so far")

    def _set_repeated_aside(self, ids: IntArray, folder: Path) -> None:
        """Keep the first row of each id; only rows whose ids' hashes are equal are compared."""
        repeated = _repeated(ids)
        groups = 1 + int(repeated.sum()) // COMPARED
        schema = self._spill.schema.append(pa.field(_POSITION, pa.int64()))
        spills = [Spill(folder / f"repeated-{i}.arrow", schema) for i in range(groups)]
        for rows in self._chosen(repeated):
            group = ids[np.asarray(rows[_POSITION])] % groups
            for i, spill in enumerate(spills):
                spill.add(rows.filter(pa.array(group == i)))
        for spill in spills:
            spill.end()
            some = spill.whole()
            spill.remove()
            position = np.asarray(some[_POSITION])
            some = some.drop_columns(_POSITION)
            later, reasons = later_rows(some, position, TableKind.EVENTS)
            refused = some.take(pa.array(np.searchsorted(position, later)))
            self.quarantine.append(sift(refused, TableKind.EVENTS, reasons)[1])
            self._kept[later] = False

    def _refuse(self, positions: IntArray, reasons: pa.Array) -> None:
        """Put rows into quarantine, [n] ascending."""
        bad = np.zeros(self._kept.size, np.bool_)
        bad[positions] = True
        told = 0
        for rows in self._chosen(bad):
            against = reasons.slice(told, len(rows))
            told += len(rows)
            rows = rows.drop_columns(_POSITION)
            self.quarantine.append(sift(rows, TableKind.EVENTS, against)[1])
        self._kept[positions] = False

    def _chosen(self, chosen: BoolArray) -> Iterator[pa.Table]:
        """The chosen rows of each part that has any, with their position among all."""

        def picked(part: int) -> pa.Table:
            place = self._spill.places[part]
            rows = self._spill.part(part).append_column(
                _POSITION, pa.array(np.arange(place.start, place.stop))
            )
            return rows.filter(pa.array(chosen[place]))

        return in_turn(picked, self._parts_with(chosen))

    def _parts_with(self, chosen: BoolArray) -> list[int]:
        return [i for i, place in enumerate(self._spill.places) if chosen[place].any()]


@dataclass(frozen=True, slots=True)
class NamedPart:
    """Consecutive rows, some of which are kept."""

    rows: pa.Table  # of raw_schema, all of them
    kept: IntArray  # which of the rows are kept, ascending, [n]
    contact: IntArray  # place of each kept one's contact among all, [n]
    known_us: IntArray  # since when each kept one is known, UTC microseconds, [n]


class NamedEvents:
    """The kept events of a log with the contact of each."""

    def __init__(self, events: SpilledEvents, place: IntArray, assigned: Assignment) -> None:
        """As `SpilledEvents.name` says."""
        self._events, self._place, self._linked = events, place, assigned.linked_at
        who = assigned.contact_id.dictionary_encode()
        self.contacts = who.dictionary  # that have events, each once, [contacts]
        self._contact_of = np.asarray(who.indices.fill_null(-1)).astype(np.int64)

    def counts(self) -> IntArray:
        """How many events each contact has, [contacts]."""
        found = np.zeros(len(self.contacts), np.int64)
        for i, place in enumerate(self._events._spill.places):
            naming = self._naming(i, place)
            found += np.bincount(self._contact_of[naming], minlength=found.size)
        return found

    def parts(self) -> list[int]:
        """The numbers of the parts, in the order in which they were read."""
        return self._events._parts_with(self._events._kept)

    def part(self, number: int) -> NamedPart:
        """The events of a part, each known no earlier than its link to its contact.

        Several threads may read.
        """
        events = self._events
        place = events._spill.places[number]
        kept = events._kept[place]
        naming = self._naming(number, place)
        known = np.maximum(events._recorded_us[place][kept], self._linked[naming])
        contact = self._contact_of[naming]
        return NamedPart(events._spill.part(number), np.flatnonzero(kept), contact, known)

    def _naming(self, part: int, place: slice) -> IntArray:
        """The naming of each kept row of a part, as places in the assignment, [kept]."""
        return self._place[self._events._naming(part, self._events._kept, place)]


def _checked(part: Callable[[], RawTable], words: Vocabulary) -> _Part:
    raw = part()
    good = check_events(raw.rows, words)
    rows = good.rows.combine_chunks()
    ids = hashed(rows["event_id"].combine_chunks())
    namings, codes = distinct_namings(rows)
    refused = pa.concat_tables([raw.quarantine, good.quarantine])
    return _Part(rows, refused, ids, namings, codes, *mail_minutes(rows))


def _repeated(ids: IntArray) -> BoolArray:
    """Which ids occur more than once, [n]."""
    ordered = np.sort(ids)
    several = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
    repeated = np.zeros(ids.size, np.bool_)
    if several.size:
        # Most ids are told to occur once by a few of their bits.
        few = (1 << (_SPARSE * several.size).bit_length()) - 1
        may = np.zeros(few + 1, np.bool_)
        may[several & few] = True
        rows = np.flatnonzero(may[ids & few])
        repeated[rows] = np.asarray(pc.is_in(pa.array(ids[rows]), value_set=pa.array(several)))
    return repeated
