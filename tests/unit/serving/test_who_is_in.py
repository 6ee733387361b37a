"""Contacts enter and leave under odd, late, repeated and unordered facts, and under faults."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from nurture_envs.clock import DAY_US, HOUR_US
from nurture_rl.release.bundle import Bundle
from nurture_rl.serving.contacts.viewing import Ask
from nurture_rl.serving.deciding.enrolling import EnrolmentError
from nurture_rl.serving.deciding.same_journeys import left_out
from nurture_rl.serving.deciding.server_settings import ServerSettings
from nurture_rl.serving.deciding.service import Service
from nurture_rl.serving.records import Decision, Refusal
from nurture_rl.serving.storage.databases import Statement
from nurture_rl.serving.storage.store import Store
from nurture_rl.serving.store_errors import StoreUnavailable
from tests.unit.serving.contacts import Clock, contact, event
from tests.unit.serving.enrolled import MONDAY, journey, parts, serving

BOTH = pytest.mark.usefixtures("either_database")
MORNING = MONDAY + 8 * HOUR_US
FREE: dict[str, Any] = {"enter": {"when": {"plan=free": ">= 1"}}}


def of_terms(bundle: Bundle, store: Store, clock: Clock, **terms: dict[str, Any]) -> Service:
    """A server of journeys on these terms."""
    first, *further = (parts(bundle, journey(name, own)) for name, own in terms.items())
    settings = ServerSettings("UTC", False, clock, seed=5)
    return Service(first, store, settings, further=further)


def state(served: Service, own: str, name: str = "ada") -> str:
    return served.enrolling.standing(own, name)[1]


def call(served: Service, own: str, anchor_us: int | None = None) -> str:
    return served.enrolling.enrol(own, "ada", "a test", "why", anchor_us).state


@pytest.fixture
def four(bundle: Bundle, tmp_path: Path) -> Iterator[tuple[Service, Clock]]:
    """A server of four journeys that knows ada, on a Monday morning at eight."""
    clock = Clock(MORNING)
    with closing(Store(tmp_path / "s.db")) as store:
        store.put_contacts([contact("ada", time_zone="UTC")])
        yield serving(bundle, store, clock), clock


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A store that knows ada."""
    with closing(Store(tmp_path / "s.db")) as found:
        found.put_contacts([contact("ada", time_zone="UTC", attributes={"tariff": "free"})])
        yield found


def test_an_event_and_what_follows_from_it_are_stored_together_or_not_at_all(
    four: tuple[Service, Clock], monkeypatch: pytest.MonkeyPatch
) -> None:
    served, clock = four
    missed = event("demo_missed", clock.now_us)
    database = served.store._database
    write = database.write

    def full(statements: list[Statement]) -> list[int]:
        if any("episodes" in one.sql and one.rows for one in statements):
            raise StoreUnavailable("the disk is full")
        return write(statements)

    monkeypatch.setattr(database, "write", full)
    with pytest.raises(StoreUnavailable):
        served.append_events([missed])
    monkeypatch.undo()
    assert state(served, "high") == "never"
    # The sender sends it again, as it was not acknowledged.
    assert served.append_events([missed]).stored == 1
    assert state(served, "high") == "active"
    assert served.append_events([missed]).stored == 0
    assert len(served.store.passes(["ada"])["ada"]) == 1


def test_who_told_an_end_today_begins_tomorrow(four: tuple[Service, Clock]) -> None:
    served, clock = four
    served.append_events([event("purchase", clock.now_us)])
    clock.now_us += HOUR_US
    assert call(served, "low") == "active"
    (early,) = served.decide([Ask("ada")])
    assert isinstance(early, Refusal)
    assert early.code == "not_started"
    clock.now_us += DAY_US
    (first,) = served.decide([Ask("ada")])
    assert isinstance(first, Decision)
    assert (first.journey, first.step) == ("low", 0)


def test_nobody_waits_on_for_a_journey_whose_end_was_told(four: tuple[Service, Clock]) -> None:
    served, clock = four
    call(served, "low")
    assert call(served, "patient") == "waiting"
    clock.now_us += HOUR_US
    served.append_events([event("purchase", clock.now_us)])
    assert (state(served, "low"), state(served, "patient")) == ("left", "never")
    assert served.store.journey_entries()[-1].why == "waits no more: the signal bought"


