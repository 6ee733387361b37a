"""One contact's story, the latest first: what was decided, what happened, what was said."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from nurture_envs.guardrails import reason_names
from nurture_rl.serving.contacts.mail_permission import permission_of
from nurture_rl.serving.deciding.reason_words import REASON_WORDS
from nurture_rl.serving.names import contact_key
from nurture_rl.serving.records import (
    ConsentEntry,
    Decision,
    Event,
    Fate,
    JourneyEntry,
)
from nurture_rl.serving.storage.reading import StoreReader

_MOST = 500  # decisions, and as many events
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    """One thing that happened."""

    at: str  # ISO 8601
    kind: str  # decision, event, consent or journey
    what: str  # in a few words
    detail: str
    decision_id: str | None = None  # of a decision, which can be explained, or that an event names
    source: str | None = None  # who told of an event or gave consent


@dataclass(frozen=True, slots=True)
class Timeline:
    """What is known of one contact."""

    contact_id: str
    account_id: str | None
    time_zone: str | None
    reachable: bool  # whether mail may reach them now, whatever the journey
    against: list[str]  # what stands against mail, in words
    entries: list[TimelineEntry]  # the latest first
    cut: bool  # older decisions or events are left out


def timeline(store: StoreReader, contact_id: str, now_us: int) -> Timeline | None:
    """The story of a contact; None: no contact has that id.

    Args:
        store: read beside the work.
        contact_id: in any spelling.
        now_us: the moment, microseconds since 1970 UTC.

    Raises:
        StoreUnavailable: the store cannot be read.
    """
    key = contact_key(contact_id)
    contact = store.contacts([key]).get(key)
    if contact is None:
        return None
    decisions = store.decisions_of(key, _MOST)
    events = store.latest_events(key, _MOST)
    permission = permission_of(store.events([key]).get(key, ()))
    bits = permission.against(contact.consent, now_us)
    entries = [
        *_decided(decisions, store.fates([one.decision_id for one in decisions])),
        *map(_event, events),
        *map(_consent, store.consent_ledger([key])),
        *map(_moved, store.journey_entries(key)),
    ]
    return Timeline(
        contact_id=contact.spelling or contact.contact_id,
        account_id=contact.account_id,
        time_zone=contact.time_zone,
        reachable=not bits,
        against=[REASON_WORDS[name] for name in reason_names(bits)],
        entries=sorted(entries, key=lambda entry: entry.at, reverse=True),
        cut=max(len(decisions), len(events)) >= _MOST,
    )


def _decided(decisions: list[Decision], fates: dict[str, Fate]) -> Iterator[TimelineEntry]:
    for one in decisions:
        fate = fates.get(one.decision_id)
        yield TimelineEntry(
            iso(one.decided_us),
            "decision",
            one.action,
            "; ".join(_about(one, fate)),
            one.decision_id,
        )


def _about(one: Decision, fate: Fate | None) -> Iterator[str]:
    yield f"journey {one.journey}, arm {one.arm}, chance {one.propensity:.3g}"
    if one.scheduled_us is not None:
        yield f"to leave at {_said(one.scheduled_us)}"
    if fate is not None and fate.confirmed_us is not None:
        yield f"confirmed at {_said(fate.confirmed_us)}"
    if fate is not None and fate.withdrawn_us is not None:
        yield f"taken back at {_said(fate.withdrawn_us)}: {fate.reason}"
    if one.note:
        yield one.note


def _event(one: Event) -> TimelineEntry:
    named = {
        "message": one.message_id,
        "topic": one.topic,
        "page": one.page_category,
        "reply": one.reply_class,
        "stage": one.stage,
        "value": one.value,
    }
    told = [f"{name} {value}" for name, value in named.items() if value is not None]
    told += ["by a machine"] if one.is_machine else []
    reason = json.loads(one.properties).get("reason")
    told += [str(reason)] if reason else []
    at = iso(one.occurred_us)
    return TimelineEntry(at, "event", one.type, ", ".join(told), one.decision_id, one.source)


def _consent(one: ConsentEntry) -> TimelineEntry:
    about = [f"purpose {one.purpose}"]
    about += [f"topic {one.topic}"] if one.topic else []
    about += [f"channel {one.channel}"] if one.channel else []
    return TimelineEntry(
        iso(one.at_us), "consent", f"consent {one.word}", ", ".join(about), None, one.source
    )


def _moved(one: JourneyEntry) -> TimelineEntry:
    detail = f"journey {one.journey}: {one.why}"
    return TimelineEntry(iso(one.at_us), "journey", one.what, detail, None, one.who)


def _said(at_us: int) -> str:
    return f"{_EPOCH + timedelta(microseconds=at_us):%Y-%m-%d %H:%M} UTC"


def iso(at_us: int) -> str:
    """A moment as ISO 8601, UTC."""
    return (_EPOCH + timedelta(microseconds=at_us)).isoformat()
