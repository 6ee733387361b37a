"""Reading, deciding and writing for one contact at a time, whatever arrives at once."""

from __future__ import annotations

import logging
import sqlite3
import threading
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from uuid import uuid4

import numpy as np

from nurture_envs.clock import DAY_US, local_microseconds
from nurture_rl.errors import NurtureError
from nurture_rl.release.bundle import Bundle
from nurture_rl.serving.decide import decide, made_events
from nurture_rl.serving.forbidding import Forbidding
from nurture_rl.serving.ledger import Settled, settle
from nurture_rl.serving.names import contact_key
from nurture_rl.serving.recheck import recheck
from nurture_rl.serving.records import (
    Answer,
    Contact,
    ContactView,
    Decision,
    Episode,
    Event,
    Planned,
    Quarantined,
    Refusal,
)
from nurture_rl.serving.stock import Stock
from nurture_rl.serving.store import Store

_log = logging.getLogger(__name__)

_STRIPES = 64
EVERYWHERE = (-12, 14)  # hours: covers every zone on earth, for any default zone


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """How a server reads the clock and treats contacts without a zone."""

    default_zone: str
    simulated_clock: bool  # requests may say what time it is
    clock: Callable[[], int]  # microseconds since 1970 UTC
    seed: int | None = None  # None: the store's own
    # Hours by which an unknown zone may differ from the default zone, lowest and highest. The
    # journey's own figure belongs to its author's zone, which may be another one.
    unknown_zone_slack: tuple[int, int] = EVERYWHERE

    def __post_init__(self) -> None:
        low, high = self.unknown_zone_slack
        if not low <= 0 <= high:
            raise NurtureError(
                f"expected unknown_zone_slack as hours back (<= 0) and ahead (>= 0), got {low} "
                f"and {high}; give -1 6 for zones from one hour behind the default zone's to six "
                "ahead"
            )


@dataclass(frozen=True, slots=True)
class Ask:
    """A decision asked for."""

    contact_id: str
    request_id: str | None = None  # becomes the decision's id; the same id gives the same answer
    available: bool | None = None


@dataclass(frozen=True, slots=True)
class Appended:
    """What became of events; positions count in what was given."""

    stored: int
    repeated: int
    settled: Settled


