"""Contacts enter and leave the journeys of a server: by a call, by an event, by what is put."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from nurture_envs.clock import DAY_US
from nurture_envs.journey import JourneyRule, Signal
from nurture_rl.errors import NurtureError
from nurture_rl.serving.contacts.enrolment import (
    ended_by,
    entry,
    fulfils,
    local_time,
    new_row,
    over,
    signal_of,
)
from nurture_rl.serving.deciding.served_journey import ServedJourney, UnknownJourney, not_served
from nurture_rl.serving.names import contact_key
from nurture_rl.serving.records import (
    Contact,
    Ending,
    EpisodeRow,
    Event,
    JourneyEntry,
    Moves,
    Waiting,
    Withdrawal,
)
from nurture_rl.serving.storage.store import Store

RULE = "rule"  # who moved a contact, where the journey file did
_FRESH_US = 7 * DAY_US  # an event that is told of later enrols nobody: it is history


class EnrolmentError(NurtureError):
    """A contact cannot enter, leave or be paused as things stand."""


@dataclass(frozen=True, slots=True)
class Moved:
    """Where a contact stands in a journey after a call, a rule or an event."""

    state: Literal["active", "paused", "waiting", "left", "refused"]
    why: str = ""
    episode: EpisodeRow | None = None
    withdrawn: Sequence[Withdrawal] = ()  # planned sends that were taken back


@dataclass(frozen=True, slots=True)
class _Mover:
    """Who moves a contact, when and why."""

    contact: Contact
    now_us: int
    who: str
    why: str
    anchor_us: int | None = None  # of an episode that began elsewhere

    def entry(self, journey: str, what: str, episode: str | None, why: str) -> JourneyEntry:
        name = self.contact.contact_id
        return JourneyEntry(self.now_us, self.who, journey, name, episode, what, why)


class Enrolling:
    """Moves contacts between the journeys of a server.

    Whatever is public takes the lock of the contact, besides `heard`, `put` and `admit`, whose
    callers hold it.
    """

    def __init__(
        self,
        journeys: Mapping[str, ServedJourney],
        store: Store,
        default_zone: str,
        clock: Callable[[], int],
        settled: Callable[[Sequence[str], Sequence[Withdrawal]], None],
    ) -> None:
        """Share a service's parts; `settled` hears whose planned sends were taken back."""
        self._journeys, self._store, self._zone = journeys, store, default_zone
        self._clock, self._settled = clock, settled
        self._types = {signal.type for one in journeys.values() for signal in _moving(one)}
        terms = [(name, one.bundle.journey.enrolment) for name, one in journeys.items()]
        # Journeys that contacts enter or leave by what is known of them, whatever happens.
        self._by_facts = [
            name
            for name, own in terms
            if own is not None and any(r is not None and not r.on for r in (own.enter, own.leave))
        ]
        self._has_waiting = any(own is not None and own.busy == "wait" for _, own in terms)

    def enrol(
        self, journey: str, contact_id: str, who: str, why: str, anchor_us: int | None = None
    ) -> Moved:
        """Let a contact enter a journey, by a call.

        Args:
            journey: which.
            contact_id: whom.
            who: asks for it.
            why: is said in the log.
            anchor_us: local wall time at which an episode that began elsewhere did; None: now.

        Returns:
            That the contact is in it, or waits, and the sends of another journey that it took back.

        Raises:
            UnknownJourney: there is no such journey or contact.
            EnrolmentError: the journey's terms refuse it; the log says so.
        """
        self._served(journey)
        with self._store.held([contact_id]):
            mover = replace(self._mover(contact_id, who, why), anchor_us=anchor_us)
            moved = self._enter(mover, journey)
        return _allowed(moved)

    def leave(self, journey: str, contact_id: str, who: str, why: str) -> Moved:
        """End a contact's episode, or its wait for one; arguments and errors as of `enrol`."""
        self._served(journey)
        with self._store.held([contact_id]):
            mover = self._mover(contact_id, who, why)
            moved = self._let_go(mover, journey)
        return _allowed(moved)

    def _let_go(self, mover: _Mover, journey: str) -> Moved:
        if any(wait.journey == journey for wait in self._waiting(mover)):
            key = contact_key(mover.contact.contact_id)
            told = mover.entry(journey, "left", None, f"waits no more: {mover.why}")
            self._store.move(Moves(drops=[(key, journey)], entries=[told]))
            return Moved("left")
        row = self._open(mover)
        if row is None or row.journey != journey:
            return _is_not_in(mover, journey)
        return self._end(mover, row, "person", mover.why)

    def hold(self, journey: str, contact_id: str, who: str, why: str, paused: bool) -> Moved:
        """Pause a contact's episode, or resume it; arguments and errors as of `enrol`.

        While it is paused its bins pass, and nothing but a pause is decided.
        """
        self._served(journey)
        with self._store.held([contact_id]):
            moved = self._held(self._mover(contact_id, who, why), journey, paused)
        return _allowed(moved)

    def _held(self, mover: _Mover, journey: str, paused: bool) -> Moved:
        row = self._open(mover)
        if row is None or row.journey != journey:
            return _is_not_in(mover, journey)
        if (row.paused_us is not None) == paused:
            return Moved("paused" if paused else "active", episode=row)
        since = mover.now_us if paused else None
        text = "a person paused the contact in this journey"
        taken = self._planned(mover, journey, text) if paused else []
        what = "paused" if paused else "resumed"
        told = mover.entry(journey, what, row.episode_id, mover.why)
        self._move(mover, Moves(holds=[(since, row.episode_id)], entries=[told]), taken)
        row = replace(row, paused_us=since)
        return Moved("paused" if paused else "active", episode=row, withdrawn=taken)

    def standing(self, journey: str, contact_id: str) -> tuple[list[EpisodeRow], str]:
        """A contact's episodes in a journey, the first one first, and where the contact stands.

        Raises:
            UnknownJourney: there is no such journey or contact.
        """
        self._served(journey)
        with self._store.held([contact_id]):
            mover = self._mover(contact_id, "", "")
        rows = sorted(self._passes(mover), key=lambda row: row.number)
        rows = [row for row in rows if row.journey == journey]
        open_ = self._open(mover)
        if open_ is not None and open_.journey == journey:
            return rows, "active" if open_.paused_us is None else "paused"
        if any(one.journey == journey for one in self._waiting(mover)):
            return rows, "waiting"
        return rows, "left" if rows else "never"

    def heard(self, events: Sequence[Event]) -> list[Withdrawal]:
        """End and begin episodes by events that were just stored.

        Returns:
            Planned sends that were taken back by it.
        """
        some = [event for event in events if event.type in self._types]
        known = self._store.contacts([event.contact_id for event in some]) if some else {}
        taken: list[Withdrawal] = []
        for event in some:
            contact = known.get(contact_key(event.contact_id))
            if contact is None:
                continue
            mover = _Mover(contact, event.recorded_us, RULE, f"event {event.type}")
            self._admit(mover)
            row = self._open(mover)
            if row is not None and (home := self._journeys.get(row.journey)) is not None:
                taken += self._ended_by(mover, row, home, event)
            for name, journey in self._journeys.items():
                terms = journey.bundle.journey.enrolment
                fresh = event.occurred_us > event.recorded_us - _FRESH_US
                if terms is not None and fresh and _applies(journey, terms.enter, event, contact):
                    taken += self._enter(mover, name).withdrawn
        return taken

    def put(self, contacts: Sequence[Contact], now_us: int) -> list[Withdrawal]:
        """Let contacts enter and leave by what was just put of them; returns as `heard`."""
        taken: list[Withdrawal] = []
        for contact in contacts if self._by_facts else ():
            for name in self._by_facts:
                journey = self._journeys[name]
                terms = journey.bundle.journey.enrolment
                mover = _Mover(contact, now_us, RULE, "what is known of the contact")
                self._admit(mover)
                if terms is None:
                    continue
                row = self._open(mover)
                is_in = row is not None and row.journey == name
                if row is not None and is_in and _applies(journey, terms.leave, None, contact):
                    taken += self._end(mover, row, "rule", mover.why).withdrawn
                elif not is_in and _applies(journey, terms.enter, None, contact):
                    taken += self._enter(mover, name, is_quiet=True).withdrawn
        return taken

    def admit(self, contact_ids: Sequence[str], now_us: int) -> None:
        """Let those enter who waited for a journey that is over by now."""
        waiting = self._store.waiting(contact_ids) if self._has_waiting else {}
        known = self._store.contacts(list(waiting)) if waiting else {}
        for contact in known.values():
            self._admit(_Mover(contact, now_us, RULE, ""))

    def _ended_by(
        self, mover: _Mover, row: EpisodeRow, home: ServedJourney, event: Event
    ) -> Sequence[Withdrawal]:
        journey, zone = home.bundle.journey, self._zone_of(mover)
        if (end := ended_by(journey, event, row.anchor_us, zone)) is not None:
            return self._end(mover, row, *end).withdrawn
        signal = _signal_of(home, event)
        if signal is None or local_time(event.occurred_us, zone) < row.anchor_us:
            return ()
        terms = journey.enrolment
        if terms is not None and _applies(home, terms.leave, event, mover.contact):
            return self._end(mover, row, "rule", f"the signal {signal.name}").withdrawn
        return ()

    def _enter(self, mover: _Mover, journey: str, is_quiet: bool = False) -> Moved:
        """Let a contact enter a journey, as its terms say; `is_quiet`: no word of a refusal."""
        contact, zone = mover.contact, self._zone_of(mover)
        own = self._journeys[journey].bundle.journey
        found = entry(own, self._passes(mover), mover.now_us, zone, self._journeys)
        if found.outcome == "is in":
            paused = found.episode is not None and found.episode.paused_us is not None
            return Moved("paused" if paused else "active", episode=found.episode)
        key = contact_key(contact.contact_id)
        if found.outcome == "refused":
            told = [] if is_quiet else [mover.entry(journey, "refused", None, found.why)]
            self._move(mover, Moves(found.ends, drops=[(key, journey)], entries=told), ())
            return Moved("refused", found.why)
        if found.outcome == "waits":
            if all(one.journey != journey for one in self._waiting(mover)):
                terms = own.enrolment
                rank = 0 if terms is None else terms.priority
                wait = Waiting(contact.contact_id, journey, rank, mover.now_us, mover.why)
                told = [mover.entry(journey, "waits", None, f"{mover.why}; {found.why}")]
                self._move(mover, Moves(found.ends, waits=[wait], entries=told), ())
            return Moved("waiting", found.why)
        row = new_row(own, contact, found.number, mover.now_us, zone, mover.anchor_us)
        endings, entries, taken = list(found.ends), list[JourneyEntry](), list[Withdrawal]()
        if (old := found.supersedes) is not None:
            why = f"journey {journey} took the contact"
            endings.append(Ending(old.episode_id, mover.now_us, "superseded", why))
            entries.append(mover.entry(old.journey, "superseded", old.episode_id, why))
            taken = self._planned(mover, old.journey, f"the episode ended (superseded): {why}")
        entries.append(mover.entry(journey, "entered", row.episode_id, mover.why))
        moves = Moves(endings, [row], drops=[(key, journey)], entries=entries)
        self._move(mover, moves, taken)
        return Moved("active", episode=row, withdrawn=taken)

    def _end(self, mover: _Mover, row: EpisodeRow, reason: str, why: str) -> Moved:
        """End an episode; whoever waited for that enters."""
        taken = self._planned(mover, row.journey, f"the episode ended ({reason})")
        told = mover.entry(row.journey, f"left: {reason}", row.episode_id, why)
        ending = Ending(row.episode_id, mover.now_us, reason, why)
        self._move(mover, Moves([ending], entries=[told]), taken)
        self._admit(mover)
        ended = replace(row, ended_us=mover.now_us, reason=reason, why=why)
        return Moved("left", episode=ended, withdrawn=taken)

    def _admit(self, mover: _Mover) -> None:
        """Enter the first journey that a contact waits for, by priority, if none has them."""
        waits = self._waiting(mover) if self._has_waiting else []
        for wait in sorted(waits, key=lambda one: (-one.priority, one.since_us)):
            if wait.journey not in self._journeys or self._open(mover) is not None:
                return
            waited = replace(mover, who=RULE, why=f"waited: {wait.why}", anchor_us=None)
            self._enter(waited, wait.journey)

    def _move(self, mover: _Mover, moves: Moves, taken: Sequence[Withdrawal]) -> None:
        self._store.move(replace(moves, withdrawals=taken))
        if taken:
            self._settled([mover.contact.contact_id], taken)

    def _planned(self, mover: _Mover, journey: str, why: str) -> list[Withdrawal]:
        """The planned sends of a journey, which are taken back."""
        found = self._store.awaiting([mover.contact.contact_id], mover.now_us)
        own = [decision for decision in found if decision.journey == journey]
        went = self._store.proofs([decision.decision_id for decision in own]) if own else {}
        return [Withdrawal(d, mover.now_us, why, d.decision_id not in went) for d in own]

    def _mover(self, contact_id: str, who: str, why: str) -> _Mover:
        contact = self._store.contacts([contact_id]).get(contact_key(contact_id))
        if contact is None:
            raise UnknownJourney(f"no contact {contact_id!r} is known; put it first")
        mover = _Mover(contact, self._clock(), who, why)
        self._admit(mover)
        return mover

    def _served(self, journey: str) -> None:
        if journey not in self._journeys:
            raise not_served(journey, self._journeys)

    def _open(self, mover: _Mover) -> EpisodeRow | None:
        """The episode that goes on, in whatever journey."""
        zone = self._zone_of(mover)
        rows = [row for row in self._passes(mover) if row.ended_us is None]
        going_on = (r for r in rows if over(r, mover.now_us, zone, self._journeys) is None)
        return next(going_on, None)

    def _passes(self, mover: _Mover) -> list[EpisodeRow]:
        name = mover.contact.contact_id
        return self._store.passes([name]).get(contact_key(name), [])

    def _waiting(self, mover: _Mover) -> list[Waiting]:
        name = mover.contact.contact_id
        return self._store.waiting([name]).get(contact_key(name), [])

    def _zone_of(self, mover: _Mover) -> str:
        return mover.contact.time_zone or self._zone


