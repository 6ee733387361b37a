"""Sends of a log become the decisions of the programme that made them; every send is accounted."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from nurture_envs.actions import ActionCatalog
from nurture_envs.journey import Enrolment, FrequencyCap, Journey
from nurture_envs.journey_file import load_journey
from nurture_envs.simulation import Simulation
from nurture_envs.stops import FORBIDDING_TYPES
from nurture_envs.worlds.reference import reference_world
from nurture_rl.errors import ConfigError, LogError
from nurture_rl.features import decision_table
from nurture_rl.features.past_masks import past_reasons
from nurture_rl.features.past_programme import (
    AFTER,
    BEFORE,
    DECIDED,
    NO_EPISODE,
    SECOND,
    UNKNOWN,
    PastDecisions,
    past_decisions,
    told_sends,
    with_topics,
)
from nurture_rl.logs.adapters.reference_tables import write_reference_log
from nurture_rl.logs.ingest import ingest_folder
from nurture_rl.policies.build import PolicyContext, build_policy
from nurture_rl.workflow.from_sends import Allowed, allow
from tests.unit.features.small_journey import shop_journey
from tests.unit.features.small_log import at, contacts_table, events_table

JOURNEY = shop_journey()  # five days, one message `hello`, sent at once
LEAD = load_journey("inbound_lead")  # slots 9 and 15
END = round(at("2026-03-31 00:00").timestamp()) * 1_000_000


def on(who: str, moment: str, kind: str, zone: str = "UTC", **more: Any) -> dict[str, Any]:
    return {"contact_id": who, "occurred_at": at(moment, zone), "type": kind, **more}


def sent(who: str, moment: str, message: str | None = "hello", zone: str = "UTC") -> dict[str, Any]:
    return on(who, moment, "sent", zone, message_id=message)


def past(events: list[dict[str, Any]], zone: str = "UTC", **more: Any) -> PastDecisions:
    people = sorted({event["contact_id"] for event in events})
    contacts = contacts_table([{"contact_id": name, "time_zone": zone} for name in people])
    journey = more.pop("journey", JOURNEY)
    more = {"as_of_us": END} | more
    return past_decisions(events_table(events), contacts, journey, **more)


def actions(found: PastDecisions) -> list[str]:
    return list(found.decisions.sort_by([("episode_id", "ascending"), ("step", "ascending")])
                ["action"].to_pylist())  # fmt: skip


def test_every_bin_from_entry_to_the_end_has_a_decision() -> None:
    events = [
        on("ann", "2026-03-02 10:00", "page_view", page_category="pricing"),
        sent("ann", "2026-03-03 09:00"),
        on("ann", "2026-03-05 08:00", "unsubscribe"),
        sent("ann", "2026-03-06 09:00"),
    ]
    found = past(events, entry="viewed")
    assert actions(found) == ["pause:1", "send:hello@now", "pause:1", "pause:1"]
    assert found.decisions["anchor"].to_pylist() == [datetime(2026, 3, 2)] * 4
    assert found.decisions["step"].to_pylist() == [0, 1, 2, 3]
    assert found.decisions["propensity"].null_count == 4
    assert set(found.decisions["propensity_source"].to_pylist()) == {"estimated"}
    assert (found.sends[DECIDED], found.sends[AFTER]) == (1, 1)


def test_every_send_is_a_decision_or_has_its_reason() -> None:
    events = [
        sent("ann", "2026-03-01 09:00"),  # before she came
        on("ann", "2026-03-02 10:00", "page_view", page_category="pricing"),
        sent("ann", "2026-03-03 09:00"),
        sent("ann", "2026-03-03 21:00"),  # the same day again
        sent("ann", "2026-03-04 09:00", "newsletter"),
        sent("ann", "2026-03-04 10:00", None),
        sent("ann", "2026-03-20 09:00"),
        sent("bob", "2026-03-03 09:00"),  # who never viewed anything
    ]
    found = past(events, entry="viewed")
    assert found.sends == {
        DECIDED: 1, SECOND: 1, UNKNOWN: 2, NO_EPISODE: 1, BEFORE: 1, AFTER: 1
    }  # fmt: skip
    assert sum(found.sends.values()) == 7
    (told,) = told_sends(found)
    assert "1 of 7 sends are decisions" in told
    assert "1 of a second send in one bin" in told


def test_days_are_those_of_the_contacts_own_clock() -> None:
    # 23:30 in New York is the next day in UTC.
    events = [
        on("ann", "2026-03-02 10:00", "page_view", "America/New_York", page_category="pricing"),
        sent("ann", "2026-03-02 23:30", zone="America/New_York"),
        sent("ann", "2026-03-04 00:10", zone="America/New_York"),
    ]
    found = past(events, zone="America/New_York", entry="viewed")
    assert actions(found) == ["send:hello@now", "pause:1", "send:hello@now", "pause:1", "pause:1"]


def test_a_day_on_which_clocks_are_set_has_one_decision_like_any_other() -> None:
    events = [
        on("ann", "2026-03-27 10:00", "page_view", "Europe/Berlin", page_category="pricing"),
        sent("ann", "2026-03-29 23:30", zone="Europe/Berlin"),  # clocks went on at two
    ]
    found = past(events, zone="Europe/Berlin", entry="viewed", as_of_us=END + 10**12)
    assert actions(found) == ["pause:1", "pause:1", "send:hello@now", "pause:1", "pause:1"]


def test_a_send_goes_to_the_nearest_slot() -> None:
    events = [
        on("ann", "2026-03-02 07:00", "form_submitted"),
        sent("ann", "2026-03-02 11:40", "welcome"),
        sent("ann", "2026-03-03 12:20", "welcome"),
        sent("ann", "2026-03-04 23:50", "welcome"),
    ]
    found = past(events, journey=LEAD)
    assert actions(found)[:3] == ["send:welcome@09", "send:welcome@15", "send:welcome@15"]


def test_decisions_end_with_the_last_bin_that_the_log_saw_to_its_end() -> None:
    """Of the day on which a log ends nobody knows yet who gets no mail."""
    events = [
        on("ann", "2026-03-02 10:00", "page_view", page_category="pricing"),
        sent("ann", "2026-03-03 09:00"),
        sent("ann", "2026-03-04 09:00"),
        sent("bob", "2026-03-04 09:00"),
    ]

    def read(moment: str) -> PastDecisions:
        until = round(at(moment).timestamp()) * 1_000_000
        return past(events, entry="viewed", as_of_us=until)

    noon = read("2026-03-04 12:00")
    assert actions(noon) == ["pause:1", "send:hello@now"]
    assert noon.sends[AFTER] == 1
    assert actions(read("2026-03-05 00:00")) == ["pause:1", "send:hello@now", "send:hello@now"]
    assert len(past(events, entry="viewed", as_of_us=None).decisions) == 2  # its last record


def test_mail_that_answers_an_outcome_of_its_own_bin_is_counted_and_told() -> None:
    buy: dict[str, Any] = {"kind": "purchase", "value": 9.0}
    events = [
        on("ann", "2026-03-02 10:00", **buy),  # by which she enters: no outcome
        sent("ann", "2026-03-02 10:05"),
        on("ann", "2026-03-03 08:00", **buy),
        sent("ann", "2026-03-03 08:05"),  # thanks for it
        on("ann", "2026-03-04 08:00", "page_view", page_category="pricing"),  # earns nothing
        sent("ann", "2026-03-04 08:05"),
        sent("ann", "2026-03-05 08:00"),
        on("ann", "2026-03-05 09:00", **buy),
    ]
    found = past(events, entry="bought")
    assert found.sends[DECIDED] == 4
    assert found.after_outcome == {"hello": 1}
    assert "1 of 4 decisions to send went after something rewarded" in told_sends(found)[1]
    assert "(1 of hello)" in told_sends(found)[1]
    assert len(told_sends(past(events[:2], entry="bought"))) == 1


def test_who_enters_again_after_the_end_has_another_episode() -> None:
    view = {"kind": "page_view", "page_category": "pricing"}
    events = [on("ann", f"2026-03-{day} 10:00", **view) for day in ("02", "04", "07", "20")] + [
        sent("ann", "2026-03-21 09:00")
    ]
    found = past(events, entry="viewed")
    entered = dict.fromkeys(found.decisions["anchor"].to_pylist())
    assert list(entered) == [datetime(2026, 3, day) for day in (2, 7, 20)]
    assert len(found.decisions) == 15


@pytest.mark.parametrize(("rest", "days"), [(None, [2]), (0.0, [2, 7, 20]), (3.0, [2, 20])])
def test_who_may_enter_again_is_said_by_the_journeys_enrolment(
    rest: float | None, days: list[int]
) -> None:
    """An episode takes five days; without a rest nobody comes twice, as on a server."""
    view = {"kind": "page_view", "page_category": "pricing"}
    events = [on("ann", f"2026-03-{day} 10:00", **view) for day in ("02", "07", "20")]
    terms = Enrolment(enter=None, leave=None, rest_days=rest, priority=0, busy="refuse")
    journey = replace(JOURNEY, enrolment=terms)
    found = past([*events, sent("ann", "2026-03-03 09:00")], entry="viewed", journey=journey)
    entered = dict.fromkeys(found.decisions["anchor"].to_pylist())
    assert list(entered) == [datetime(2026, 3, day) for day in days]


def test_without_a_signal_of_entry_the_first_event_begins_the_one_episode() -> None:
    events = [
        sent("ann", "2026-03-02 10:00"),
        on("ann", "2026-03-20 10:00", "page_view", page_category="pricing"),
    ]
    found = past(events)
    assert actions(found) == ["send:hello@now", *["pause:1"] * 4]


def test_a_log_whose_sends_are_no_messages_of_the_journey_is_refused() -> None:
    events = [sent("ann", "2026-03-02 10:00", "Newsletter 4")]
    with pytest.raises(LogError, match="one of hello, got 1 of a message that the journey"):
        past(events)


def test_a_signal_of_entry_that_nobody_has_is_refused() -> None:
    events = [sent("ann", "2026-03-02 10:00")]
    with pytest.raises(LogError, match="nobody entered 'shop': expected events of viewed"):
        past(events, entry="viewed")
    with pytest.raises(ConfigError, match=r"data\.entry: expected a signal of 'shop'"):
        past(events, entry="seen")


def test_mail_without_a_topic_gets_its_messages() -> None:
    events = events_table(
        [
            sent("ann", "2026-03-02 10:00", "pricing_guide"),
            on("ann", "2026-03-02 11:00", "click", message_id="pricing_guide", topic="product"),
            on("ann", "2026-03-02 12:00", "page_view"),
        ]
    )
    assert with_topics(events, LEAD)["topic"].to_pylist() == ["pricing", "product", None]


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> tuple[pa.Table, pa.Table, pa.Table]:
    """Events and contacts of a reference world, and its decision table."""
    folder = tmp_path_factory.mktemp("played")
    simulation = Simulation(reference_world(LEAD), compiled=False)
    policy = build_policy("random", PolicyContext(LEAD, simulation.catalog, simulation.spec))
    write_reference_log(folder / "raw", simulation, policy, 60, 1, lambda _: None)
    catalog = ActionCatalog.of(LEAD)
    given = (catalog.ids, catalog.hash, lambda _: None)
    ingest_folder(folder / "raw", folder / "in", *given, journey=LEAD)
    events, contacts, decisions = (
        pa.parquet.read_table(folder / "in" / f"{name}.parquet")
        for name in ("events", "contacts", "decisions")
    )
    made = decision_table(events, contacts, decisions, LEAD, default_zone="Europe/Berlin")
    return events, contacts, made.table


def test_masks_from_events_are_those_that_the_simulation_had(
    played: tuple[pa.Table, pa.Table, pa.Table],
) -> None:
    events, contacts, table = played
    found = past_reasons(events, contacts, table, LEAD, "Europe/Berlin") == 0
    logged = np.array(table["mask"].to_pylist())
    # Events do not tell of pauses: in one everything but waiting is forbidden.
    ids = ActionCatalog.of(LEAD).ids
    paused = found[:, ids.index("pause:3")] & ~logged[:, ids.index("pause:3")]
    assert 100 < (~paused).sum() < len(table)
    np.testing.assert_array_equal(found[~paused], logged[~paused])


def test_every_send_of_a_world_is_found_again_on_its_day(
    played: tuple[pa.Table, pa.Table, pa.Table],
) -> None:
    events, contacts, table = played
    found = past_decisions(
        events, contacts, LEAD, entry="form_submitted", default_zone="Europe/Berlin"
    )

    def sends(of: pa.Table) -> set[tuple[str, datetime, str]]:
        rows = of.filter(pc.starts_with(of["action"], "send:"))
        return set(
            zip(
                rows["contact_id"].to_pylist(),
                rows["decided_at"].to_pylist(),
                rows["action"].to_pylist(),
                strict=True,
            )
        )

    true, mine = sends(table), sends(found.decisions)
    assert mine <= true
    assert len(true) - len(mine) == found.sends[AFTER]  # the world's first day is the next one
    assert len(mine) > 50


def allowed(
    played: tuple[pa.Table, pa.Table, pa.Table], folder: Path, contacts: pa.Table, journey: Journey
) -> Allowed:
    """What guardrails say of a world's decisions, given its events and some contacts."""
    events, _, table = played
    pq.write_table(events, folder / "events.parquet")
    pq.write_table(contacts, folder / "contacts.parquet")
    return allow(folder, table, journey, "Europe/Berlin")


