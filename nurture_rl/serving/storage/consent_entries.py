"""What enters the consent ledger: every change of what a contact allows."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace

from nurture_envs.stops import Say, say_of
from nurture_rl.serving.names import contact_key
from nurture_rl.serving.records import ConsentEntry, Contact, Event, Preferences

PURPOSE = "marketing"
_WORDS: Mapping[Say | None, str] = {
    Say.STOP: "objected",
    Say.WITHDRAWN: "withdrawn",
    Say.SNOOZE: "paused",
    Say.CONSENT: "given",
}


def said_in(events: Iterable[Event]) -> list[ConsentEntry]:
    """The lines of what new events say; each event proves its own."""
    found = [(event, _WORDS.get(say_of(event.type, event.reply_class))) for event in events]
    return [
        ConsentEntry(
            *(e.occurred_us, e.contact_id, e.source, PURPOSE, word),
            topic=f"group {group_of(e)}" if word == "given" and group_of(e) is not None else None,
            proof=e.event_id,
        )
        for e, word in found
        if word is not None
    ]


def changed(
    before: Mapping[str, Contact], contacts: Iterable[Contact], at_us: int
) -> list[ConsentEntry]:
    """The lines of contacts whose consent is another one than before.

    Args:
        before: contacts that were known, by `contact_key`.
        contacts: as they are put.
        at_us: the moment, microseconds since 1970 UTC.
    """
    had = {name: contact.consent for name, contact in before.items()}
    entries = []
    for contact in contacts:
        key = contact_key(contact.contact_id)
        if contact.consent != had.get(key, False):
            word = "given" if contact.consent else "withdrawn"
            entries.append(ConsentEntry(at_us, key, "contacts", PURPOSE, word))
        had[key] = contact.consent
    return entries


def preferred(blank: ConsentEntry, before: Preferences, after: Preferences) -> list[ConsentEntry]:
    """The lines of preferences that changed.

    Args:
        blank: who says so and when; word, topic and channel are filled in.
        before: what was preferred.
        after: what is from now on.
    """
    topics = _refusals(before.refused_topics, after.refused_topics)
    channels = _refusals(before.refused_channels, after.refused_channels)
    entries = [replace(blank, topic=topic, word=word) for topic, word in topics]
    entries += [replace(blank, channel=channel, word=word) for channel, word in channels]
    if before.only_topics != after.only_topics:
        only = after.only_topics
        wanted = ["any topic"] if only is None else [f"only: {', '.join(sorted(only))}"]
        entries += [replace(blank, word=word) for word in wanted]
    if before.per_week != after.per_week:
        most = after.per_week
        word = "no limit" if most is None else f"at most {most} a week"
        entries.append(replace(blank, word=word))
    if before.paused_until_us != after.paused_until_us:
        entries.append(replace(blank, word="paused" if after.paused_until_us else "not paused"))
    return entries


def _refusals(before: frozenset[str], after: frozenset[str]) -> list[tuple[str, str]]:
    gone = [(name, "allowed") for name in sorted(before - after)]
    return gone + [(name, "refused") for name in sorted(after - before)]


def group_of(word: Event) -> str | None:
    """The group of mail that a word is about, as its sender calls it; None: all mail.

    It is the property `group`. A word against mail forbids all of it, whatever its group.
    """
    if '"group"' not in word.properties:
        return None
    group = json.loads(word.properties).get("group")
    return None if group is None else str(group)