def _is_not_in(mover: _Mover, journey: str) -> Moved:
    name = mover.contact.contact_id
    return Moved("refused", f"contact {name!r} is not in journey {journey}")


def _allowed(moved: Moved) -> Moved:
    """What a call did; raised outside of the lock, so that what was over by then stays over.

    Raises:
        EnrolmentError: it was refused.
    """
    if moved.state == "refused":
        raise EnrolmentError(f"{moved.why}; nothing was changed")
    return moved


def _moving(journey: ServedJourney) -> list[Signal]:
    """The signals by which contacts enter or leave a journey."""
    own = journey.bundle.journey
    names, terms = set(own.terminals), own.enrolment
    for rule in () if terms is None else (terms.enter, terms.leave):
        names |= set() if rule is None else set(rule.on)
    return [signal for signal in own.signals if signal.name in names]


def _signal_of(journey: ServedJourney, event: Event) -> Signal | None:
    """The signal of those that move contacts which an event is; None: it is none of them."""
    return signal_of(_moving(journey), event)


def _applies(
    journey: ServedJourney, rule: JourneyRule | None, event: Event | None, contact: Contact
) -> bool:
    """Whether a rule holds by an event, or, where there is none, by what is known alone."""
    if rule is None or bool(rule.on) != (event is not None):
        return False
    signal = None if event is None else _signal_of(journey, event)
    if event is not None and (signal is None or signal.name not in rule.on):
        return False
    return fulfils(journey.bundle.journey, rule, contact.attributes)
