"""Contacts who move between journeys: what is known, who moves them, what became of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from nurture_rl.serving.records import Contact, EpisodeRow, Event, Waiting, Withdrawal

State = Literal["active", "paused", "waiting", "left", "never"]


@dataclass(frozen=True, slots=True)
class Moved:
    """Where a contact stands in a journey after a call, a rule or an event."""

    state: State | Literal["refused"]
    why: str = ""
    episode: EpisodeRow | None = None
    withdrawn: Sequence[Withdrawal] = ()  # planned sends that were taken back


@dataclass(frozen=True, slots=True)
class MoveCause:
    """Who moves a contact, and why; the log says both."""

    who: str
    why: str


@dataclass(frozen=True, slots=True)
class KnownPassage:
    """A contact, and what there is of its way through journeys."""

    contact: Contact
    rows: Sequence[EpisodeRow]  # its episodes, in whatever journeys
    waits: Sequence[Waiting]
    told: Sequence[Event] = ()  # about to be stored; they may prove that a mail went
    taken: Sequence[Withdrawal] = ()  # planned sends that are about to be taken back already
