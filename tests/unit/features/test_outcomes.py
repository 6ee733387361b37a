"""What followed a decision, what it was worth, and whether everything is in."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from nurture_envs.actions import ActionCatalog
from nurture_envs.journey import Journey
from nurture_rl.errors import ActionError
from nurture_rl.features import DecisionTable, decision_table
from tests.unit.features.small_journey import shop_journey
from tests.unit.features.small_log import at, contacts_table, decisions_table, events_table

ANCHOR = datetime(2026, 3, 2)
JOURNEY = shop_journey()


def _decided(step: int, **more: Any) -> dict[str, Any]:
    decided = at(f"2026-03-{2 + step:02d} 09:00")
    return {
        "contact_id": "ann",
        "anchor": ANCHOR,
        "step": step,
        "decided_at": decided,
        **more,
    }


def _on(day: str, type: str, **more: Any) -> dict[str, Any]:
    return {"contact_id": "ann", "occurred_at": at(day), "type": type, **more}


def _table(
    decisions: list[dict[str, Any]],
    events: list[dict[str, Any]],
    journey: Journey = JOURNEY,
    as_of: str | None = None,
) -> DecisionTable:
    as_of_us = None if as_of is None else round(at(as_of).timestamp()) * 1_000_000
    return decision_table(
        events_table(events),
        contacts_table([{"contact_id": "ann", "time_zone": "UTC"}]),
        decisions_table(decisions),
        journey,
        as_of_us=as_of_us,
    )


def _column(found: DecisionTable, name: str) -> list[Any]:
    return list(found.table[name].to_pylist())


def test_a_bin_earns_its_events_less_the_price_of_the_action() -> None:
    events = [
        _on("2026-03-02 10:00", "purchase", value=30.0),
        _on("2026-03-03 23:59", "purchase", value=20.0),
        _on("2026-03-04 10:00", "unsubscribe"),
        _on("2026-03-05 10:00", "purchase", value=99.0),  # after the end of the episode
    ]
    decisions = [
        _decided(0, action="send:hello@now"),
        _decided(1, action="escalate"),
        _decided(2, action="pause:1"),
    ]
    found = _table(decisions, events)
    # 30 - 0.5 for the send; 20 - 2 for the escalation; -4 for the unsubscribe
    assert _column(found, "reward") == [29.5, 18.0, -4.0]
    assert _column(found, "terminal") == [False, False, True]
    spent = JOURNEY.channel_index("bought.value")
    assert [row[spent] for row in _column(found, "outcomes")] == [30.0, 20.0, 0.0]


def test_a_late_record_still_belongs_to_the_bin_it_happened_in() -> None:
    late = _on("2026-03-02 10:00", "purchase", value=8.0, recorded_at=at("2026-03-30 00:00"))
    assert _column(_table([_decided(0), _decided(1)], [late]), "reward") == [8.0, 0.0]


def test_every_event_from_the_first_decision_on_belongs_to_exactly_one() -> None:
    events = [_on(f"2026-03-0{2 + n // 4} {6 * (n % 4):02d}:00", "purchase") for n in range(20)]
    found = _table([_decided(step) for step in range(5)], events)
    bought = JOURNEY.channel_index("bought")
    assert [row[bought] for row in _column(found, "outcomes")] == [
        4.0,
        4.0,
        4.0,
        4.0,
        2.0,
    ]  # two came first


def test_what_happens_in_a_skipped_bin_follows_from_the_decision_before_it() -> None:
    events = [
        _on("2026-03-03 10:00", "purchase", value=8.0),
        _on("2026-03-04 10:00", "unsubscribe"),
    ]
    found = _table([_decided(0), _decided(1, decided_at=at("2026-03-03 12:00"))], events)
    assert _column(found, "reward") == [8.0, -4.0]  # the purchase came before the second decision
    assert _column(found, "terminal") == [False, True]  # nobody decided in the last bin


@pytest.mark.slow
def test_an_episode_is_complete_when_its_horizon_is_over_however_it_went() -> None:
    ended = [_on("2026-03-02 10:00", "unsubscribe")]
    early = _table([_decided(0)], ended, as_of="2026-03-08 00:00")
    assert _column(early, "matured") == [True]
    assert _column(early, "complete") == [False]
    late = _table([_decided(0)], ended, as_of="2026-06-08 00:00")
    assert _column(late, "complete") == [True]


@pytest.mark.slow
def test_what_was_not_carried_out_costs_nothing_and_teaches_a_world_nothing() -> None:
    sent = {"action": "send:hello@now"}
    found = _table([_decided(0, **sent), _decided(1, deferred=True, **sent)], [])
    assert _column(found, "reward") == [-0.5, 0.0]
    late = _table([_decided(0, deferred=True, **sent)], [], as_of="2026-06-08 00:00")
    assert _column(late, "age") == [-1]


def test_an_opt_out_that_took_a_send_back_counts_like_any_other() -> None:
    # A log without such episodes would keep the contacts who did not opt out.
    left = [_on("2026-03-02 10:00", "unsubscribe")]
    send = _decided(0, action="send:hello@now", deferred=True)
    found = _table([send], left, as_of="2026-06-08 00:00")
    assert _column(found, "reward") == [-4.0]
    assert _column(found, "terminal") == [True]
    assert _column(found, "matured") == _column(found, "complete") == [True]


def test_an_event_between_two_decisions_of_a_bin_follows_from_the_first() -> None:
    noon = at("2026-03-02 12:00")
    decisions = [
        _decided(0, decided_at=noon, action="pause:1"),
        _decided(0, action="send:hello@now"),
    ]
    found = _table(decisions, [_on("2026-03-02 10:00", "purchase", value=8.0)])
    assert _column(found, "action") == ["send:hello@now", "pause:1"]
    assert _column(found, "reward") == [7.5, 0.0]


def test_an_exit_ends_the_episode() -> None:
    found = _table([_decided(0), _decided(1, action="exit")], [])
    assert _column(found, "terminal") == [False, True]


def test_each_episode_of_a_contact_has_its_own_events() -> None:
    again = datetime(2026, 3, 20)
    decisions = [
        _decided(0, episode_id="first"),
        _decided(1, episode_id="first"),
        _decided(0, episode_id="second", anchor=again, decided_at=at("2026-03-20 09:00")),
        _decided(1, episode_id="second", anchor=again, decided_at=at("2026-03-21 09:00")),
    ]
    events = [
        _on("2026-03-04 10:00", "purchase", value=9.0),  # follows from the last of the first
        _on("2026-03-19 10:00", "purchase", value=9.0),
        _on("2026-03-20 10:00", "purchase", value=5.0),
    ]
    assert _column(_table(decisions, events), "reward") == [0.0, 9.0, 5.0, 0.0]


@pytest.mark.parametrize(
    "as_of, matured", [("2026-03-04 23:59", [False, False]), ("2026-03-05 00:00", [True, False])]
)
def test_a_reward_matures_when_its_slowest_signal_is_in(as_of: str, matured: list[bool]) -> None:
    # bin 0 ends on 3 March; `hot` is weighed and known two bins later
    assert _column(_table([_decided(0), _decided(1)], [], as_of=as_of), "matured") == matured


@pytest.mark.slow
def test_the_log_is_complete_up_to_its_last_record_unless_told_otherwise() -> None:
    event = _on("2026-03-02 10:00", "page_view", recorded_at=at("2026-03-06 00:00"))
    assert _column(_table([_decided(1), _decided(2)], [event]), "matured") == [True, False]
    assert _column(_table([_decided(0)], []), "matured") == [False]


@pytest.mark.slow
def test_a_contact_is_out_of_reach_when_no_send_was_open() -> None:
    # hello, pause, escalate, exit
    masks = [[True, True, False, False], [False, True, True, True], []]
    decisions = [_decided(step, mask=mask) for step, mask in enumerate(masks)]
    assert _column(_table(decisions, []), "available") == [True, True, True]
    reach = replace(JOURNEY, guardrails=replace(JOURNEY.guardrails, availability=True))
    assert _column(_table(decisions, [], reach), "available") == [True, False, True]
    assert len(ActionCatalog.of(reach)) == 4
    with pytest.raises(ActionError, match="mask of 4 actions, got 2 in decision 'd0'"):
        _table([_decided(0, mask=[True, True])], [], reach)


def test_an_action_of_another_catalogue_is_refused() -> None:
    with pytest.raises(ActionError, match="'send:bye@now' in decision 'd1'"):
        _table([_decided(0), _decided(1, action="send:bye@now")], [])


@pytest.mark.slow
def test_a_delay_counts_the_bins_from_the_end_of_the_event_s_to_the_first_that_knows() -> None:
    bought = JOURNEY.channel_index("bought")
    for recorded, bins in (
        ("2026-03-02 10:00", 0),  # the same day: known tomorrow morning
        ("2026-03-03 00:00", 0),  # as tomorrow begins: still known then
        ("2026-03-03 00:01", 1),
        ("2026-03-05 23:59", 3),
    ):
        event = _on("2026-03-02 10:00", "purchase", value=8.0, recorded_at=at(recorded))
        found = _column(_table([_decided(0), _decided(1)], [event]), "event_delay")
        assert [row[bought] for row in found] == [bins, -1]


def test_the_first_of_two_events_says_how_late_the_channel_was() -> None:
    late = _on("2026-03-02 10:00", "purchase", value=8.0, recorded_at=at("2026-03-05 10:00"))
    soon = _on("2026-03-02 11:00", "purchase", value=8.0)
    found = _column(_table([_decided(0)], [late, soon]), "event_delay")
    assert found[0][JOURNEY.channel_index("bought")] == 0


def test_age_counts_whole_bins_from_the_end_of_the_decision_s_to_the_reading() -> None:
    decisions = [_decided(step) for step in range(3)]
    found = _table(decisions, [], as_of="2026-03-04 15:00")  # in the third bin
    assert _column(found, "age") == [1, 0, -1]


@pytest.mark.slow
def test_a_bin_is_matured_when_its_age_reaches_the_longest_delay() -> None:
    longest = max(JOURNEY.delays)
    for day in range(3, 12):
        found = _table([_decided(0)], [], as_of=f"2026-03-{day:02d} 00:00")
        age = _column(found, "age")[0]
        assert _column(found, "matured") == [age >= longest]
