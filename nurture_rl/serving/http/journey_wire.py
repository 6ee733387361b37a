"""The JSON of journeys over the wire: who is in them, since when, and who moved whom."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Annotated

import msgspec

from nurture_rl.serving.deciding.moved import Moved
from nurture_rl.serving.deciding.served_journey import ServedJourney
from nurture_rl.serving.http.policy_wire import Why
from nurture_rl.serving.http.wire import WithdrawnSend, iso, withdrawn_send
from nurture_rl.serving.records import EpisodeRow, JourneyEntry


class EnrolIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A contact enters a journey."""

    why: Why
    # First local day of an episode that began elsewhere; without it the episode begins today.
    began_on: Annotated[
        date | None, msgspec.Meta(description="first local day of an episode that began elsewhere")
    ] = None


class JourneyWhyIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why a contact leaves, or is paused or resumed."""

    why: Why


class EpisodeOut(msgspec.Struct, frozen=True):
    """One pass of a contact through a journey."""

    episode_id: str
    journey: str
    number: int  # of the contact's episodes in the journey, from 1
    began_at: str | None
    anchor: str  # local wall time at which its first period begins
    ended_at: str | None
    reason: str | None  # of its end
    why: str | None
    paused_at: str | None  # when a person paused the contact in it, until they are resumed


class MovedOut(msgspec.Struct, frozen=True):
    """Where a contact stands in a journey from now on."""

    state: str  # active, paused, waiting or left
    episode: EpisodeOut | None
    withdrawn: list[WithdrawnSend]  # planned sends that were taken back: do not send them
    why: str = ""  # of a wait


class ContactJourneyOut(msgspec.Struct, frozen=True):
    """A contact's episodes in a journey, the first one first."""

    contact_id: str
    state: str  # active, paused, waiting, left or never
    episodes: list[EpisodeOut]
    paused_at: str | None = None  # since when a person has paused the contact, in any journey


class JourneyOut(msgspec.Struct, frozen=True):
    """A journey that is served."""

    journey: str
    title: str
    priority: int
    by_enrolment: bool  # false: it has every contact that is known, once
    switch: str  # learned, rules or pause
    champion: str  # policy id


class JourneysOut(msgspec.Struct, frozen=True):
    """The journeys of the server, the first one first."""

    journeys: list[JourneyOut]


class JourneyEntryOut(msgspec.Struct, frozen=True):
    """One line of the log of journeys."""

    at: str | None
    who: str
    journey: str
    contact_id: str
    episode_id: str | None
    what: str
    why: str


class JourneyLogOut(msgspec.Struct, frozen=True):
    """The latest lines of the log of journeys, the oldest first."""

    entries: list[JourneyEntryOut]


STRUCTS = (EnrolIn, JourneyWhyIn, MovedOut, ContactJourneyOut, JourneysOut, JourneyLogOut)


def moved_out(moved: Moved) -> MovedOut:
    """What a call did."""
    episode = None if moved.episode is None else episode_out(moved.episode)
    taken = [withdrawn_send(one) for one in moved.withdrawn]
    return MovedOut(moved.state, episode, taken, moved.why)


def episode_out(row: EpisodeRow) -> EpisodeOut:
    """An episode as it goes over the wire."""
    return EpisodeOut(
        row.episode_id,
        row.journey,
        row.number,
        iso(row.began_us),
        (iso(row.anchor_us) or "").removesuffix("Z"),
        iso(row.ended_us),
        row.reason,
        row.why,
        iso(row.paused_us),
    )


def contact_out(
    contact_id: str, rows: Sequence[EpisodeRow], state: str, held_us: int | None
) -> ContactJourneyOut:
    """A contact's episodes in a journey."""
    return ContactJourneyOut(contact_id, state, [episode_out(row) for row in rows], iso(held_us))


def journey_out(one: ServedJourney) -> JourneyOut:
    """A journey that is served."""
    journey, roles = one.bundle.journey, one.policies.lineup.roles
    terms = journey.enrolment
    return JourneyOut(
        one.name,
        journey.title,
        0 if terms is None else terms.priority,
        terms is not None,
        roles.switch,
        roles.champion,
    )


def entry_out(entry: JourneyEntry) -> JourneyEntryOut:
    """A line of the log."""
    cells = {name: getattr(entry, name) for name in JourneyEntry.__slots__[1:]}
    return JourneyEntryOut(at=iso(entry.at_us), **cells)
