"""Reading, deciding and writing for one contact at a time, whatever arrives at once."""

from __future__ import annotations

import threading
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from uuid import uuid4

import numpy as np

from nurture_envs.clock import DAY_US, local_microseconds
from nurture_rl.release.bundle import Bundle
from nurture_rl.serving.decide import decide
from nurture_rl.serving.records import (
    Answer,
    Contact,
    ContactView,
    Decision,
    Episode,
    Event,
    Refusal,
)
from nurture_rl.serving.store import Store

_STRIPES = 64


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """How a server reads the clock and treats contacts without a zone."""

    default_zone: str
    simulated_clock: bool  # requests may say what time it is
    clock: Callable[[], int]  # microseconds since 1970 UTC
    seed: int | None = None  # None: the store's own


@dataclass(frozen=True, slots=True)
class Ask:
    """A decision asked for."""

    contact_id: str
    request_id: str | None = None  # becomes the decision's id; the same id gives the same answer
    available: bool | None = None


class Service:
    """A bundle deciding over a store.

    Everything about a contact happens under that contact's lock, so that two requests at once
    cannot both decide on facts that the other changes, and an event acknowledged before a
    decision is known to it.
    """

    def __init__(self, bundle: Bundle, store: Store, settings: ServerSettings) -> None:
        self.bundle = bundle
        self.store = store
        self.settings = settings
        self.seed = store.seed if settings.seed is None else settings.seed
        self._locks = [threading.Lock() for _ in range(_STRIPES)]

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
            pending = self._settled(asks, answers)
            views = self._views([asks[i] for i in pending], now_us)
            found = decide(self.bundle, views, now_us, self.seed, self.settings.default_zone)
            for i, answer in zip(pending, found, strict=True):
                answers[i] = answer
            fresh = [answer for answer in found if isinstance(answer, Decision)]
            if fresh:
                self.store.append_decisions(fresh)
        return self._repeated(asks, answers)

    def put_contacts(self, contacts: Sequence[Contact]) -> None:
        """Add or replace contacts."""
        with self._locked([contact.contact_id for contact in contacts]):
            self.store.put_contacts(contacts)

    def append_events(self, contact_ids: Sequence[str], make: Callable[[int], list[Event]]) -> int:
        """Add events as of the moment the lock is held.

        Args:
            contact_ids: of the events that `make` will give.
            make: events as recorded at a moment, microseconds.

        Returns:
            How many were new.
        """
        with self._locked(contact_ids):
            return self.store.append_events(make(self.settings.clock()))

    def _settled(self, asks: Sequence[Ask], answers: list[Answer | None]) -> list[int]:
        """Answer what needs no decision; returns the positions that do, one per contact."""
        stored = self.store.decisions([ask.request_id for ask in asks if ask.request_id])
        exist = self.store.contacts([ask.contact_id for ask in asks])
        pending: list[int] = []
        decided: dict[str, str | None] = {}  # contact -> request id of its ask in this batch
        taken: dict[str | None, str] = {}  # request id -> contact
        for i, ask in enumerate(asks):
            contact, request = ask.contact_id, ask.request_id
            before = stored.get(request) if request else None
            owner = before.contact_id if before else taken.get(request, contact)
            if contact not in exist:
                answers[i] = Refusal(contact, "unknown_contact", f"no contact {contact!r} is known")
            elif owner != contact:
                text = f"request_id {request!r} belongs to another contact's decision"
                answers[i] = Refusal(contact, "request_id_taken", text)
            elif before is not None:
                answers[i] = before
            elif contact not in decided:
                decided[contact] = request
                if request is not None:
                    taken[request] = contact
                pending.append(i)
            elif request is None or decided[contact] != request:
                text = "this request asks for the contact twice; one decision is made per bin"
                answers[i] = Refusal(contact, "already_decided", text)
        return pending

    @staticmethod
    def _repeated(asks: Sequence[Ask], answers: Sequence[Answer | None]) -> list[Answer]:
        """Give an ask that repeats another's request id within a batch the other's answer."""
        given = {
            (ask.contact_id, ask.request_id): answer
            for ask, answer in zip(asks, answers, strict=True)
            if answer is not None
        }
        return [
            given[ask.contact_id, ask.request_id] if answer is None else answer
            for ask, answer in zip(asks, answers, strict=True)
        ]

    def _views(self, asks: Sequence[Ask], now_us: int) -> list[ContactView]:
        ids = [ask.contact_id for ask in asks]
        journey, store = self.bundle.journey.name, self.store
        contacts, events, sends = store.contacts(ids), store.events(ids), store.sends(ids)
        episodes = store.episodes(ids, journey, self.bundle.catalog)
        return [
            ContactView(
                decision_id=ask.request_id or str(uuid4()),
                contact=contacts[ask.contact_id],
                events=events.get(ask.contact_id, ()),
                episode=episodes.get(ask.contact_id)
                or self._opened(contacts[ask.contact_id], now_us),
                sends=sends.get(ask.contact_id, ()),
                available=ask.available,
            )
            for ask in asks
        ]

    def _opened(self, contact: Contact, now_us: int) -> Episode:
        """The episode that a first decision opens: it is anchored at that day's local midnight."""
        zone = np.array([contact.time_zone or self.settings.default_zone])
        local_us = int(local_microseconds(np.array([now_us], np.int64), zone)[0])
        anchor_us = local_us - local_us % DAY_US
        day = np.datetime64(anchor_us, "us").astype("datetime64[D]")
        return Episode(f"{self.bundle.journey.name}:{contact.contact_id}:{day}", anchor_us)

    @contextmanager
    def _locked(self, contact_ids: Sequence[str]) -> Iterator[None]:
        """Hold these contacts' locks; always taken in one order, so nobody waits in a circle."""
        stripes = sorted({zlib.crc32(name.encode()) % _STRIPES for name in contact_ids})
        with ExitStack() as stack:
            for stripe in stripes:
                stack.enter_context(self._locks[stripe])
            yield
