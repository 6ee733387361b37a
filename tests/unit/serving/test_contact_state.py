"""A state stands for the events that it holds: every decision after it is the same, bit for bit."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
import pytest

from nurture_envs.actions import ActionCatalog
from nurture_envs.clock import DAY_US, HOUR_US, local_microseconds
from nurture_envs.features import FeatureSpec
from nurture_envs.guardrails import legal_actions
from nurture_envs.journey import Journey, Signal
from nurture_envs.journey_file import load_journey
from nurture_rl.serving.contacts.contact_state import Folding, folded
from nurture_rl.serving.contacts.facts import Known, known
from nurture_rl.serving.records import ContactView, Episode, Event, Planned
from nurture_rl.serving.storage.rows import state_of, state_row
from tests.unit.envs.spring_journey import spring
from tests.unit.serving.contacts import contact
from tests.unit.serving.mask_people import event_of

QUARTER = HOUR_US // 4
SPRING, AUTUMN, CHILE = (
    int(np.datetime64(day, "us").astype(np.int64))
    for day in ("2026-03-15", "2026-10-12", "2026-03-25")
)
# Clocks change while the contacts are watched: in Chile at midnight, on the island by half an hour.
PLACES = (
    ("Europe/Berlin", SPRING),
    ("Europe/Berlin", AUTUMN),
    ("America/Santiago", CHILE),
    ("Australia/Lord_Howe", CHILE),
)
WORDS = (
    ("unsubscribe", None),
    ("complaint", None),
    ("snoozed", None),
    ("consent_withdrawn", None),
    ("hard_bounce", None),
    ("reply", "negative"),
    ("reply", "out_of_office"),
    ("sent", "negative"),
    ("soft_bounce", None),
)


# Views read whole, the same with states, and the moments at which they are decided for.
Moments = tuple[list[ContactView], list[ContactView], list[int]]


@dataclass
class Life:
    """One contact, read twice: with all events, and with a state of those that were folded."""

    journey: Journey
    zone: str
    rng: np.random.Generator
    now_us: int
    whole: ContactView = field(init=False)
    short: ContactView = field(init=False)

    def __post_init__(self) -> None:
        local_us = local_microseconds(np.array([self.now_us]), np.array([self.zone]))[0]
        episode = Episode("e", int(local_us - local_us % DAY_US))
        person = contact("c", time_zone=self.zone)
        self.whole = self.short = ContactView("d", person, (), episode, ())

    def happens(self) -> None:
        """Some events come, late and twice, and a send is planned."""
        number = len(self.whole.events)
        new = [self._event(f"e{number + i}") for i in range(self.rng.integers(0, 5))]
        if new and self.rng.random() < 0.3:
            new.append(replace(new[0], event_id=f"e{number}-again"))
        plans: list[Planned] = []
        if self.rng.random() < 0.3:
            message = self.journey.messages[self.rng.integers(len(self.journey.messages))].id
            plans = [Planned(f"d{number}", self.now_us + 9 * QUARTER, message)]
        for name in ("whole", "short"):
            view = getattr(self, name)
            changed = {"events": (*view.events, *new), "sends": (*view.sends, *plans)}
            setattr(self, name, replace(view, **changed))

    def _event(self, name: str) -> Event:
        late = [0, 0, 1, 30, 300, 4000][self.rng.integers(6)]
        ahead = 100 if self.rng.random() < 0.02 else 0  # its time has not come
        at_us = self.now_us + (ahead - int(self.rng.integers(0, late + 1))) * QUARTER
        at_us += int(self.rng.integers(QUARTER))
        seen_us = self.now_us if self.rng.random() < 0.9 else at_us + 5 * QUARTER
        chance = self.rng.random()
        if chance < 0.15:
            kind, reply = WORDS[self.rng.integers(len(WORDS))]
            value = [None, 2.0, 400.0][self.rng.integers(3)]
            return Event(name, "c", at_us, seen_us, kind, reply_class=reply, value=value)
        if chance < 0.25:
            return Event(name, "c", at_us, seen_us, "consent_given")
        happened = replace(event_of(self.journey, self.rng, name, at_us), recorded_us=seen_us)
        if happened.value is not None:
            happened = replace(happened, value=float(self.rng.normal(0.0, 1e5)))
        if happened.type == "sent" and self.whole.sends and self.rng.random() < 0.7:
            named = self.whole.sends[self.rng.integers(len(self.whole.sends))]
            happened = replace(happened, decision_id=named.decision_id)
        return happened

    def fold(self) -> None:
        """Put what can be into the state, and the state on disk and back."""
        folding = Folding.of(self.journey)
        view = folded(folding, self.short, self.zone, self.now_us)
        if view.state is not None:
            kept = state_of(state_row("c", "j", folding.key, view.state))
            view = replace(view, state=kept)
        self.short = view


def lived(journey: Journey, place: int, seed: int) -> Moments:
    """A contact at sixty moments, read whole and with a state, and the moments."""
    zone, began_us = PLACES[place]
    life = Life(journey, zone, np.random.default_rng([place, seed]), began_us)
    whole, short, moments = [], [], []
    for _ in range(60):
        life.happens()
        if life.rng.random() < 0.4:
            life.fold()
        whole.append(life.whole)
        short.append(life.short)
        moments.append(life.now_us)
        life.now_us += int(life.rng.integers(1, 200)) * QUARTER
    return whole, short, moments


def many_lives(journey: Journey) -> Moments:
    """Two contacts at each place."""
    whole: list[ContactView] = []
    short: list[ContactView] = []
    moments: list[int] = []
    for place in range(len(PLACES)):
        for seed in range(2):
            parts = lived(journey, place, seed)
            whole += parts[0]
            short += parts[1]
            moments += parts[2]
    return whole, short, moments


def plain(found: Known) -> dict[str, Any]:
    """Every number that decisions come from."""
    parts = {one.name: getattr(found, one.name) for one in fields(found)}
    for name in ("past", "facts"):
        record = parts.pop(name)
        parts |= {f"{name}.{one.name}": getattr(record, one.name) for one in fields(record)}
    return parts


@pytest.mark.parametrize("name", ["spring", "inbound_lead", "re_engagement", "heartsteps"])
def test_facts_from_a_state_are_those_from_all_events(name: str) -> None:
    journey = spring() if name == "spring" else load_journey(name)
    whole, short, moments = many_lives(journey)
    spec, now_us = FeatureSpec.of(journey), np.array(moments, np.int64)
    expected = plain(known(journey, spec, whole, now_us, "UTC"))
    found = plain(known(journey, spec, short, now_us, "UTC"))
    for part, value in expected.items():
        np.testing.assert_array_equal(found[part], value, part)
    unread = sum(
        len(all_.events) - len(some.events) for all_, some in zip(whole, short, strict=True)
    )
    assert unread > 0.7 * sum(len(view.events) for view in whole)


def test_planned_mail_from_before_all_limits_forbids_nothing() -> None:
    journey = spring()
    _, views, moments = many_lives(journey)
    catalog, spec, now_us = ActionCatalog.of(journey), FeatureSpec.of(journey), np.array(moments)

    def seen(view: ContactView, since_us: int) -> ContactView:
        named = {event.decision_id for event in view.events}
        kept = [p for p in view.sends if p.at_us >= since_us or p.decision_id in named]
        return replace(view, sends=tuple(kept))

    def reasons(back_us: int) -> Any:
        cut = [seen(view, now - back_us) for view, now in zip(views, moments, strict=True)]
        facts = known(journey, spec, cut, now_us, "UTC").facts
        return legal_actions(facts, catalog, journey.guardrails)[1]

    everything, back_us = reasons(2**60), Folding.of(journey).limits_us
    np.testing.assert_array_equal(reasons(back_us - DAY_US), everything)
    assert (reasons(back_us // 4) != everything).any()


def test_an_hour_that_comes_twice_keeps_its_last_bin_and_its_last_moment() -> None:
    clock = {"period_hours": 24, "slots_hours": [0, 2.5], "periods": 12}
    journey = spring(clock=clock, drip={})
    signal = journey.signals[0]
    # 02:45 in summer, then 02:15 in winter: half an hour later, and a bin before.
    summer, winter = (
        int(np.datetime64(f"2026-10-25T{hour}", "us").astype(np.int64))
        for hour in ("00:45", "01:15")
    )
    told = [event_at(signal, at_us) for at_us in (summer, winter, summer - DAY_US)]
    life = Life(journey, "Europe/Berlin", np.random.default_rng(0), AUTUMN)
    long_after = replace(life.short, events=(*told, event_at(signal, winter + 90 * DAY_US)))
    view = folded(Folding.of(journey), long_after, life.zone, winter + 91 * DAY_US)
    assert view.state is not None
    times = view.state.rows["occurred_us"].tolist()
    assert sorted(times) == [summer, winter, winter + 90 * DAY_US]


def event_at(signal: Signal, at_us: int) -> Event:
    pinned: dict[str, Any] = dict(signal.filters())
    return Event(f"e{at_us}", "c", at_us, at_us, **pinned)


def test_a_longer_snooze_outlives_a_later_and_shorter_one() -> None:
    life = Life(spring(), "Europe/Berlin", np.random.default_rng(0), AUTUMN)
    told = [
        Event(f"e{days}", "c", AUTUMN + i, AUTUMN + i, "snoozed", value=days)
        for i, days in enumerate((3.0, 90.0, 2.0))
    ]
    view = folded(
        Folding.of(life.journey), replace(life.short, events=tuple(told)), life.zone, AUTUMN + 9
    )
    assert view.state is not None
    assert [word.value for word in view.state.words.open] == [90.0, 2.0]
