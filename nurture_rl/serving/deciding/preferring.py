"""Keeping what contacts prefer: mail that is planned and refused from now on is taken back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from nurture_rl.serving.names import contact_key
from nurture_rl.serving.records import ConsentEntry, ContactView, Preferences, Withdrawal
from nurture_rl.serving.storage.consent_entries import PURPOSE, preferred
from nurture_rl.serving.storage.store import Store

Change = Callable[[ContactView], ContactView]
Unwanted = Callable[[Sequence[str], int, Change], list[Withdrawal]]
Refused = Callable[[Sequence[str], Sequence[Withdrawal]], None]


class Preferring:
    """The preferences of a store's contacts, each changed under its contact's lock."""

    def __init__(
        self,
        store: Store,
        unwanted: Unwanted,
        refused: Refused,
        clock: Callable[[], int],
    ) -> None:
        """Share a service's parts; `unwanted` finds what is taken back, `refused` hears of it."""
        self._store, self._unwanted = store, unwanted
        self._refused, self._clock = refused, clock

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
            withdrawn = self._unwanted(
                [contact_id], now_us, lambda view: replace(view, preferences=wish)
            )
            blank = ConsentEntry(now_us, contact_id, source, PURPOSE, "", proof=proof)
            entries = preferred(blank, self.of(contact_id), wish)
            self._store.put_preferences(contact_id, wish, entries, withdrawn)
            self._refused([contact_id], withdrawn)
        return withdrawn
