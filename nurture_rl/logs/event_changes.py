"""What is worked out of events before they are written: what pages are about, who was a machine."""

from __future__ import annotations

import pyarrow as pa

from nurture_rl.logs.machine_marks import MachineSearch
from nurture_rl.logs.page_rules import PageReading, PageRules
from nurture_rl.logs.privacy_rules import PrivacyRules


class EventChanges:
    """Changes the events of some contacts after the others, and says what was done."""

    def __init__(
        self, tells_seconds: bool, pages: PageRules | None, rules: PrivacyRules | None
    ) -> None:
        """Begin.

        Args:
            tells_seconds: as of `mark_machines`.
            pages: what addresses are about; None: nothing says it.
            rules: what may be written of the events.
        """
        self._search = MachineSearch(tells_seconds)
        self._pages = None if pages is None else PageReading(pages)
        kept = None if rules is None else rules.properties
        self._shows_addresses = kept is None or "url" in kept

    def changed(self, rows: pa.Table) -> pa.Table:
        """Rows as they are written.

        Args:
            rows: of the events table, all of each contact.
        """
        return self._search.marked(rows if self._pages is None else self._pages.read(rows))

    def notes(self) -> list[str]:
        """What was done so far; no address that may not be written."""
        pages = [] if self._pages is None else self._pages.notes(self._shows_addresses)
        return [*self._search.notes(), *pages]
