"""Contacts as a server sees them: their events are folded where many have come since."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence

from nurture_rl.release.bundle import Bundle
from nurture_rl.serving.contacts.contact_state import folded, folding_of
from nurture_rl.serving.contacts.viewing import Ask, views_of
from nurture_rl.serving.records import Contact, ContactState, ContactView
from nurture_rl.serving.storage.store import Store
from nurture_rl.serving.store_errors import StoreUnavailable

_log = logging.getLogger(__name__)

MOST_UNFOLDED = 32  # events after a contact's state, from which on they are folded into it


class ContactViews:
    """Reads contacts and keeps their states. Whoever calls holds the locks of the contacts."""

    def __init__(
        self,
        bundle: Bundle,
        store: Store,
        default_zone: str,
        acknowledged: bool,
        others: Collection[str] = (),
    ) -> None:
        """Arguments as of `views_of`."""
        self._bundle, self._store, self._zone = bundle, store, default_zone
        self._acknowledged, self._others = acknowledged, others

    def read(
        self, asks: Sequence[Ask], now_us: int, contacts: Mapping[str, Contact] | None = None
    ) -> list[ContactView]:
        """What is known of contacts.

        Args:
            asks: who, [n]; the store knows all of them.
            now_us: the moment, microseconds since 1970 UTC.
            contacts: as of `views_of`.
        """
        about = (self._zone, self._acknowledged, contacts, self._others)
        views = views_of(self._bundle, self._store, asks, now_us, *about)
        if all(len(view.events) < MOST_UNFOLDED for view in views):
            return views
        seen = [self._folded(view, now_us) for view in views]
        states: dict[str, ContactState] = {
            view.contact.contact_id: view.state
            for view, before in zip(seen, views, strict=True)
            if view.state is not None and view.state is not before.state
        }
        if states:
            folding = folding_of(self._bundle)
            self._store.put_states(folding.journey.name, folding.key, states)
        return seen

    def fold(self, contact_ids: Sequence[str], now_us: int) -> None:
        """Fold the events of contacts where many have come, so that no decision has to."""
        journey = self._bundle.journey.name
        try:
            if names := self._store.unfolded(contact_ids, journey, MOST_UNFOLDED):
                self.read([Ask(name) for name in names], now_us)
        except StoreUnavailable:  # they stay to be read
            _log.exception("events could not be folded")

    def _folded(self, view: ContactView, now_us: int) -> ContactView:
        if len(view.events) < MOST_UNFOLDED:
            return view
        try:
            zone = view.contact.time_zone or self._zone
            return folded(folding_of(self._bundle), view, zone, now_us)
        except Exception:  # a broken record is refused when it is decided for
            _log.exception("the events of a contact could not be folded")
            return view
