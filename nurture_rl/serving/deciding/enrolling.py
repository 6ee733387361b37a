"""Contacts enter and leave the journeys of a server: by a call, by an event, by what is put."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from nurture_rl.errors import NurtureError
from nurture_rl.serving.contacts.enrolment import moving_signals
from nurture_rl.serving.deciding.moved import KnownPassage, MoveCause, Moved, State
from nurture_rl.serving.deciding.passage import Passage
from nurture_rl.serving.deciding.served_journey import ServedJourney, UnknownJourney, not_served
from nurture_rl.serving.names import contact_key
from nurture_rl.serving.records import (
    Answer,
    Contact,
    ContactView,
    EpisodeRow,
    Event,
    Moves,
    Refusal,
    Withdrawal,
)
from nurture_rl.serving.storage.store import Store


class EnrolmentError(NurtureError):
    """A contact cannot enter, leave or be paused as things stand."""


class Enrolling:
    """Moves contacts between the journeys of a server.

    Calls take the lock of the contact and store what they do. What follows from events and from
    contacts that are put is given back, to be stored with them; whoever asks holds the locks.
    """

    def __init__(
        self,
        journeys: Mapping[str, ServedJourney],
        store: Store,
        default_zone: str,
        clock: Callable[[], int],
        settled: Callable[[Sequence[str], Sequence[Withdrawal]], None],
    ) -> None:
        """Share a service's parts; `settled` hears whose planned sends a call took back."""
        self._journeys = {name: one.bundle.journey for name, one in journeys.items()}
        self._store, self._zone = store, default_zone
        self._clock, self._settled = clock, settled
        whole = self._journeys.values()
        self._types = {signal.type for own in whole for signal in moving_signals(own)}
        terms = [(name, own.enrolment) for name, own in self._journeys.items()]
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
        cause = MoveCause(who, why)
        return self._called(journey, contact_id, lambda one: one.enter(journey, cause, anchor_us))

    def leave(self, journey: str, contact_id: str, who: str, why: str) -> Moved:
        """End a contact's episode, or its wait for one; arguments and errors as of `enrol`."""
        cause = MoveCause(who, why)
        return self._called(journey, contact_id, lambda one: one.leave(journey, cause))

    def hold(self, journey: str, contact_id: str, who: str, why: str, paused: bool) -> Moved:
        """Pause a contact, or resume it; arguments and errors as of `enrol`.

        While it is paused its bins pass, and nothing but a pause is decided, in any journey.
        """
        cause = MoveCause(who, why)
        return self._called(journey, contact_id, lambda one: one.hold(journey, cause, paused))

    def standing(self, journey: str, contact_id: str) -> tuple[list[EpisodeRow], State, int | None]:
        """A contact's episodes in a journey, the first one first, and where the contact stands.

        The last is since when a person has paused the contact, in whatever journey, or None.

        Raises:
            UnknownJourney: there is no such journey or contact.
        """
        self._require_served(journey)
        with self._store.held([contact_id]):
            passage = self._known(contact_id)
            self._keep([contact_id], passage.moves)
            return passage.rows(journey), passage.state(journey), passage.held_us

    def heard(self, events: Sequence[Event], taken: Sequence[Withdrawal]) -> Moves:
        """How contacts move by events that are about to be stored.

        Those of a contact count in the order in which they happened.

        Args:
            events: new ones.
            taken: planned sends that the events take back besides.
        """
        some = [event for event in events if event.type in self._types]
        known = self._store.contacts([event.contact_id for event in some]) if some else {}
        passages = self._passages(list(known.values()), 0, events, taken)
        for event in sorted(some, key=lambda one: one.occurred_us):
            if (passage := passages.get(contact_key(event.contact_id))) is not None:
                passage.hear(event)
        return _all_of(list(passages.values()))

    def put(self, contacts: Sequence[Contact], now_us: int, taken: Sequence[Withdrawal]) -> Moves:
        """How contacts move by what is about to be stored of them; arguments as of `heard`."""
        some = contacts if self._by_facts else ()
        passages = self._passages(some, now_us, (), taken)
        for passage in passages.values():
            passage.learn(self._by_facts)
        return _all_of(list(passages.values()))

    def admit(self, contact_ids: Sequence[str], now_us: int) -> None:
        """Let those enter who waited for a journey that is over by now; it is stored."""
        waiting = self._store.waiting(contact_ids) if self._has_waiting else {}
        self._look(list(waiting), now_us)

    def end(self, views: Sequence[ContactView], answers: Sequence[Answer], now_us: int) -> None:
        """End episodes that are over by an event which nobody heard here, such as one of a log.

        Args:
            views: contacts, [n].
            answers: what each was told, [n].
            now_us: the moment, microseconds since 1970 UTC.
        """
        told_over = [
            view.contact.contact_id
            for view, answer in zip(views, answers, strict=True)
            if isinstance(answer, Refusal) and answer.code == "episode_over"
            if view.episode.ended is None and not view.episode.exited
        ]
        rows = self._store.open_episodes(told_over) if told_over else []
        self._look([row.contact_id for row in rows], now_us)

    def _look(self, contact_ids: Sequence[str], now_us: int) -> None:
        known = self._store.contacts(contact_ids) if contact_ids else {}
        passages = self._passages(list(known.values()), now_us)
        for passage in passages.values():
            passage.admit()
        self._keep(contact_ids, _all_of(list(passages.values())))

    def _called(self, journey: str, contact_id: str, move: Callable[[Passage], Moved]) -> Moved:
        self._require_served(journey)
        with self._store.held([contact_id]):
            passage = self._known(contact_id)
            moved = move(passage)
            self._keep([contact_id], passage.moves)
        # Raised outside of the lock, so that what was over by then stays over.
        if moved.state == "refused":
            raise EnrolmentError(f"{moved.why}; nothing was changed")
        return moved

    def _known(self, contact_id: str) -> Passage:
        """A contact's passage by now."""
        contact = self._store.contacts([contact_id]).get(contact_key(contact_id))
        if contact is None:
            raise UnknownJourney(f"no contact {contact_id!r} is known; put it first")
        (passage,) = self._passages([contact], self._clock()).values()
        passage.admit()
        return passage

    def _passages(
        self,
        contacts: Sequence[Contact],
        now_us: int,
        told: Sequence[Event] = (),
        taken: Sequence[Withdrawal] = (),
    ) -> dict[str, Passage]:
        """The passage of each of some contacts, by key; arguments as of `KnownPassage`."""
        names = [contact.contact_id for contact in contacts]
        rows = self._store.passes(names) if names else {}
        waits = self._store.waiting(names) if names else {}
        found = {}
        for contact in contacts:
            key = contact_key(contact.contact_id)
            known = KnownPassage(contact, rows.get(key, ()), waits.get(key, ()), told, taken)
            found[key] = Passage(self._journeys, self._store, self._zone, known, now_us)
        return found

    def _keep(self, contact_ids: Sequence[str], moves: Moves) -> None:
        if moves.anything:
            self._store.move(moves)
        if moves.withdrawals:
            self._settled(contact_ids, moves.withdrawals)

    def _require_served(self, journey: str) -> None:
        if journey not in self._journeys:
            raise not_served(journey, self._journeys)


def _all_of(passages: Sequence[Passage]) -> Moves:
    """What is to be stored of contacts, together."""
    each = [passage.moves for passage in passages]
    return Moves(*([x for one in each for x in getattr(one, name)] for name in Moves.__slots__))
