"""Limits of all contacts together: inventories, salespeople, mails a day to a family of domains.

What was decided counts from its decision on. Decisions that may use up what is left are made one
after the other, so that no requests at once overrun a limit.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from nurture_envs.actions import ActionCatalog
from nurture_envs.clock import DAY_US, HOUR_US
from nurture_envs.crowd_limits import SellerCapacity
from nurture_envs.guardrails import Reason
from nurture_envs.journey import Journey
from nurture_rl.serving.contacts.accounts import moments_of
from nurture_rl.serving.contacts.facts import Known
from nurture_rl.serving.contacts.mail_counts import (
    KeptCounts,
    MailCounts,
    counted,
    families_in,
    families_of,
    first_counted_us,
)
from nurture_rl.serving.contacts.mail_volume import MailVolume
from nurture_rl.serving.contacts.recipient_domains import family_of
from nurture_rl.serving.contacts.stock import Decide, Stock, limited_offers
from nurture_rl.serving.names import contact_key
from nurture_rl.serving.records import Answer, Contact, ContactView, CrowdFacts, Decision, Event
from nurture_rl.serving.storage.store import Store

_DISORDER_US = HOUR_US  # requests at once look at moments that are in no strict order


class Crowd:
    """The shared limits of a journey over one store; first come, first served."""

    def __init__(
        self, journey: Journey, store: Store, now_us: int, mail: MailCounts | None = None
    ) -> None:
        """Begin with what the store counts.

        Args:
            journey: its limits, or none.
            store: what was decided and reported, and where the audit is kept.
            now_us: the moment, microseconds since 1970 UTC.
            mail: its counts, which change from now on; None: they are read, if there is a limit.
        """
        ramp, sellers = journey.guardrails.volume, journey.guardrails.seller_capacity
        self._store, self._lock = store, threading.Lock()
        self._journey, self.limited = journey.name, has_limits(journey)
        self._stock = Stock(journey, store)
        self._own = families_of(ramp)
        self._families = families_in(store, self._own)
        # Of contacts whose domain became another: until when they had one of which family.
        self._moved: dict[str, list[tuple[int, str]]] = {}
        self._mail: MailVolume | None = None
        if ramp is not None:
            counts = mail or MailCounts()
            since_us = first_counted_us(ramp, now_us)
            for one in () if mail else counted(store, self._families, since_us).values():
                counts.add(one)
            self._mail = MailVolume(ramp, store, self._families, counts)
        self._calls = None if sellers is None else Calls(sellers, store, now_us)

    def shared(
        self,
        views: Sequence[ContactView],
        now_us: int,
        decide: Decide,
        beside: Sequence[Decision] = (),
    ) -> list[Answer]:
        """Decide for contacts, never beyond what is left.

        Args:
            views: the contacts, [n].
            now_us: the moment, microseconds since 1970 UTC.
            decide: an answer per contact, given the sends left by the name of the offer.
            beside: decisions of the same request in other journeys; they were seen here.
        """
        if self._mail is None and self._calls is None:
            return self._stock.shared(views, decide)
        with self._lock:
            families = [family_of(view.contact.attributes, self._own) for view in views]
            if self._mail is not None:
                self._mail.look(set(families), now_us)
            answers: list[Answer] = []
            whole = range(len(views))
            rounds = [[i] for i in whole] if self._is_scarce(families, now_us) else [[*whole]]
            for some in rounds:
                told = self._told([views[i] for i in some], [families[i] for i in some], now_us)
                made = self._stock.shared(told, decide)
                answers += made
                self._count(made, [families[i] for i in some], 1)
            return answers

    def _is_scarce(self, families: Sequence[str], now_us: int) -> bool:
        """Whether something that is left now may run out among these contacts."""
        calls = self._calls is not None and 0 < self._calls.left(now_us) < len(families)
        return calls or (self._mail is not None and self._mail.is_scarce(families, now_us))

    def _told(
        self, views: Sequence[ContactView], families: Sequence[str], now_us: int
    ) -> list[ContactView]:
        """The contacts with what is left to them."""
        full, mail = self._calls is not None and self._calls.left(now_us) <= 0, self._mail
        facts = {
            family: CrowdFacts(mail.full_days(family, now_us) if mail else frozenset(), full)
            for family in set(families)
        }
        pairs = zip(views, families, strict=True)
        return [
            view if view.crowd == facts[family] else replace(view, crowd=facts[family])
            for view, family in pairs
        ]

    def moved(
        self, before: Mapping[str, Contact], contacts: Sequence[Contact], now_us: int
    ) -> None:
        """Remember of which family contacts were whose domain is another one now.

        Args:
            before: contacts that were known, by `contact_key`.
            contacts: as they are put.
            now_us: the moment, microseconds since 1970 UTC.
        """
        for one in contacts if self._mail is not None else ():
            name = contact_key(one.contact_id)
            if name not in before:
                continue
            family = family_of(before[name].attributes, self._own)
            if family != family_of(one.attributes, self._own):
                with self._lock:
                    self._moved.setdefault(name, []).append((now_us, family))

    def see(self, decisions: Sequence[Decision]) -> None:
        """Count new decisions of other journeys, which are stored."""
        self._again(decisions, 1)

    def give_back(self, decisions: Sequence[Decision]) -> None:
        """Undo what decisions of any journey took, once for each."""
        self._stock.give_back(self._of_journey(decisions))
        self._again(decisions, -1)

    def take_again(self, decisions: Sequence[Decision], events: Sequence[Event]) -> None:
        """Take what was given back for sends that went all the same, and count what went wrong.

        Args:
            decisions: these sends, of any journey.
            events: new ones.
        """
        self._stock.take_again(self._of_journey(decisions))
        self._again(decisions, 1)
        if self._mail is not None:
            with self._lock:
                self._mail.went_wrong(
                    [(contact_key(e.contact_id), e.type, e.occurred_us) for e in events]
                )

    def _of_journey(self, decisions: Sequence[Decision]) -> list[Decision]:
        """Those that may hold a piece of an inventory, which belongs to its journey."""
        return [one for one in decisions if one.journey == self._journey]

    def _again(self, decisions: Sequence[Decision], times: int) -> None:
        if decisions and (self._mail is not None or self._calls is not None):
            families = self._families([decision.contact_id for decision in decisions])
            with self._lock:
                of = [self._counted_as(one, families) for one in decisions]
                self._count(decisions, of, times)

    def _counted_as(self, decision: Decision, families: Mapping[str, str]) -> str:
        """The family that a decision's mail was counted for."""
        name = contact_key(decision.contact_id)
        was = (
            family for until, family in self._moved.get(name, ()) if decision.decided_us <= until
        )
        return next(was, families.get(name, ""))

    def _count(self, answers: Sequence[Answer], families: Sequence[str], times: int) -> None:
        for answer, family in zip(answers, families, strict=True):
            if not isinstance(answer, Decision):
                continue
            if answer.scheduled_us is not None and self._mail is not None:
                self._mail.count(family, answer.scheduled_us, times)
            elif answer.action == "escalate" and self._calls is not None:
                self._calls.count(answer, times)


