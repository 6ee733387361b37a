"""What is worked out of events before they are written, and what of them may not be written."""

from __future__ import annotations

import pyarrow as pa

from nurture_rl.logs.derived_events import DerivedEvents
from nurture_rl.logs.kept_private import PrivateLog
from nurture_rl.logs.machine_marks import MachineSearch
from nurture_rl.logs.page_rules import PageReading, PageRules
from nurture_rl.logs.schema import EVENTS


class EventChanges:
    """Changes the events of some contacts after the others, and says what was done."""

    def __init__(
        self,
        tells_seconds: bool,
        pages: PageRules | None,
        private: PrivateLog | None,
        derived: DerivedEvents,
    ) -> None:
        """Begin.

        Args:
            tells_seconds: as of `mark_machines`.
            pages: what addresses are about; None: nothing says it.
            private: what may be written of the events; None: all.
            derived: what is worked out of what may be written.
        """
        self._search = MachineSearch(tells_seconds)
        self._pages = None if pages is None else PageReading(pages)
        self._private, self._derived = private, derived
        self.left_out: list[pa.Table] = []  # quarantine of what may not be written

    def changed(self, rows: pa.Table) -> pa.Table:
        """Rows as they are written.

        Args:
            rows: of the events table, with file and line, all of each contact.
        """
        rows = self._search.marked(rows if self._pages is None else self._pages.read(rows))
        if self._private is not None:
            kept = self._private.events(rows)
            self.left_out.append(kept.quarantine)
            rows = kept.rows
        return self._derived.with_derived(rows.select(EVENTS.names).cast(EVENTS))

    def notes(self) -> list[str]:
        """What was done so far; no address that may not be written."""
        shows_addresses = self._private is None or self._private.tells("url")
        pages = [] if self._pages is None else self._pages.notes(shows_addresses)
        return [*self._search.notes(), *pages, *self._derived.notes()]
