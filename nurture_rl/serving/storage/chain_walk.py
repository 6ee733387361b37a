"""Following a hash chain from its first entry: what is missing, moved, changed or cut off."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from nurture_rl.errors import LogError
from nurture_rl.serving.storage.chain import (
    DECISION,
    ERASURE,
    STORE,
    TABLE_OF,
    Entry,
    ErasedEntries,
    chain_link,
    row_digest,
    store_digest,
)
from nurture_rl.serving.storage.rows import Row

ERASED_HERE = "here"  # as an entry's erasure: the row was taken out of this copy of the log alone
_SHOWN = 20  # broken places that are described; all are counted


@dataclass(frozen=True, slots=True)
class Head:
    """The last entry of a chain, as it was noted: it vouches for all entries up to it."""

    number: int
    link: bytes

    @classmethod
    def parse(cls, text: str) -> Head:
        """Read what `nurture verify` printed.

        Raises:
            LogError: it is something else.
        """
        number, _, link = text.partition(":")
        try:
            found = cls(int(number), bytes.fromhex(link))
        except ValueError:
            found = cls(-1, b"")
        if found.number < 0 or len(found.link) != 32:
            raise LogError(
                f"expected a head as nurture verify prints it, NUMBER:64 HEX DIGITS, got {text!r}"
            )
        return found

    def __str__(self) -> str:
        return f"{self.number}:{self.link.hex()}"


class Walk:
    """Takes entries in the order of their numbers; memory does not grow with them."""

    def __init__(self, noted: Head | None = None, copy: bool = False) -> None:
        """Begin before the first entry.

        Args:
            noted: the head of an earlier day, which must still be in the chain.
            copy: rows may have been taken out of this copy of the log alone.
        """
        self._noted, self._copy = noted, copy
        self.seed: int | None = None  # of the store's decisions, for the first entry; None: unknown
        self._last: Entry | None = None
        self._erased: dict[str, ErasedEntries] = {}  # by the erasure's id
        self.seen: Counter[str] = Counter()  # entries by kind; erased ones apart, as "erased"
        self.broken = 0
        self.broken_places: list[str] = []  # described, the first of them

    @property
    def head(self) -> Head | None:
        """The last entry so far."""
        return None if self._last is None else Head(self._last.number, self._last.link)

    def breaks(self, place: str, what: str) -> None:
        """Note a broken place."""
        self.broken += 1
        if len(self.broken_places) < _SHOWN:
            self.broken_places.append(f"{place}: {what}")

    def follow(self, entry: Entry, row: Row | None, seen: bool = True) -> None:
        """Take the next entry.

        Args:
            entry: the entry.
            row: what lies under its id now; None: nothing.
            seen: whether rows of this kind can be looked at; a copy may lack them.
        """
        self._order(entry)
        place = _place(entry)
        if entry.id is None:
            self._count_erased(entry, place)
        elif entry.erasure is not None:
            self.breaks(place, f"the erasure {entry.erasure} is named, and its row was not erased")
        else:
            self.seen[entry.kind] += 1
            self._row(entry, place, row, seen)
        noted = self._noted
        if noted is not None and entry.number == noted.number and entry.link != noted.link:
            self.breaks(place, f"not what was noted as the head {noted}")
        self._last = entry

    def end(self) -> None:
        """Say that there are no more entries."""
        if self._last is None:
            self.breaks("the chain", "it is empty: its first entry is missing")
        if self._noted is not None and (self.head is None or self.head.number < self._noted.number):
            at = "nothing" if self.head is None else f"entry {self.head.number}"
            self.breaks("the chain", f"cut off: it ends with {at}, noted was {self._noted.number}")
        for name, erased in sorted(self._erased.items()):
            self.breaks(
                f"erasure {name}",
                f"{erased.count} entries are called erased by it, and it is not in the chain",
            )

    def _order(self, entry: Entry) -> None:
        place = _place(entry)
        before, expected = (b"", 0) if self._last is None else (
            self._last.link,
            self._last.number + 1,
        )  # fmt: skip
        if entry.number != expected:
            self.breaks(place, f"expected entry {expected} here: entries are missing or moved")
        elif entry.link != chain_link(before, entry.digest):
            self.breaks(place, "its link does not follow from the entry before and its digest")

    def _row(self, entry: Entry, place: str, row: Row | None, seen: bool) -> None:
        if entry.kind == STORE:
            if entry.id != "":
                self.breaks(place, f"expected no id, got {entry.id}")
            if self.seed is not None and entry.digest != store_digest(self.seed):
                self.breaks(place, f"the seed {self.seed} is not the one that the store began with")
        elif seen and row is None:
            self.breaks(place, "its row is missing")
        elif row is not None and row_digest(row) != entry.digest:
            self.breaks(place, "its row is not what was logged: a column was changed")
        if entry.kind == ERASURE and row is not None:
            self._erasure(entry, place, row)

    def _count_erased(self, entry: Entry, place: str) -> None:
        self.seen["erased"] += 1
        if entry.kind == DECISION:
            self.seen["erased decisions"] += 1
        if entry.kind not in TABLE_OF:
            self.breaks(place, f"expected a kind among {', '.join(TABLE_OF)}")
        if entry.erasure is None:
            self.breaks(place, "it has no id, and no erasure is named that took it")
        elif entry.erasure != ERASED_HERE or not self._copy:
            taken = self._erased.setdefault(entry.erasure, ErasedEntries())
            taken.add(entry.number, entry.digest)

    def _erasure(self, entry: Entry, place: str, row: Row) -> None:
        taken = self._erased.pop(str(entry.id), ErasedEntries())
        if (taken.count, taken.digest) != (row[3], row[4]):
            self.breaks(place, "what is called erased by it is not what it took")


def _place(entry: Entry) -> str:
    if entry.kind == STORE:
        return "the chain's first entry"
    if entry.id is None:
        return f"entry {entry.number} (an erased {entry.kind})"
    return f"{entry.kind} {entry.id} (entry {entry.number})"
