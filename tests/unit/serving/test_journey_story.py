"""Who is in which journey and when, against a plain account of it."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from nurture_envs.clock import HOUR_US
from nurture_rl.release.bundle import Bundle
from nurture_rl.serving.contacts.viewing import Ask
from nurture_rl.serving.deciding.enrolling import EnrolmentError
from nurture_rl.serving.deciding.service import Service
from nurture_rl.serving.records import Decision, Refusal
from nurture_rl.serving.storage.store import Store
from tests.unit.serving.contacts import Clock, contact, event
from tests.unit.serving.enrolled import MONDAY, PERIODS, serving

BOTH = pytest.mark.usefixtures("either_database")
PEOPLE = [f"p{i}" for i in range(4)]
PRIORITY = {"base": 0, "low": 1, "high": 5, "patient": 1}
REST = {"base": None, "low": 2, "high": None, "patient": 0}  # days; None: never again


@dataclass
class Pass:
    """One pass, in hours since Monday."""

    journey: str
    began: int
    ended: float | None = None
    reason: str | None = None
    late: int = 0  # days from then until its first day


@dataclass
class Person:
    """Where somebody stands, as a person with a pencil would keep it."""

    passes: list[Pass] = field(default_factory=list)
    waits: list[str] = field(default_factory=list)
    paused: bool = False
    bought: int = -1  # day on which they bought last, which ends every journey

    def begin(self, name: str, hour: int) -> Pass:
        one = Pass(name, hour, late=int(self.bought == hour // 24))
        self.passes.append(one)
        return one

    def now_in(self, hour: int) -> Pass | None:
        """What goes on, once what is over has been struck out and who waits has come."""
        for one in self.passes:
            over = (one.began // 24 + one.late + PERIODS[one.journey]) * 24
            if one.ended is None and hour >= over:
                one.ended, one.reason = over, "completed"
        going = [one for one in self.passes if one.ended is None]
        if not going and self.waits:
            return self.begin(self.waits.pop(0), hour)
        return going[0] if going else None

    def enter(self, name: str, hour: int) -> str:
        now = self.now_in(hour)
        if now is not None and now.journey == name:
            return "paused" if self.paused else "active"
        ends = [one.ended or 0 for one in self.passes if one.journey == name]
        rest = REST[name]
        if ends and (rest is None or hour < max(ends) + 24 * rest):
            return "refused"
        if now is not None and PRIORITY[name] <= PRIORITY[now.journey]:
            if name != "patient":
                return "refused"
            self.waits += [] if name in self.waits else [name]
            return "waiting"
        if now is not None:
            now.ended, now.reason = hour, "superseded"
        self.begin(name, hour)
        return "paused" if self.paused else "active"

    def end(self, hour: int, reason: str, only: str | None = None) -> bool:
        now = self.now_in(hour)
        if now is None or only not in (None, now.journey):
            return False
        now.ended, now.reason = hour, reason
        self.now_in(hour)
        return True


class Story:
    """A server and the account of it, moved alike."""

    def __init__(self, served: Service, clock: Clock, seed: int) -> None:
        self.served, self.clock, self.draw = served, clock, random.Random(seed)
        self.people = {name: Person() for name in PEOPLE}
        self.hour, self.seen = 0, set[str]()

    def step(self) -> None:
        self.hour += self.draw.choice([1, 3, 9, 20])
        self.clock.now_us = MONDAY + self.hour * HOUR_US
        name = self.draw.choice(PEOPLE)
        moves = [self.call, self.call, self.leave, self.hold, self.hear, self.decide, self.decide]
        self.draw.choice(moves)(name, self.people[name])
        self.compare(name)

    def call(self, name: str, person: Person) -> None:
        own = self.draw.choice(["low", "high", "patient"])
        expected = person.enter(own, self.hour)
        try:
            found = self.served.enrolling.enrol(own, name, "a test", "why").state
        except EnrolmentError:
            found = "refused"
        assert found == expected
        self.seen.add(f"call {found}")

    def leave(self, name: str, person: Person) -> None:
        own = self.draw.choice(["base", "low", "high", "patient"])
        person.now_in(self.hour)
        if own in person.waits:
            person.waits.remove(own)
            done = True
        else:
            done = person.end(self.hour, "person", own)
        try:
            self.served.enrolling.leave(own, name, "a test", "why")
            assert done
        except EnrolmentError:
            assert not done
        self.seen.add(f"leave {done}")

    def hold(self, name: str, person: Person) -> None:
        now, paused = person.now_in(self.hour), self.draw.random() < 0.5
        if now is None:
            return
        person.paused = paused
        moved = self.served.enrolling.hold(now.journey, name, "a test", "why", paused)
        assert moved.state == ("paused" if paused else "active")

    def hear(self, name: str, person: Person) -> None:
        kind = self.draw.choice(["demo_missed", "click", "purchase", "open"])
        now = None if kind == "open" else person.now_in(self.hour)  # which moves nobody
        if kind == "purchase":
            person.waits, person.bought = [], self.hour // 24
            person.end(self.hour, "goal")
        if kind == "click" and now is not None and now.journey == "high":
            person.end(self.hour, "rule")
        if kind == "demo_missed":
            self.seen.add(f"rule {person.enter('high', self.hour)}")
        self.served.append_events([event(kind, self.clock.now_us, name)])

    def decide(self, name: str, person: Person) -> None:
        now = person.now_in(self.hour)
        if now is None and not any(one.journey == "base" for one in person.passes):
            # Whoever bought today has ended an episode that would begin today.
            (answer,) = self.served.decide([Ask(name)])
            if isinstance(answer, Refusal):
                assert (answer.code, "bought" in answer.message) == ("episode_over", True)
                return
            now = person.begin("base", self.hour)
        else:
            (answer,) = self.served.decide([Ask(name)])
        if isinstance(answer, Decision):
            assert now is not None
            assert answer.journey == now.journey
            assert answer.step == self.hour // 24 - now.began // 24 - now.late
            assert not (person.paused and answer.scheduled_us is not None)
            self.seen.add(f"decided {now.journey}{' paused' if person.paused else ''}")
        elif now is None:
            assert answer.code == "episode_over"
        else:
            is_late = self.hour // 24 < now.began // 24 + now.late
            assert answer.code == ("not_started" if is_late else "already_decided")
            self.seen.add(answer.code)

    def compare(self, name: str) -> None:
        person = self.people[name]
        rows = self.served.store.passes([name]).get(name, [])
        rows.sort(key=lambda row: (row.began_us or 0, row.ended_us or 2**62))
        told = [(row.journey, (row.began_us or 0) - MONDAY) for row in rows]
        assert told == [(one.journey, one.began * HOUR_US) for one in person.passes]
        open_ = [row for row in rows if row.ended_us is None]
        assert len(open_) <= 1
        for row, one in zip(rows, person.passes, strict=True):
            if row.ended_us is not None:  # else it is over and nobody has had to say so
                assert (row.reason, row.ended_us - MONDAY) == (
                    one.reason,
                    (one.ended or 0) * HOUR_US,
                )
            else:
                assert one.ended is None or one.reason == "completed"
        waits = [one.journey for one in self.served.store.waiting([name]).get(name, [])]
        assert waits == person.waits


@BOTH
@pytest.mark.parametrize("seed", [1, 2])
def test_a_random_story_is_as_a_plain_account_of_it(
    bundle: Bundle, tmp_path: Path, seed: int
) -> None:
    clock = Clock(MONDAY)
    store = Store(tmp_path / "s.db")
    store.put_contacts([contact(name, time_zone="UTC") for name in PEOPLE])
    story = Story(serving(bundle, store, clock), clock, seed)
    for _ in range(250):
        story.step()
    assert story.seen >= {"call active", "call refused", "leave True", "leave False"}
    assert story.seen >= {f"decided {name}" for name in ("base", "low", "patient")}
    assert any(entry.what == "entered" and entry.who == "rule" for entry in store.journey_entries())