class Service:
    """A bundle deciding over a store.

    All work on a contact happens under that contact's lock. So two requests at once cannot decide
    on facts that the other one changes, and a decision knows every event acknowledged before it.
    """

    def __init__(self, bundle: Bundle, store: Store, settings: ServerSettings) -> None:
        slack = replace(bundle.journey.guardrails, unknown_zone_slack=settings.unknown_zone_slack)
        self.bundle = replace(bundle, journey=replace(bundle.journey, guardrails=slack))
        self.store = store
        store.keep_catalog(bundle.catalog)
        self.catalogs: Mapping[str, Sequence[str]] = store.catalogs()
        self.stock = Stock(bundle.journey, store.sent_messages(bundle.journey.name))
        self.forbidding = Forbidding.of(bundle.journey)
        self.settings = settings
        self.seed = store.seed if settings.seed is None else settings.seed
        self._locks = [threading.Lock() for _ in range(_STRIPES)]
        self._watching: list[set[str]] = []
        self._watch = threading.Lock()

    def decide(self, asks: Sequence[Ask], now_us: int | None = None) -> list[Answer]:
        """Decide for each contact; decisions are on disk when this returns.

        Args:
            asks: who, [n].
            now_us: the moment; None reads the clock.

        Returns:
            A decision or a refusal per ask, in order.
        """
        with self._locked([ask.contact_id for ask in asks]):
            now_us = self.settings.clock() if now_us is None else now_us
            answers: list[Answer | None] = [None] * len(asks)
            pending, again = self._settled(asks, answers)
            self._say_again(asks, again, answers, now_us)
            views = self._views([asks[i] for i in pending], now_us)
            new_answers = self.stock.shared(views, lambda some, left: self._new(some, left, now_us))
            for i, answer in zip(pending, new_answers, strict=True):
                answers[i] = answer
            fresh = [answer for answer in new_answers if isinstance(answer, Decision)]
            if fresh:
                try:
                    self.store.append_decisions(fresh, made_events(self.bundle, fresh))
                except sqlite3.Error:
                    self.stock.give_back(fresh)
                    raise
        return self._repeated(asks, answers)

    def _new(
        self, views: Sequence[ContactView], left: Mapping[str, int], now_us: int
    ) -> list[Answer]:
        zone = self.settings.default_zone
        return decide(self.bundle, views, now_us, self.seed, zone, left)

    def put_contacts(self, contacts: Sequence[Contact]) -> None:
        """Add or replace contacts."""
        with self._locked([contact.contact_id for contact in contacts]):
            self.store.put_contacts(contacts)
            self._tell([contact.contact_id for contact in contacts])

    @contextmanager
    def watched(self) -> Iterator[Callable[[], set[str]]]:
        """Yield a function that gives the contacts with new events that may forbid mail.

        Each call gives the keys since the last call. A caller that decides asks again until
        nothing is new, and then answers: its first decisions may be out of date.
        """
        told: set[str] = set()

        def news() -> set[str]:
            with self._watch:
                found = set(told)
                told.clear()
            return found

        with self._watch:
            self._watching.append(told)
        try:
            yield news
        finally:
            with self._watch:
                self._watching = [other for other in self._watching if other is not told]

    def append_events(
        self,
        events: Sequence[Event],
        quarantined: Sequence[Quarantined] = (),
        kept: Callable[[Settled, int], Sequence[Quarantined]] = lambda settled, now_us: (),
    ) -> Appended:
        """Add events as of the moment the lock is held.

        On the server's own clock an event is recorded at that moment, and none has happened later.

        Args:
            events: recorded when their sender says.
            quarantined: rows to keep beside them.
            kept: further ones, for ids that turn out to be taken.
        """
        # Lock event ids too: two contacts may send events with one id at the same time.
        names = [name for event in events for name in (event.contact_id, event.event_id)]
        with self._locked(names):
            now_us = self.settings.clock()
            if not self.settings.simulated_clock:
                events = [
                    replace(event, occurred_us=min(event.occurred_us, now_us), recorded_us=now_us)
                    for event in events
                ]
            stored = self.store.events_of_ids([event.event_id for event in events])
            settled = settle(events, stored, self.forbidding)
            added = self.store.append_events(settled.fresh, [*quarantined, *kept(settled, now_us)])
            against = [e for e in events if self.forbidding.may(e.type, e.reply_class)]
            self._tell([event.contact_id for event in against])
        return Appended(added, len(events) - len(settled.conflicting) - added, settled)

    def _tell(self, contact_ids: Sequence[str]) -> None:
        with self._watch:
            if self._watching:
                names = {contact_key(name) for name in contact_ids}
                for told in self._watching:
                    told |= names

    def _settled(
        self, asks: Sequence[Ask], answers: list[Answer | None]
    ) -> tuple[list[int], dict[int, Decision]]:
        """Answer what needs no decision.

        Returns:
            The positions that need one, one per contact, and the decisions asked for again.
        """
        stored = self.store.decisions([ask.request_id for ask in asks if ask.request_id])
        exist = self.store.contacts([ask.contact_id for ask in asks])
        pending: list[int] = []
        again: dict[int, Decision] = {}
        decided: dict[str, str | None] = {}  # contact -> request id of its ask in this batch
        taken: dict[str | None, str] = {}  # request id -> contact
        for i, ask in enumerate(asks):
            contact, request = contact_key(ask.contact_id), ask.request_id
            before = stored.get(request) if request else None
            owner = before.contact_id if before else taken.get(request, contact)
            if contact not in exist:
                text = f"no contact {ask.contact_id!r} is known"
                answers[i] = Refusal(contact, "unknown_contact", text)
            elif owner != contact:
                text = f"request_id {request!r} belongs to another contact's decision"
                answers[i] = Refusal(contact, "request_id_taken", text)
            elif before is not None:
                again[i] = before
            elif contact not in decided:
                decided[contact] = request
                if request is not None:
                    taken[request] = contact
                pending.append(i)
            elif request is None or decided[contact] != request:
                text = "this request asks for the contact twice; one decision is made per bin"
                answers[i] = Refusal(contact, "already_decided", text)
        return pending, again

    def _say_again(
        self,
        asks: Sequence[Ask],
        again: Mapping[int, Decision],
        answers: list[Answer | None],
        now_us: int,
    ) -> None:
        """Answer with recorded decisions, as far as they may still be carried out."""
        if not again:
            return
        views = self._views([asks[i] for i in again], now_us)
        pairs = [
            (
                decision,
                replace(
                    view,
                    sends=_without(view.sends, decision.decision_id),
                    calls=_without(view.calls, decision.decision_id),
                ),
            )
            for decision, view in zip(again.values(), views, strict=True)
        ]
        rechecked = recheck(self.bundle, pairs, now_us, self.settings.default_zone)
        # A withdrawn decision stays withdrawn: the export says that it was never carried out.
        before = self.store.withdrawn([decision.decision_id for decision, _ in pairs])
        rechecked = [
            Refusal(answer.contact_id, "withdrawn", before[answer.decision_id])
            if isinstance(answer, Decision) and answer.decision_id in before
            else answer
            for answer in rechecked
        ]
        refused: list[tuple[str, str]] = []
        for i, answer in zip(again, rechecked, strict=True):
            answers[i] = answer
            if isinstance(answer, Refusal):
                refused.append((again[i].decision_id, answer.message))
                _log.warning("contact %r: %s", answer.contact_id, answer.message)
        if refused:
            self.store.withdraw(refused, now_us)

    @staticmethod
    def _repeated(asks: Sequence[Ask], answers: Sequence[Answer | None]) -> list[Answer]:
        """Within a batch, asks with one request id get one answer.

        Every answer spells its contact id as the ask does.
        """
        given = {
            (contact_key(ask.contact_id), ask.request_id): answer
            for ask, answer in zip(asks, answers, strict=True)
            if answer is not None
        }
        repeated = [
            given[contact_key(ask.contact_id), ask.request_id] if answer is None else answer
            for ask, answer in zip(asks, answers, strict=True)
        ]
        return [
            replace(answer, contact_id=ask.contact_id)
            for ask, answer in zip(asks, repeated, strict=True)
        ]

    def _views(self, asks: Sequence[Ask], now_us: int) -> list[ContactView]:
        ids = [contact_key(ask.contact_id) for ask in asks]
        journey, store = self.bundle.journey.name, self.store
        contacts, events = store.contacts(ids), store.events(ids)
        sends, calls = store.planned(ids)
        episodes = store.episodes(ids, journey, self.bundle.catalog)
        return [
            ContactView(
                decision_id=ask.request_id or str(uuid4()),
                contact=contacts[name],
                events=events.get(name, ()),
                episode=episodes.get(name) or self._opened(contacts[name], now_us),
                sends=sends.get(name, ()),
                calls=calls.get(name, ()),
                available=ask.available,
                acknowledged=not self.settings.simulated_clock,
            )
            for name, ask in zip(ids, asks, strict=True)
        ]

    def _opened(self, contact: Contact, now_us: int) -> Episode:
        """The episode that a first decision opens: it is anchored at that day's local midnight."""
        zone = np.array([contact.time_zone or self.settings.default_zone])
        local_us = int(local_microseconds(np.array([now_us], np.int64), zone)[0])
        anchor_us = local_us - local_us % DAY_US
        day = np.datetime64(anchor_us, "us").astype("datetime64[D]")
        return Episode(f"{self.bundle.journey.name}:{contact.contact_id}:{day}", anchor_us)

    @contextmanager
    def _locked(self, names: Sequence[str]) -> Iterator[None]:
        """Lock these contacts and events, always in one order to avoid a deadlock."""
        keys = {contact_key(name) for name in names}
        stripes = sorted({zlib.crc32(key.encode()) % _STRIPES for key in keys})
        with ExitStack() as stack:
            for stripe in stripes:
                stack.enter_context(self._locks[stripe])
            yield


def _without(planned: Sequence[Planned], decision_id: str) -> tuple[Planned, ...]:
    return tuple(one for one in planned if one.decision_id != decision_id)
