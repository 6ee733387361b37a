"""Who is in which journey and when, against a plain account of it; nobody is in two at once."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from nurture_envs.clock import DAY_US, HOUR_US
from nurture_rl.errors import BundleError
from nurture_rl.release.bundle import Bundle
from nurture_rl.serving.api_keys import load_keys
from nurture_rl.serving.app import create_app
from nurture_rl.serving.enrolling import EnrolmentError
from nurture_rl.serving.records import Decision, Ending, EpisodeRow, Moves, Refusal
from nurture_rl.serving.service import Service
from nurture_rl.serving.store import Store
from nurture_rl.serving.store_errors import StoreConflict
from nurture_rl.serving.viewing import Ask
from tests.postgres import PostgresServer
from tests.unit.serving.contacts import Clock, contact, event
from tests.unit.serving.enrolled import MONDAY, PERIODS, journey, parts, serving

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
    paused: bool = False


@dataclass
class Person:
    """Where somebody stands, as a person with a pencil would keep it."""

    passes: list[Pass] = field(default_factory=list)
    waits: list[str] = field(default_factory=list)

    def now_in(self, hour: int) -> Pass | None:
        """What goes on, once what is over has been struck out and who waits has come."""
        for one in self.passes:
            over = one.began // 24 * 24 + 24 * PERIODS[one.journey]
            if one.ended is None and hour >= over:
                one.ended, one.reason = over, "completed"
        going = [one for one in self.passes if one.ended is None]
        if not going and self.waits:
            self.passes.append(Pass(self.waits.pop(0), hour))
            return self.passes[-1]
        return going[0] if going else None

    def enter(self, name: str, hour: int) -> str:
        now = self.now_in(hour)
        if now is not None and now.journey == name:
            return "paused" if now.paused else "active"
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
        self.passes.append(Pass(name, hour))
        return "active"

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
        now.paused = paused
        moved = self.served.enrolling.hold(now.journey, name, "a test", "why", paused)
        assert moved.state == ("paused" if paused else "active")

    def hear(self, name: str, person: Person) -> None:
        kind = self.draw.choice(["demo_missed", "click", "purchase", "open"])
        now = None if kind == "open" else person.now_in(self.hour)  # which moves nobody
        if kind == "purchase":
            person.end(self.hour, "stopped" if now is None else "goal")
        if kind == "click" and now is not None and now.journey == "high":
            person.end(self.hour, "rule")
        if kind == "demo_missed":
            self.seen.add(f"rule {person.enter('high', self.hour)}")
        self.served.append_events([event(kind, self.clock.now_us, name)])

    def decide(self, name: str, person: Person) -> None:
        now = person.now_in(self.hour)
        if now is None and not any(one.journey == "base" for one in person.passes):
            # Whoever bought today has ended an episode that would begin today.
            now = Pass("base", self.hour)
            (answer,) = self.served.decide([Ask(name)])
            if isinstance(answer, Refusal):
                assert (answer.code, "bought" in answer.message) == ("episode_over", True)
                return
            person.passes.append(now)
        else:
            (answer,) = self.served.decide([Ask(name)])
        if isinstance(answer, Decision):
            assert now is not None
            assert answer.journey == now.journey
            assert answer.step == self.hour // 24 - now.began // 24
            assert not (now.paused and answer.scheduled_us is not None)
            self.seen.add(f"decided {now.journey}{' paused' if now.paused else ''}")
        elif now is None:
            assert answer.code == "episode_over"
        else:
            assert answer.code in ("already_decided", "episode_over")
            assert answer.code == "already_decided" or "bought" in answer.message

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


@pytest.fixture
def two(bundle: Bundle, tmp_path: Path) -> Iterator[tuple[Service, Clock]]:
    """A server of four journeys that knows ada, on a Monday morning at eight."""
    clock = Clock(MONDAY + 8 * HOUR_US)
    store = Store(tmp_path / "s.db")
    store.put_contacts([contact("ada", time_zone="UTC")])
    yield serving(bundle, store, clock), clock
    store.close()


def test_a_higher_priority_takes_the_contact_and_the_planned_mail_with_it(
    two: tuple[Service, Clock],
) -> None:
    served, clock = two
    (first,) = served.decide([Ask("ada", "first")])
    assert isinstance(first, Decision)
    assert first.journey == "base"
    assert first.scheduled_us == MONDAY + 15 * HOUR_US
    clock.now_us += HOUR_US
    (taken,) = served.append_events([event("demo_missed", clock.now_us)]).withdrawn
    assert (taken.decision.decision_id, taken.freed) == ("first", True)
    assert taken.reason == "the episode ended (superseded): journey high took the contact"
    (again,) = served.decide([Ask("ada", "first")])
    assert isinstance(again, Refusal)
    assert again.code == "withdrawn"
    (base,) = served.decide([Ask("ada", journey="base")])
    assert isinstance(base, Refusal)
    assert base.code == "not_enrolled"
    assert base.message.startswith("the contact is in journey high")
    (second,) = served.decide([Ask("ada", "second")])
    assert isinstance(second, Decision)
    # The freed mail counts no more; the new one does, in whatever journey it was decided.
    assert (second.journey, second.scheduled_us) == ("high", MONDAY + 15 * HOUR_US)
    log = [(one.who, one.journey, one.what) for one in served.store.journey_entries()]
    assert log == [("rule", "base", "superseded"), ("rule", "high", "entered")]


def test_mail_of_one_journey_counts_towards_the_caps_of_the_next(
    two: tuple[Service, Clock],
) -> None:
    served, clock = two
    served.decide([Ask("ada", "first")])
    clock.now_us = MONDAY + 16 * HOUR_US  # it has left
    served.enrolling.enrol("high", "ada", "a test", "why")
    (second,) = served.decide([Ask("ada")])
    assert isinstance(second, Decision)
    assert second.journey == "high"
    assert second.scheduled_us is None  # one mail in 20 hours
    clock.now_us = MONDAY + DAY_US + 12 * HOUR_US
    (third,) = served.decide([Ask("ada")])
    assert isinstance(third, Decision)
    assert third.scheduled_us is not None


def test_an_opt_out_takes_back_what_a_further_journey_has_planned(
    two: tuple[Service, Clock],
) -> None:
    served, clock = two
    served.enrolling.enrol("low", "ada", "a test", "why")
    (planned,) = served.decide([Ask("ada", "low-0")])
    assert isinstance(planned, Decision)
    assert planned.journey == "low"
    (taken,) = served.append_events([event("unsubscribe", clock.now_us)]).withdrawn
    assert taken.decision.decision_id == "low-0"
    rows = served.store.passes(["ada"])["ada"]
    assert [(row.journey, row.reason) for row in rows] == [("low", "stopped")]


def test_a_paused_contact_gets_nothing_and_the_bins_pass(two: tuple[Service, Clock]) -> None:
    served, clock = two
    served.enrolling.enrol("low", "ada", "a test", "why")
    (planned,) = served.decide([Ask("ada", "low-0")])
    moved = served.enrolling.hold("low", "ada", "a test", "on holiday", True)
    assert [one.decision for one in moved.withdrawn] == [planned]
    (confirmed,) = served.confirm(["low-0"], MONDAY + 15 * HOUR_US)
    assert confirmed is not None
    assert confirmed.status == "withdrawn"
    clock.now_us += DAY_US
    (held,) = served.decide([Ask("ada", "low-1")])
    assert isinstance(held, Decision)
    assert (held.step, held.action, held.propensity) == (1, "pause:1", 1.0)
    served.enrolling.hold("low", "ada", "a test", "back", False)
    clock.now_us += DAY_US
    (free,) = served.decide([Ask("ada", "low-2")])
    assert isinstance(free, Decision)
    assert (free.step, free.scheduled_us is None) == (2, False)


def test_who_waited_comes_when_the_journey_is_over_by_time(two: tuple[Service, Clock]) -> None:
    served, clock = two
    served.enrolling.enrol("low", "ada", "a test", "why")
    assert served.enrolling.enrol("patient", "ada", "a test", "why").state == "waiting"
    clock.now_us = MONDAY + 3 * DAY_US
    (answer,) = served.decide([Ask("ada")])
    assert isinstance(answer, Decision)
    assert (answer.journey, answer.step) == ("patient", 0)


def test_who_comes_again_begins_anew_under_the_next_number(two: tuple[Service, Clock]) -> None:
    served, _ = two
    served.enrolling.enrol("patient", "ada", "a test", "why")
    (first,) = served.decide([Ask("ada")])
    served.enrolling.leave("patient", "ada", "a test", "why")
    (none,) = served.decide([Ask("ada", journey="patient")])
    assert isinstance(none, Refusal)
    assert (none.code, "person" in none.message) == ("episode_over", True)
    served.enrolling.enrol("patient", "ada", "a test", "why")
    (second,) = served.decide([Ask("ada")])
    assert isinstance(first, Decision)
    assert isinstance(second, Decision)
    assert first.episode_id == "patient:ada:2026-04-06"
    assert (second.episode_id, second.step) == ("patient:ada:2026-04-06#2", 0)


def test_contacts_enter_by_what_is_known_of_them(bundle: Bundle, tmp_path: Path) -> None:
    clock = Clock(MONDAY)
    terms = {"enter": {"when": {"plan=team": "== 1"}}, "leave": {"when": {"size": ">= 9"}}}
    own = parts(bundle, journey("facts", terms))
    store = Store(tmp_path / "s.db")
    served = Service(own, store, serving(bundle, store, clock, ["base"]).settings)
    for size, tariff, state in ((1, "free", "never"), (1, "team", "active"), (9, "free", "left")):
        served.put_contacts([contact("ada", attributes={"size": size, "tariff": tariff})])
        assert served.enrolling.standing("facts", "ada")[1] == state
    store.close()


def test_history_enrols_nobody(two: tuple[Service, Clock]) -> None:
    served, clock = two
    served.append_events([event("demo_missed", clock.now_us - 8 * DAY_US)])
    assert served.store.passes(["ada"]) == {}


@BOTH
def test_the_database_itself_refuses_a_second_journey(tmp_path: Path) -> None:
    store = Store(tmp_path / "s.db")
    rows = [EpisodeRow(name, "ada", name, 0) for name in ("one", "two")]
    store.move(Moves(episodes=rows[:1]))
    with pytest.raises(StoreConflict):
        store.move(Moves(episodes=rows[1:]))
    store.move(Moves([Ending("one", 5, "person", "why")], rows[1:]))
    assert [row.ended_us for row in store.passes(["ada"])["ada"]] == [5, None]
    store.close()


def test_two_bundles_of_one_journey_are_refused(bundle: Bundle, tmp_path: Path) -> None:
    with closing(Store(tmp_path / "s.db")) as store, pytest.raises(BundleError, match="two of low"):
        serving(bundle, store, Clock(MONDAY), ["base", "low", "low"])


def test_two_servers_and_64_clients_never_have_a_person_in_two_journeys(
    bundle: Bundle, postgres: PostgresServer
) -> None:
    url, people = postgres.fresh_url(), [f"p{i}" for i in range(6)]
    clock = Clock(MONDAY + 8 * HOUR_US)
    stores = [Store(url), Store(url)]
    stores[0].put_contacts([contact(name, time_zone="UTC") for name in people])
    servers = [serving(bundle, store, clock) for store in stores]

    def client(number: int) -> int:
        draw, served, superseded = random.Random(number), servers[number % 2], 0
        for _ in range(6):
            name = draw.choice(people)
            try:
                own = draw.choice(["low", "high", "patient"])
                superseded += len(served.enrolling.enrol(own, name, "a test", "why").withdrawn)
            except EnrolmentError:
                pass
            served.decide([Ask(name)])
        return superseded

    with ThreadPoolExecutor(64) as clients:
        assert sum(clients.map(client, range(64))) >= 1
    found = stores[1].passes(people)
    assert sorted(found) == people
    journeys = set()
    for rows in found.values():
        assert [row.ended_us is None for row in rows].count(True) == 1
        assert all(row.reason in (None, "superseded") for row in rows)
        # The priorities of those who came after one another rise, whoever raced.
        assert [row.priority for row in rows] == sorted({row.priority for row in rows})
        journeys |= {row.journey for row in rows}
    assert journeys >= {"high", "base"} or journeys >= {"high", "low"}
    for store in stores:
        store.close()


KEYS = "journeys ab12cd34ef56ab12cd34ef56ab12cd34\ndecisions,contacts,events,policies " + "x9" * 20


@pytest.fixture
def client(bundle: Bundle, tmp_path: Path) -> Iterator[TestClient[Litestar]]:
    """Over a server of all journeys, with keys."""
    clock = Clock(MONDAY + 8 * HOUR_US)
    store = Store(tmp_path / "s.db")
    store.put_contacts([contact("ada", time_zone="UTC")])
    path = tmp_path / "keys"
    path.touch(0o600)
    path.write_text(KEYS)
    with TestClient(create_app(serving(bundle, store, clock), keys=load_keys(path))) as found:
        yield found
    store.close()


def ask(client: TestClient[Litestar], method: str, path: str, status: int, **body: Any) -> Any:
    scoped = "/v1/journeys" in path
    key = KEYS.split("\n")[0 if scoped else 1].split()[1]
    content = body if body or method == "POST" else None
    headers = {"authorization": f"Bearer {key}"}
    answer = client.request(method, path, headers=headers, json=content)
    assert answer.status_code == status, answer.text
    return answer.json()


def test_people_move_contacts_over_http_and_the_log_says_who(
    client: TestClient[Litestar],
) -> None:
    low, why = "/v1/journeys/low/contacts/Ada", {"why": "asked for"}
    assert ask(client, "GET", low, 200)["state"] == "never"
    entered = ask(client, "POST", low, 200, **why)
    assert entered["state"] == "active"
    assert entered["episode"]["anchor"] == "2026-04-06T00:00:00"
    made = ask(client, "POST", "/v1/decisions", 200, contacts=[{"contact_id": "ada"}])
    assert made["decisions"][0]["journey"] == "low"
    paused = ask(client, "POST", f"{low}/pause", 200, **why)
    assert [one["contact_id"] for one in paused["withdrawn"]] == ["ada"]
    assert ask(client, "GET", low, 200)["state"] == "paused"
    ask(client, "POST", f"{low}/resume", 200, **why)
    assert ask(client, "POST", f"{low}/exit", 200, **why)["episode"]["reason"] == "person"
    refused = ask(client, "POST", low, 409, **why)
    assert "rests until 2026-04-08T08:00:00Z" in refused["detail"]
    ask(client, "POST", "/v1/journeys/none/contacts/ada", 404, **why)
    ask(client, "POST", "/v1/journeys/low/contacts/nobody", 404, **why)
    ask(client, "POST", f"{low}/exit", 409, **why)
    ask(client, "POST", low, 400)
    entries = ask(client, "GET", "/v1/journeys/log", 200)["entries"]
    whats = ["entered", "paused", "resumed", "left: person", "refused"]
    assert [one["what"] for one in entries] == whats
    assert all(one["who"].startswith("key ") for one in entries)
    answer = client.post(low, json=why, headers={"authorization": "Bearer " + "x9" * 20})
    assert answer.status_code == 403


def test_a_whole_journey_is_paused_and_goes_on_as_before(client: TestClient[Litestar]) -> None:
    why = {"why": "asked for"}
    ask(client, "POST", "/v1/switch", 200, to="rules", journey="low", **why)
    listed = ask(client, "POST", "/v1/journeys/low/pause", 200, **why)["journeys"]
    switches = {one["journey"]: one["switch"] for one in listed}
    assert switches == {"base": "learned", "low": "pause", "high": "learned", "patient": "learned"}
    ask(client, "POST", "/v1/journeys/low/contacts/ada", 200, **why)
    body = {"contacts": [{"contact_id": "ada"}]}
    made = ask(client, "POST", "/v1/decisions", 200, **body)["decisions"][0]
    assert (made["journey"], made["action"], made["policy_id"]) == ("low", "pause:1", "paused")
    listed = ask(client, "POST", "/v1/journeys/low/resume", 200, **why)["journeys"]
    assert {one["journey"]: one["switch"] for one in listed}["low"] == "rules"
    found = ask(client, "GET", "/v1/policies", 200)
    assert found["switches"] == {**switches, "low": "rules"}
    assert {one["policy_id"] for one in found["policies"]} == {f"of-{name}" for name in switches}
    changes = ask(client, "GET", "/v1/policies/log", 200)["changes"]
    assert [one["action"] for one in changes if one["journey"] == "low"][1:] == [
        *("switch to rules", "switch to pause", "switch to rules"),
    ]


def test_roles_of_each_journey_hold_again_after_a_restart(bundle: Bundle, tmp_path: Path) -> None:
    clock = Clock(MONDAY)
    for _ in range(2):
        store = Store(tmp_path / "s.db")
        served = serving(bundle, store, clock)
        low = served.journeys.named("low").policies
        switch = low.lineup.roles.switch
        with TestClient(create_app(served)) as client:
            client.post("/v1/journeys/low/pause", json={"why": "a test"})
        store.close()
    assert switch == "pause"
    assert served.policies.lineup.roles.switch == "learned"
    with closing(sqlite3.connect(tmp_path / "s.db")) as rows:
        asked = "SELECT journey, count(*) FROM policy_log GROUP BY journey ORDER BY journey"
        assert rows.execute(asked).fetchall()[0] == ("base", 1)
