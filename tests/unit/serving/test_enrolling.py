"""Contacts enter and leave journeys; nobody is in two at once, whatever servers do."""

from __future__ import annotations

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from nurture_envs.clock import DAY_US, HOUR_US
from nurture_rl.errors import BundleError
from nurture_rl.release.bundle import Bundle
from nurture_rl.serving.contacts.viewing import Ask
from nurture_rl.serving.deciding.enrolling import EnrolmentError
from nurture_rl.serving.deciding.service import Service
from nurture_rl.serving.records import Decision, Ending, EpisodeRow, Moves, Refusal
from nurture_rl.serving.storage.store import Store
from nurture_rl.serving.store_errors import StoreConflict
from tests.postgres import PostgresServer
from tests.unit.serving.contacts import Clock, contact, event
from tests.unit.serving.enrolled import MONDAY, journey, parts, serving

BOTH = pytest.mark.usefixtures("either_database")


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
    assert "high" in journeys  # and whatever it took people from
    assert len(journeys) > 1
    for store in stores:
        store.close()
