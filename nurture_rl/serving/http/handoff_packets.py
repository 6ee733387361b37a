"""Packets of hand-offs, read from a store."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from nurture_envs.journey import Journey, Message
from nurture_rl.release.bundle import Bundle
from nurture_rl.serving.contacts.handoffs import (
    LOOKED_BACK_US,
    Handoff,
    handoffs,
    last_signals,
    opener,
    received,
    topics_of,
)
from nurture_rl.serving.contacts.reply_handoffs import PassedOn, answers_of, longest_us
from nurture_rl.serving.http.explaining import explained, recorded
from nurture_rl.serving.http.handoff_wire import (
    HandoffOut,
    HandoffStatus,
    OpenerOut,
    ReceivedMail,
    SignalOut,
)
from nurture_rl.serving.http.wire import iso
from nurture_rl.serving.names import contact_key
from nurture_rl.serving.records import Contact, Event, Fate
from nurture_rl.serving.storage.reading import StoreReader

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MOST_MAILS = 20  # of a contact, that are told


@dataclass(frozen=True, slots=True)
class HandoffDesk:
    """The hand-offs of a store at one moment."""

    store: StoreReader
    bundles: Sequence[Bundle]  # of the journeys; hand-offs of others are not told
    default_zone: str  # IANA zone of contacts who have none
    seed: int  # of the luck of decisions
    now_us: int  # microseconds since 1970 UTC
    found: Sequence[Handoff]
    contacts: Mapping[str, Contact]  # by `contact_key`
    events: Mapping[str, Sequence[Event]]  # likewise

    @classmethod
    def of(
        cls,
        store: StoreReader,
        bundles: Iterable[Bundle],
        default_zone: str,
        seed: int,
        now_us: int,
        only_open: bool = False,
    ) -> HandoffDesk:
        """Read how hand-offs stand; arguments as of the fields.

        Further ones:
            only_open: replies whose time is over need not be read, but for those of colleagues.
        """
        known = list(bundles)
        journeys = {one.journey.name: one.journey for one in known}
        ids = [name for name, _, _ in store.calls_since(now_us - LOOKED_BACK_US)]
        decisions, fates = store.decisions(ids), store.fates(ids)
        calls = [
            (one, journeys[one.journey], _taken_back(fates.get(one.decision_id)))
            for one in decisions.values()
            if one.journey in journeys
        ]
        since_us = now_us - LOOKED_BACK_US
        hours = [longest_us(journey) for journey in journeys.values()]
        read_us = now_us - max(hours, default=0) if only_open else since_us
        repliers = store.repliers_since(read_us) if any(hours) else []
        of = {*(contact_key(one.contact_id) for one, _, _ in calls), *repliers}
        if only_open and repliers:  # who joined a task of their account stays with it
            of |= _colleagues(store, of) & {*store.repliers_since(since_us)}
        names = list(of)
        contacts, events, passes = store.contacts(names), store.events(names), store.passes(names)

        def of_replies(name: str) -> list[Journey]:
            """Journeys that the contact was in, the last one first, then the others."""
            own = [row.journey for row in reversed(passes.get(name, ()))]
            return [journeys[one] for one in dict.fromkeys((*own, *journeys)) if one in journeys]

        found = handoffs(calls, contacts, events, default_zone, of_replies)
        recent = [one for one in found if since_us <= one.opened_us <= now_us]
        return cls(store, known, default_zone, seed, now_us, recent, contacts, events)

    def tasks(self, status: HandoffStatus) -> list[Handoff]:
        """Those of a status that are a task of their own, the oldest first."""
        return [
            one for one in self.found if one.joined is None and one.status(self.now_us) == status
        ]

    def named(self, handoff_id: str) -> Handoff | None:
        """The one of an id; None: there is none."""
        return next((one for one in self.found if one.handoff_id == handoff_id), None)

    def packets(self, some: Iterable[Handoff]) -> Iterator[HandoffOut]:
        """The packets of hand-offs, one after the other, for each takes its time."""
        catalogs = self.store.catalogs()
        for one in some:
            yield self._packet(one, catalogs)

    def _packet(self, one: Handoff, catalogs: Mapping[str, tuple[str, ...]]) -> HandoffOut:
        journey, key = self._journey(one), contact_key(one.contact_id)
        events = self.events.get(key, ())
        signals = last_signals(events, one.opened_us)
        topics, mails = topics_of(signals), self._mails(events)
        day = (_EPOCH + timedelta(microseconds=self.now_us)).date()
        first = opener(journey, topics, [mail.message or "" for mail in mails], day)
        return HandoffOut(
            handoff_id=one.handoff_id,
            contact_id=one.contact_id,
            account_id=self.contacts[key].account_id,
            journey=one.journey,
            status=one.status(self.now_us),
            opened_by=one.opened_by.signal if isinstance(one.opened_by, PassedOn) else "escalation",
            opened_at=iso(one.opened_us) or "",
            due_at=iso(one.due_us),
            answered_at=iso(one.answer.occurred_us) if one.answer else None,
            answered_by=one.answer.type if one.answer else None,
            withdrawn_because=one.withdrawn,
            joined=one.joined,
            colleagues=list(one.colleagues),
            why=self._why(one, catalogs),
            signals=[_signal(event) for event in signals],
            topics=topics,
            messages=mails[:_MOST_MAILS],
            opener=None if first is None else _opener(first),
            answers=list(answers_of(journey)),
        )

    def _why(self, one: Handoff, catalogs: Mapping[str, tuple[str, ...]]) -> list[str]:
        """Why now, in plain words."""
        if isinstance(one.opened_by, PassedOn):
            return _reply_in_words(one.opened_by, self._journey(one))
        record = recorded(self.store, one.handoff_id, self.default_zone, self.seed)
        return explained(record, self.bundles, catalogs, cards=False).text if record else []

    def _journey(self, one: Handoff) -> Journey:
        return next(b.journey for b in self.bundles if b.journey.name == one.journey)

    def _mails(self, events: Sequence[Event]) -> list[ReceivedMail]:
        """Mails that a contact got; a webhook names its own ids, so the decision says which."""
        sent = received(events, self.now_us)
        made = self.store.decisions([one.decision_id for one in sent if one.decision_id])
        found = []
        for one in sent:
            decision = made.get(one.decision_id or "")
            told = decision.action.removeprefix("send:").rpartition("@")[0] if decision else None
            found.append(
                ReceivedMail(iso(one.occurred_us) or "", told or one.message_id, one.topic)
            )
        return found


def _colleagues(store: StoreReader, names: Iterable[str]) -> set[str]:
    """All contacts of the accounts of some."""
    accounts = sorted(set(store.accounts_of(list(names)).values()))
    return {one for some in store.members(accounts).values() for one in some}


def _reply_in_words(one: PassedOn, journey: Journey) -> list[str]:
    reply, rules = one.reply, journey.guardrails.handoffs
    about = f" about {reply.topic}" if reply.topic else ""
    kind = f"a {reply.reply_class}" if reply.reply_class else "something"
    said = f"Replied at {iso(reply.occurred_us)} with {kind}{about}, which a person answers."
    rule = next((r for r in rules.replies if r.signal == one.signal), None) if rules else None
    if rule is None or rule.times == 1:
        return [said]
    return [said, f"It is one of {rule.times} or more within {rule.within_hours:g} hours."]


def _opener(one: Message) -> OpenerOut:
    return OpenerOut(one.id, one.topic, one.offer, one.call_to_action, list(one.blocks))


def _taken_back(fate: Fate | None) -> str | None:
    return None if fate is None or fate.withdrawn_us is None else fate.reason or "withdrawn"


def _signal(event: Event) -> SignalOut:
    return SignalOut(
        iso(event.occurred_us) or "",
        event.type,
        event.topic,
        event.page_category,
        event.reply_class,
    )