class SharedCrowd:
    """The limits of a store that several processes write: counted there whenever it matters.

    Decisions under such limits are made one after the other, in all processes and journeys: mail
    and calls count whichever journey they are of, and no process knows what journeys others serve.
    """

    def __init__(self, journey: Journey, store: Store, now_us: int, is_alone: bool = True) -> None:
        """Arguments as of `crowd_of`."""
        ramp = journey.guardrails.volume
        self._journey, self._store, self._is_alone = journey, store, is_alone
        self.limited = has_limits(journey)
        self._mail = None if ramp is None else KeptCounts(ramp, store.beside(), now_us)

    def shared(
        self,
        views: Sequence[ContactView],
        now_us: int,
        decide: Decide,
        beside: Sequence[Decision] = (),
    ) -> list[Answer]:
        """As of `Crowd`; the others wait until the decisions are stored.

        What is `beside` is stored, and not committed yet: the kept counts do not have its mail.
        """
        if not self.limited:
            return decide(views, {})
        held = self._store.limits_held() if self._is_alone else nullcontext()
        with held:
            counts = None if self._mail is None else self._mail.as_of(now_us)
            crowd = Crowd(self._journey, self._store, now_us, counts)
            crowd.see([decision for decision in beside if decision.scheduled_us is not None])
            return crowd.shared(views, now_us, decide)

    def see(self, decisions: Sequence[Decision]) -> None:
        """Nothing: what is stored is counted."""

    def moved(
        self, before: Mapping[str, Contact], contacts: Sequence[Contact], now_us: int
    ) -> None:
        """Nothing: who is where is read anew."""

    def give_back(self, decisions: Sequence[Decision]) -> None:
        """Nothing: what is not stored, or withdrawn, is not counted."""

    def take_again(self, decisions: Sequence[Decision], events: Sequence[Event]) -> None:
        """Nothing: what went all the same, and what went wrong, is counted."""


