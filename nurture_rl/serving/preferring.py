"""Keeping what contacts prefer: mail that is planned and refused from now on is taken back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from nurture_rl.serving.consent_entries import PURPOSE, preferred
from nurture_rl.serving.names import contact_key
from nurture_rl.serving.records import ConsentEntry, Preferences, Withdrawal
from nurture_rl.serving.standing import RecordedDecisions, Views
from nurture_rl.serving.store import Store

Refused = Callable[[Sequence[str], Sequence[Withdrawal]], None]


class Preferring:
    """The preferences of a store's contacts, each changed under its contact's lock."""

    def __init__(
        self,
        store: Store,
        recorded: RecordedDecisions,
        views: Views,
        refused: Refused,
        clock: Callable[[], int],
    ) -> None:
        """Share a service's parts; `refused` hears who refused what."""
        self._store, self._recorded = store, recorded
        self._views, self._refused, self._clock = views, refused, clock

    def of(self, contact_id: str) -> Preferences:
        """What a contact prefers."""
        found = self._store.preferences([contact_id])
        return found.get(contact_key(contact_id), Preferences())

    def put(
        self, contact_id: str, wish: Preferences, source: str, proof: str
    ) -> list[Withdrawal] | None:
        """Keep what a contact prefers, and write it into the consent ledger.

        Args:
            contact_id: whose.
            wish: all of it; what was said before counts no more.
            source: who says so.
            proof: what shows it.

        Returns:
            Planned sends that are taken back by it; None: nobody has that id.
        """
        with self._store.held([contact_id]):
            if not self._store.contacts([contact_id]):
                return None
            now_us = self._clock()
            withdrawn = self._recorded.refused(
                [contact_id], self._views, now_us, lambda view: replace(view, preferences=wish)
            )
            blank = ConsentEntry(now_us, contact_id, source, PURPOSE, "", proof=proof)
            entries = preferred(blank, self.of(contact_id), wish)
            self._store.put_preferences(contact_id, wish, entries, withdrawn)
            self._refused([contact_id], withdrawn)
        return withdrawn