def test_events_of_one_request_count_as_they_happened(four: tuple[Service, Clock]) -> None:
    served, clock = four
    clock.now_us += 5 * HOUR_US
    bought, missed = event("purchase", MORNING + 2), event("demo_missed", MORNING + 1)
    served.append_events([bought, missed])
    rows, where, _ = served.enrolling.standing("high", "ada")
    assert (where, [row.reason for row in rows]) == ("left", ["goal"])


def test_an_event_that_came_before_an_end_and_is_told_after_it_enrols_nobody(
    four: tuple[Service, Clock],
) -> None:
    served, clock = four
    clock.now_us += 5 * HOUR_US
    served.append_events([event("purchase", MORNING + 2)])
    served.append_events([event("demo_missed", MORNING + 1)])
    assert state(served, "high") == "never"
    assert served.store.journey_entries()[-1].why == "the signal bought came after it"


def test_an_episode_that_began_elsewhere_goes_on_only_where_it_can(
    four: tuple[Service, Clock],
) -> None:
    served, clock = four
    clock.now_us += 2 * DAY_US
    served.append_events([event("purchase", clock.now_us - DAY_US)])
    for anchor_us, why in (
        (MONDAY + 3 * DAY_US, "by today, got 2026-04-09"),
        (MONDAY + 3_000_000 * DAY_US, "by today"),
        (MONDAY - DAY_US, "the bins of an episode that began on 2026-04-05 are over"),
        (-719_162 * DAY_US, "the bins of an episode that began on 0001-01-01 are over"),
        (MONDAY, "the signal bought ended an episode that began on 2026-04-06"),
    ):
        with pytest.raises(EnrolmentError, match=why):
            call(served, "low", anchor_us)
    assert call(served, "low", MONDAY + 2 * DAY_US) == "active"


@BOTH
def test_an_end_that_a_log_brought_frees_the_contact(four: tuple[Service, Clock]) -> None:
    served, clock = four
    call(served, "low")
    clock.now_us += DAY_US
    served.store.append_events([event("purchase", clock.now_us)])  # as loading a log does
    clock.now_us += HOUR_US
    (over,) = served.decide([Ask("ada")])
    assert isinstance(over, Refusal)
    assert over.code == "episode_over"
    (row,) = served.store.passes(["ada"])["ada"]
    assert row.reason == "goal"
    assert call(served, "patient") == "active"


def test_a_call_finds_an_end_that_nobody_asked_after(four: tuple[Service, Clock]) -> None:
    served, clock = four
    call(served, "low")
    clock.now_us += DAY_US
    served.store.append_events([event("unsubscribe", clock.now_us)])
    assert call(served, "patient") == "active"
    assert served.enrolling.standing("low", "ada")[0][0].reason == "stopped"


def test_a_wait_for_a_journey_that_is_served_no_more_keeps_nobody(
    bundle: Bundle, store: Store
) -> None:
    clock = Clock(MORNING)
    terms: dict[str, dict[str, Any]] = {"low": {"priority": 1}, "patient": {"busy": "wait"}}
    before = of_terms(bundle, store, clock, **terms, gone={"busy": "wait", "priority": 1})
    for own in ("low", "gone", "patient"):
        call(before, own)
    after = of_terms(bundle, store, clock, **terms)
    after.enrolling.leave("low", "ada", "a test", "why")
    assert state(after, "patient") == "active"


def test_who_is_in_a_journey_that_is_not_served_is_told_of_at_the_start(
    four: tuple[Service, Clock],
) -> None:
    served, clock = four
    call(served, "low")
    assert left_out(served.store, ["base", "low"], clock.now_us) is None
    told = left_out(served.store, ["base"], clock.now_us)
    assert told is not None
    assert told.startswith("contacts are in journeys that are not served: low;")
    assert left_out(served.store, ["base"], clock.now_us + 9 * DAY_US) is None