def test_a_send_against_consent_is_set_aside_with_its_episode(
    played: tuple[pa.Table, pa.Table, pa.Table], tmp_path: Path
) -> None:
    events, contacts, table = played
    mailed = table.filter(pc.starts_with(table["action"], "send:"))
    said_no = pc.is_in(events["type"], pa.array(sorted(FORBIDDING_TYPES)))
    ever = set(events.filter(said_no)["contact_id"].to_pylist())
    who = next(name for name in mailed["contact_id"].to_pylist() if name not in ever)
    mine = pc.equal(contacts["contact_id"], who)
    consent = pc.and_(contacts["consent"], pc.invert(mine))
    at = contacts.schema.get_field_index("consent")
    found = allowed(played, tmp_path, contacts.set_column(at, "consent", consent), LEAD)
    gone = table.filter(pc.equal(table["contact_id"], who))
    assert set(found.against) == set(gone["decision_id"].to_pylist())
    sends = set(mailed["decision_id"].to_pylist())
    for name, reason in found.against.items():
        assert reason.startswith("forbidden send" if name in sends else "broken episode")
    assert "no_consent; map the column that says who agreed" in " ".join(found.against.values())
    assert len(found.table) == len(table) - len(gone)
    assert found.notes == ()


def test_a_rule_that_many_sends_break_was_none_of_the_programmes(
    played: tuple[pa.Table, pa.Table, pa.Table], tmp_path: Path
) -> None:
    _, contacts, table = played
    rails = LEAD.guardrails.unserved or LEAD.guardrails

    def under(*caps: FrequencyCap) -> Allowed:
        journey = replace(LEAD, guardrails=replace(rails, caps=caps))
        return allowed(played, tmp_path, contacts, journey)

    free, strict = under(), under(FrequencyCap(1, 24.0 * 20))
    assert (strict.against, len(strict.table)) == ({}, len(table))
    assert "sends break the guardrail frequency_cap" in strict.notes[0]
    assert strict.table["mask"].equals(free.table["mask"])
    kept = under(*rails.caps)  # those that the world kept narrow what could have been done
    assert kept.notes == ()
    assert not kept.table["mask"].equals(free.table["mask"])
