"""Servers of one store count mail by what changed; a count of everything gives the same."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import replace
from typing import Any

import pytest

from nurture_envs.clock import DAY_US
from nurture_envs.crowd_limits import VolumeRamp
from nurture_rl.release.bundle import Bundle
from nurture_rl.serving.contacts.mail_counts import (
    KeptCounts,
    MailCounts,
    counted,
    families_in,
    families_of,
    first_counted_us,
)
from nurture_rl.serving.deciding.decide import decide
from nurture_rl.serving.records import Decision, Withdrawal
from nurture_rl.serving.storage.store import Store
from nurture_rl.serving.upkeep.erasing import erase_contacts
from nurture_rl.serving.upkeep.retention import RetentionOptions, retention
from tests.postgres import PostgresServer
from tests.unit.serving.contacts import MIDNIGHT, ZONE, contact, event, view

RAMP = VolumeRamp(warm_up=(5, 10), families=(("acme.example", "acme"),))
NOW = MIDNIGHT - 900 * DAY_US  # past, or retention would erase nobody
NAMES = [f"p{i}" for i in range(8)]
DOMAINS = ("gmail.com", "acme.example", "other.example", None)


class Undone(Exception):
    """Ends a transaction without a commit."""


class Story:
    """Two servers' stores, and what may happen at either, by lot."""

    def __init__(self, template: Decision, url: str, seed: int) -> None:
        self.template, self.url, self.rng = template, url, random.Random(seed)
        self.stores = Store(url), Store(url)
        self.made: list[Decision] = []
        self.steps = self.sent = 0

    def close(self) -> None:
        for store in self.stores:
            store.close()

    def step(self) -> str:
        kinds = ("put", "send", "send", "withdraw", "tell", "tell", "undone")
        self.steps += 1
        kind = "erase" if self.steps % 30 == 0 else self.rng.choice(kinds)
        getattr(self, kind)(self.rng.choice(self.stores), self.rng.choice(NAMES))
        return kind

    def put(self, store: Store, name: str) -> None:
        store.put_contacts([contact(name, attributes={"email_domain": self.rng.choice(DOMAINS)})])

    def send(self, store: Store, name: str) -> None:
        at_us = NOW - self.rng.randrange(100) * DAY_US
        self.sent += 1
        key = f"d{self.sent}"
        scheduled = self.rng.choice([at_us, at_us, None])
        one = replace(self.template, decision_id=key, contact_id=name)
        one = replace(one, episode_id=name, step=self.sent)
        one = replace(one, decided_us=at_us, scheduled_us=scheduled)
        store.append_decisions([one])
        self.made.append(one)

    def withdraw(self, store: Store, name: str) -> None:
        if self.made:
            one = self.rng.choice(self.made)
            store.settle([Withdrawal(one, NOW, "why", self.rng.random() < 0.7)], {})

    def tell(self, store: Store, name: str) -> None:
        kind = self.rng.choice(["sent", "open", "complaint", "hard_bounce", "page_view"])
        of = self.rng.choice([None, *(one.decision_id for one in self.made)])
        at_us = NOW - self.rng.randrange(100) * DAY_US
        store.append_events([event(kind, at_us, name, event_id=f"e{self.steps}", decision_id=of)])

    def undone(self, store: Store, name: str) -> None:
        with suppress(Undone), store.held(NAMES):
            made = list(self.made)
            for kind in (self.send, self.withdraw, self.tell, self.put):
                kind(store, name)
            self.made = made
            raise Undone

    def erase(self, store: Store, name: str) -> None:
        erase_contacts(self.url, [name], "asked for")
        self.made = [one for one in self.made if one.contact_id != name]


def plain(counts: MailCounts) -> tuple[Mapping[Any, Counter[int]], ...]:
    """Without what is 0."""
    return tuple(
        {key: +days for key, days in of.items() if +days} for of in (counts.sends, counts.harms)
    )


def anew(store: Store, now_us: int) -> MailCounts:
    found, families = MailCounts(), families_in(store, families_of(RAMP))
    for one in counted(store, families, first_counted_us(RAMP, now_us)).values():
        found.add(one)
    return found


@pytest.fixture(scope="module")
def template(bundle: Bundle) -> Decision:
    (made,) = decide(bundle, [view()], MIDNIGHT, 3, ZONE)
    assert isinstance(made, Decision)
    return made


@pytest.mark.parametrize("seed", range(4))
def test_counts_that_follow_changes_are_those_of_a_count_of_everything(
    template: Decision, postgres: PostgresServer, seed: int
) -> None:
    with closing(Story(template, postgres.fresh_url(), seed)) as story:
        kept = [KeptCounts(RAMP, store.beside(), NOW) for store in story.stores]
        seen = Counter[str]()
        for step in range(100):
            seen[story.step()] += 1
            one = kept[story.rng.randrange(2)].as_of(NOW)
            assert plain(one) == plain(anew(story.stores[0], NOW)), (step, seen)
            one.sends["google"][0] += 1  # what is asked for belongs to who asks
        assert len(seen) == 6
        days = (time.time_ns() // 1000 - NOW) // DAY_US + 20
        retention(RetentionOptions(story.url, older_than_days=days, apply=True))
        for own in kept:
            assert plain(own.as_of(NOW)) == plain(anew(story.stores[0], NOW))
        later = NOW + 400 * DAY_US
        assert plain(kept[0].as_of(later)) == plain(anew(story.stores[0], NOW))
        earlier = NOW - 40 * DAY_US  # the clock was set back: older mail counts
        assert plain(kept[0].as_of(earlier)) == plain(anew(story.stores[0], earlier))


def test_what_is_not_committed_is_not_counted_yet(
    template: Decision, postgres: PostgresServer
) -> None:
    with closing(Story(template, postgres.fresh_url(), 0)) as story:
        (store, other), one = story.stores, replace(template, scheduled_us=NOW)
        store.put_contacts([contact(attributes={"email_domain": "gmail.com"})])
        kept = KeptCounts(RAMP, store.beside(), NOW)
        with store.held(["ada"]):
            store.append_decisions([one])
            with other.held(["bob"]):  # a later transaction that ends before
                other.put_contacts([contact("bob")])
            assert not kept.as_of(NOW).sends["google"]
        assert sum(kept.as_of(NOW).sends["google"].values()) == 1


def test_only_contacts_that_changed_are_read_again(
    template: Decision, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(Story(template, postgres.fresh_url(), 0)) as story:
        store = story.stores[0]
        store.put_contacts([contact(name) for name in NAMES])
        for _ in range(40):
            story.send(store, story.rng.choice(NAMES[1:]))
        kept = KeptCounts(RAMP, store.beside(), NOW)
        asked: list[Any] = []
        real = store.beside().sends_since

        def sends_since(since_us: int, names: Any = None) -> list[tuple[str, int]]:
            asked.append(names)
            return real(since_us, names)

        monkeypatch.setattr(store.beside(), "sends_since", sends_since)
        kept.as_of(NOW)
        story.template = replace(template, scheduled_us=NOW)
        store.append_decisions([replace(story.template, decision_id="x", contact_id="p0")])
        store.append_events([event("page_view", NOW, "p3")])
        store.put_contacts([contact("p4", consent=False), contact("new")])
        kept.as_of(NOW)
        kept.as_of(NOW)
        assert asked == [["p0"]]
