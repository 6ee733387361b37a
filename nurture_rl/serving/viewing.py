"""Everything that a decision may use about contacts, read from the store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import uuid4

import numpy as np

from nurture_envs.clock import DAY_US, local_microseconds, require_zone
from nurture_rl.errors import TimeZoneError
from nurture_rl.release.bundle import Bundle
from nurture_rl.serving.contact_state import folding_of, is_of_use
from nurture_rl.serving.names import contact_key
from nurture_rl.serving.reading import StoreReader
from nurture_rl.serving.records import Contact, ContactView, Episode, Preferences


@dataclass(frozen=True, slots=True)
class Ask:
    """A decision asked for."""

    contact_id: str
    request_id: str | None = None  # becomes the decision's id; the same id gives the same answer
    available: bool | None = None


def views_of(
    bundle: Bundle,
    store: StoreReader,
    asks: Sequence[Ask],
    now_us: int,
    default_zone: str,
    acknowledged: bool,
    contacts: Mapping[str, Contact] | None = None,
) -> list[ContactView]:
    """What is known of each contact asked for.

    Args:
        bundle: its journey names the episode.
        store: knows all of the contacts.
        asks: who, [n].
        now_us: the moment, microseconds since 1970 UTC.
        default_zone: zone of contacts who have none.
        acknowledged: all events came before this moment, whatever their time stamps.
        contacts: those who are asked for and perhaps more, by `contact_key`; None: they are read.
    """
    ids, folding = [contact_key(ask.contact_id) for ask in asks], folding_of(bundle)
    journey = bundle.journey.name
    contacts = store.contacts(ids) if contacts is None else contacts
    episodes = store.episodes(ids, journey, bundle.catalog)
    fresh = [contacts[name] for name in dict.fromkeys(ids) if name not in episodes]
    episodes |= _opened(journey, fresh, now_us, default_zone)
    states = {
        name: (state, place)
        for name, (state, place) in store.states(ids, journey, folding.key).items()
        if is_of_use(
            state, contacts[name].time_zone or default_zone, episodes[name].anchor_us, now_us
        )
    }
    places = {name: place for name, (_, place) in states.items()}
    events = store.events(ids, places)
    told = [event for some in events.values() for event in some if event.type == "sent"]
    named = [event.decision_id for event in told if event.decision_id is not None]
    sends, calls = store.planned(ids, places, now_us - folding.limits_us, named)
    wishes = store.preferences(ids)
    return [
        ContactView(
            decision_id=ask.request_id or str(uuid4()),
            contact=contacts[name],
            events=events.get(name, ()),
            episode=episodes[name],
            sends=sends.get(name, ()),
            calls=calls.get(name, ()),
            available=ask.available,
            acknowledged=acknowledged,
            state=states[name][0] if name in states else None,
            preferences=wishes.get(name, Preferences()),
        )
        for name, ask in zip(ids, asks, strict=True)
    ]


def _opened(
    journey: str, contacts: Sequence[Contact], now_us: int, default_zone: str
) -> dict[str, Episode]:
    """The episode that a first decision opens, by contact: anchored at that day's local midnight.

    For a zone that nobody knows the default zone stands in: such a contact is refused later on, by
    itself.
    """
    zones = np.array([contact.time_zone or default_zone for contact in contacts], np.str_)
    moments = np.full(len(contacts), now_us, np.int64)
    try:
        local_us = local_microseconds(moments, zones)
    except TimeZoneError:
        known = [_is_zone(str(name)) for name in zones]
        local_us = local_microseconds(moments, np.where(known, zones, default_zone))
    anchors_us = local_us - local_us % DAY_US
    days = np.datetime_as_string(anchors_us.astype("datetime64[us]"), unit="D").tolist()
    return {
        contact.contact_id: Episode(f"{journey}:{contact.contact_id}:{day}", anchor_us)
        for contact, anchor_us, day in zip(contacts, anchors_us.tolist(), days, strict=True)
    }


def _is_zone(name: str) -> bool:
    try:
        require_zone(name)
    except TimeZoneError:
        return False
    return True
