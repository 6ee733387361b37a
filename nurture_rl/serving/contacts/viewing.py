"""Everything that a decision may use about contacts, read from the store."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from uuid import uuid4

from nurture_envs.journey import Journey
from nurture_rl.release.bundle import Bundle
from nurture_rl.serving.contacts.contact_state import folding_of, is_of_use
from nurture_rl.serving.contacts.enrolment import beside, opened, usable_zone
from nurture_rl.serving.contacts.reply_handoffs import may_wait, talk_in
from nurture_rl.serving.names import contact_key
from nurture_rl.serving.records import Contact, ContactState, ContactView, Event, Preferences
from nurture_rl.serving.storage.reading import StoreReader
from nurture_rl.serving.storage.stored_events import events_that, is_report_of_send


@dataclass(frozen=True, slots=True)
class Ask:
    """A decision asked for."""

    contact_id: str
    request_id: str | None = None  # becomes the decision's id; the same id gives the same answer
    available: bool | None = None
    journey: str | None = None  # None: the one that the contact is in


def views_of(
    bundle: Bundle,
    store: StoreReader,
    asks: Sequence[Ask],
    now_us: int,
    default_zone: str,
    acknowledged: bool,
    contacts: Mapping[str, Contact] | None = None,
    others: Collection[str] = (),
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
        others: journeys that keep a contact out of this one while they have them.
    """
    ids, folding = [contact_key(ask.contact_id) for ask in asks], folding_of(bundle)
    contacts = store.contacts(ids) if contacts is None else contacts
    episodes, open_, held = store.episodes(ids, bundle.journey.name, bundle.catalog, now_us)
    for name in ids:
        zone = usable_zone(contacts[name].time_zone, default_zone)
        one = episodes.get(name) or opened(bundle.journey, contacts[name], now_us, zone)
        one = replace(one, held=True) if name in held else one
        episodes[name] = beside(one, open_.get(name, ()), now_us, zone, others)
    states = {
        name: (state, place)
        for name, (state, place) in store.states(ids, bundle.journey.name, folding.key).items()
        if is_of_use(
            state, contacts[name].time_zone or default_zone, episodes[name].anchor_us, now_us
        )
    }
    places = {name: place for name, (_, place) in states.items()}
    events = store.events(ids, places)
    told = [e for some in events.values() for e in events_that(some, is_report_of_send)]
    named = [event.decision_id for event in told if event.decision_id is not None]
    sends, calls = store.planned(ids, places, now_us - folding.limits_us, named)
    wishes = store.preferences(ids)
    before = _folded_talk(bundle.journey, store, states, events, now_us)
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
            replies=before.get(name, ()),
        )
        for name, ask in zip(ids, asks, strict=True)
    ]


def _folded_talk(
    journey: Journey,
    store: StoreReader,
    states: Mapping[str, tuple[ContactState, int]],
    after: Mapping[str, Sequence[Event]],
    now_us: int,
) -> dict[str, Sequence[Event]]:
    """Replies in the states of contacts that may wait for an answer, and what may be one."""
    ids = [name for name, (state, _) in states.items() if may_wait(journey, state, now_us)]
    whole = store.events(ids) if ids else {}
    return {
        name: talk_in(journey, told[: len(told) - len(after.get(name, ()))])
        for name, told in whole.items()
    }
