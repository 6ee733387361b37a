"""Mails, complaints and hard bounces by family of recipient domains and UTC day.

A store that several servers write is counted once. After that only contacts are read again of whom
it has noted that their mail may count otherwise: what counts for a contact follows from their rows
alone, so a count that follows the notes is the one that reading everything would give.
"""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from nurture_envs.clock import DAY_US
from nurture_envs.crowd_limits import VolumeRamp
from nurture_rl.serving.contacts.recipient_domains import UNKNOWN, family_of, plain_domain
from nurture_rl.serving.names import EVERYBODY
from nurture_rl.serving.storage.reading import StoreReader

HARMS = ("complaint", "hard_bounce")

Families = Callable[[Sequence[str]], Mapping[str, str]]


@dataclass(slots=True)
class MailCounts:
    """What went, or will go, to families of domains, and what went wrong."""

    sends: dict[str, Counter[int]] = field(default_factory=lambda: defaultdict(Counter))
    # By family and type of event.
    harms: dict[tuple[str, str], Counter[int]] = field(default_factory=lambda: defaultdict(Counter))

    def add(self, one: CountedContact, times: int = 1) -> None:
        """Count what is counted for a contact, or take it back with `times` -1."""
        for day in one.sends:
            self.sends[one.family][day] += times
        for kind, day in one.harms:
            self.harms[one.family, kind][day] += times

    def copied(self) -> MailCounts:
        """The same counts, which change alone."""
        found = MailCounts()
        found.sends.update({family: Counter(days) for family, days in self.sends.items()})
        found.harms.update({kind: Counter(days) for kind, days in self.harms.items()})
        return found


@dataclass(frozen=True, slots=True)
class CountedContact:
    """What counts for one contact; days since 1970 UTC."""

    family: str
    sends: tuple[int, ...]
    harms: tuple[tuple[str, int], ...]  # type of event and day


def families_of(ramp: VolumeRamp | None) -> dict[str, str]:
    """A journey's own families by `plain_domain`."""
    return {plain_domain(domain): family for domain, family in (ramp.families if ramp else ())}


def families_in(store: StoreReader, own: Mapping[str, str]) -> Families:
    """Gives the family of each of some contacts' domains, by `contact_key`, as far as known."""

    def families(contact_ids: Sequence[str]) -> dict[str, str]:
        found = store.contacts(list(dict.fromkeys(contact_ids)))
        return {name: family_of(one.attributes, own) for name, one in found.items()}

    return families


def first_counted_us(ramp: VolumeRamp, now_us: int) -> int:
    """The earliest moment of a mail that may matter for the room of a day."""
    slow_days = ramp.slow_down.days if ramp.slow_down is not None else 0
    reach = (len(ramp.warm_up) + 1) * ramp.idle_days + max(ramp.trailing_days, slow_days)
    return now_us - reach * DAY_US


def counted(
    store: StoreReader, families: Families, since_us: int, names: Sequence[str] | None = None
) -> dict[str, CountedContact]:
    """What counts for contacts by what the store says now.

    Args:
        store: where decisions, complaints and bounces are.
        families: the family of each of some contacts.
        since_us: earlier mail is left out.
        names: contacts, by `contact_key`; None: all.
    """
    sends: dict[str, list[int]] = defaultdict(list)
    harms: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for contact, at_us in store.sends_since(since_us, names):
        sends[contact].append(at_us // DAY_US)
    for contact, kind, at_us in store.events_since(HARMS, since_us, names):
        harms[contact].append((kind, at_us // DAY_US))
    of = families(sorted(sends.keys() | harms.keys()))
    return {
        name: CountedContact(
            of.get(name, UNKNOWN),
            tuple(sends.get(name, ())),
            tuple(harms.get(name, ())) if name in of else (),  # of strangers nothing is judged
        )
        for name in sends.keys() | harms.keys()
    }


class KeptCounts:
    """Counts of a store that others write too. Any thread may ask."""

    def __init__(self, ramp: VolumeRamp, store: StoreReader, now_us: int) -> None:
        """Count once.

        Args:
            ramp: the limits that the counts are for.
            store: as of `counted`; it gives what is committed alone, for the rest may be undone.
            now_us: the moment, microseconds since 1970 UTC.
        """
        self._ramp, self._store = ramp, store
        self._families = families_in(store, families_of(ramp))
        self._door = threading.Lock()
        self._mark, self._since_us = "", 0
        self._begin(now_us)

    def as_of(self, now_us: int) -> MailCounts:
        """What is committed by now; who asks may count on in it."""
        with self._door:
            mark, changed = self._store.mail_changes(self._mark)
            if EVERYBODY in changed or first_counted_us(self._ramp, now_us) < self._since_us:
                self._begin(now_us)
            elif changed:
                self._follow(changed)
                self._mark = mark
            return self._counts.copied()

    def _begin(self, now_us: int) -> None:
        since_us = first_counted_us(self._ramp, now_us)
        mark, _ = self._store.mail_changes(None)  # what is told after it is read once more
        counts, contacts = MailCounts(), counted(self._store, self._families, since_us)
        for one in contacts.values():
            counts.add(one)
        self._counts, self._contacts = counts, contacts
        self._mark, self._since_us = mark, since_us

    def _follow(self, names: set[str]) -> None:
        found = counted(self._store, self._families, self._since_us, sorted(names))
        for name in names:
            if (before := self._contacts.pop(name, None)) is not None:
                self._counts.add(before, -1)
        for name, one in found.items():
            self._counts.add(one)
            self._contacts[name] = one