def has_limits(journey: Journey) -> bool:
    """Whether a journey limits all its contacts together."""
    rails = journey.guardrails
    return bool(limited_offers(journey) or rails.volume or rails.seller_capacity)


def crowd_of(
    journey: Journey, store: Store, now_us: int, is_alone: bool = True
) -> Crowd | SharedCrowd:
    """The shared limits of a journey over a store.

    Args:
        journey: its limits, or none.
        store: what was decided and reported.
        now_us: the moment, microseconds since 1970 UTC.
        is_alone: no other journey is decided for in this process; where one is, whoever decides
            keeps the others waiting.
    """
    if store.is_shared:
        return SharedCrowd(journey, store, now_us, is_alone)
    return Crowd(journey, store, now_us)


class Calls:
    """Escalations of the last 24 hours, and those that salespeople still work on."""

    def __init__(self, settings: SellerCapacity, store: Store, now_us: int) -> None:
        self._settings, self._store = settings, store
        self._made: dict[str, int] = {}
        self._open: dict[str, tuple[str, int]] = {}
        self._read(now_us)

    def _read(self, now_us: int) -> None:
        """Add what the store counts at a moment."""
        days = max(1, self._settings.open_days)
        found = self._store.calls_since(now_us - days * DAY_US)
        self._made |= {name: at_us for name, _, at_us in found}
        self._open |= {name: (contact, at_us) for name, contact, at_us in found}
        self._looked_us = now_us

    def left(self, now_us: int) -> int:
        """How many more escalations salespeople take now."""
        limits, rooms = self._settings, [1 << 30]
        if now_us < self._looked_us - _DISORDER_US:  # the clock was set back: old ones are new
            self._read(now_us)
        self._looked_us = max(self._looked_us, now_us)
        if limits.per_day is not None:
            first = now_us - DAY_US
            self._made = {k: at for k, at in self._made.items() if at > first - _DISORDER_US}
            rooms.append(limits.per_day - sum(at > first for at in self._made.values()))
        if limits.open is not None:
            first = now_us - limits.open_days * DAY_US
            self._open = {k: one for k, one in self._open.items() if one[1] > first - _DISORDER_US}
            count = self._count_open(first)
            if count >= limits.open and limits.closed_by:
                self._close()
                count = self._count_open(first)
            rooms.append(limits.open - count)
        return min(rooms)

    def _count_open(self, first_us: int) -> int:
        return sum(at_us > first_us for _, at_us in self._open.values())

    def count(self, decision: Decision, times: int) -> None:
        """Count an escalation, or take it back with `times` -1."""
        name = decision.decision_id
        if times > 0:
            self._made[name] = decision.decided_us
            self._open[name] = (contact_key(decision.contact_id), decision.decided_us)
        else:
            self._made.pop(name, None)
            self._open.pop(name, None)

    def _close(self) -> None:
        """Let go of what events closed since."""
        events = self._store.events([contact for contact, _ in self._open.values()])
        closing = set(self._settings.closed_by)
        last = {
            contact: max((e.occurred_us for e in told if e.type in closing), default=-1)
            for contact, told in events.items()
        }
        self._open = {k: one for k, one in self._open.items() if last.get(one[0], -1) <= one[1]}


def against_crowd(
    catalog: ActionCatalog,
    views: Sequence[ContactView],
    facts: Known,
    reasons: NDArray[np.int64],
    now_us: NDArray[np.int64],
) -> NDArray[np.int64]:
    """The reasons against actions, with those of all contacts together.

    Args:
        catalog: the actions.
        views: the contacts, [n].
        facts: of the contacts.
        reasons: bits of `Reason`, [n, a].
        now_us: the moment of each, microseconds since 1970 UTC, [n].
    """
    if all(view.crowd == CrowdFacts() for view in views):
        return reasons
    wide = reasons.copy()
    sends, calls = catalog.routed("send"), catalog.routed("escalate")
    for slot in np.unique(catalog.slots[sends]).tolist():
        days = moments_of(int(slot), facts, now_us) // DAY_US
        full = np.array([day in v.crowd.full_days for day, v in zip(days, views, strict=True)])
        wide[np.ix_(full, sends & (catalog.slots == slot))] |= int(Reason.VOLUME_RAMP)
    busy = np.array([view.crowd.calls_full for view in views])
    wide[np.ix_(busy, calls)] |= int(Reason.SELLER_CAPACITY)
    return wide