@pytest.mark.parametrize("first", ["low", "high"])
def test_of_two_journeys_at_once_the_higher_priority_has_the_contact(
    bundle: Bundle, store: Store, first: str
) -> None:
    terms: dict[str, dict[str, Any]] = {
        "low": {"enter": {"on": ["missed"]}, "priority": 1},
        "high": {"enter": {"on": ["missed"]}, "priority": 5},
    }
    served = of_terms(
        bundle,
        store,
        Clock(MORNING),
        **{name: terms[name] for name in sorted(terms, key=first.__ne__)},
    )
    served.append_events([event("demo_missed", MORNING)])
    # No pass through the lower one is begun and wasted.
    assert [row.journey for row in store.passes(["ada"])["ada"]] == ["high"]


@pytest.mark.parametrize("first", ["low", "high"])
def test_what_is_known_enters_the_higher_priority_too(
    bundle: Bundle, store: Store, first: str
) -> None:
    terms: dict[str, dict[str, Any]] = {"low": FREE, "high": {**FREE, "priority": 5}}
    served = of_terms(
        bundle,
        store,
        Clock(MORNING),
        **{name: terms[name] for name in sorted(terms, key=first.__ne__)},
    )
    served.put_contacts([contact("ada", time_zone="UTC", attributes={"tariff": "free"})])
    assert [row.journey for row in store.passes(["ada"])["ada"]] == ["high"]


def test_who_leaves_one_journey_by_what_is_known_enters_the_next_at_once(
    bundle: Bundle, store: Store
) -> None:
    team: dict[str, Any] = {"when": {"plan=team": ">= 1"}}
    served = of_terms(
        bundle, store, Clock(MORNING), low={"enter": team}, patient={**FREE, "leave": team}
    )
    for plan in ("free", "team"):
        served.put_contacts([contact("ada", time_zone="UTC", attributes={"tariff": plan})])
    rows = [(row.journey, row.reason) for row in store.passes(["ada"])["ada"]]
    assert rows == [("patient", "rule"), ("low", None)]


@BOTH
def test_a_pause_by_a_person_holds_in_every_journey_until_it_is_resumed(
    four: tuple[Service, Clock],
) -> None:
    served, clock = four
    call(served, "low")
    held = served.enrolling.hold("low", "ada", "a test", "on holiday", True)
    assert held.state == "paused"
    clock.now_us += HOUR_US
    served.append_events([event("demo_missed", clock.now_us)])
    assert state(served, "high") == "paused"
    for days in (0, 5):  # in the journey that took over, and in the one that has everybody
        clock.now_us += days * DAY_US
        (answer,) = served.decide([Ask("ada", f"d{days}")])
        assert isinstance(answer, Decision)
        assert (answer.journey, answer.action) == ("base" if days else "high", "pause:1")
    assert served.enrolling.standing("low", "ada")[1:] == ("left", MORNING)
    # Whoever resumes may name any journey; the one of the pause may be long over.
    assert served.enrolling.hold("low", "ada", "a test", "back", False).state == "left"
    clock.now_us += DAY_US
    (sends,) = served.decide([Ask("ada")])
    assert isinstance(sends, Decision)
    assert sends.scheduled_us is not None
    with pytest.raises(EnrolmentError, match="is not in journey low"):
        served.enrolling.hold("low", "ada", "a test", "again", True)


def test_who_was_taken_out_stays_out_when_the_clock_goes_back(four: tuple[Service, Clock]) -> None:
    served, clock = four
    call(served, "low")
    clock.now_us += 2 * DAY_US
    served.enrolling.leave("low", "ada", "a test", "asked by phone")
    clock.now_us -= DAY_US
    (answer,) = served.decide([Ask("ada", journey="low")])
    assert isinstance(answer, Refusal)
    assert answer.code == "episode_over"


def test_a_zone_that_nobody_knows_stops_no_event_of_others(
    four: tuple[Service, Clock],
) -> None:
    served, clock = four
    served.store.put_contacts([contact("eve", time_zone="Mars/Base")])
    served.append_events([event("demo_missed", clock.now_us, name) for name in ("eve", "ada")])
    assert state(served, "high") == "active"
    (answer,) = served.decide([Ask("eve")])
    assert isinstance(answer, Refusal)
