"""Features of hand-made pasts, and the state that is carried from bin to bin."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nurture_envs.clock import DAY_US
from nurture_envs.errors import JourneyError
from nurture_envs.features import (
    NEVER,
    FeatureSpec,
    FeatureState,
    History,
    evaluate,
    state_from_events,
)
from nurture_envs.journey import Journey
from nurture_envs.journey_file import load_journey
from nurture_envs.running_features import RunningFeatures
from tests.unit.envs.toy_journey import toy

JOURNEY = toy()
SPEC = FeatureSpec.of(JOURNEY)
MONDAY = 20_549 * DAY_US  # 2026-04-06
Event = tuple[int, str, float]  # (bin, channel, amount)


def state_at(
    now: int, events: list[Event], journey: Journey = JOURNEY, late: bool = False
) -> FeatureState:
    """The past of one contact at the start of bin `now`; `late` heeds each channel's delay."""
    delays = dict(zip(journey.channels, journey.delays, strict=True))
    known = [e for e in events if not late or e[0] + delays[e[1]] < now]
    return state_from_events(
        FeatureSpec.of(journey),
        contact=np.zeros(len(known), np.int64),
        lag=now - np.array([bin_ for bin_, _, _ in known], np.int64),
        channel=np.array([journey.channel_index(name) for _, name, _ in known], np.int64),
        amount=np.array([amount for _, _, amount in known]),
        bins=np.array([now]),
    )


def values(
    name: str,
    now: int,
    events: list[Event],
    attributes: dict[str, Any] | None = None,
    journey: Journey = JOURNEY,
) -> list[float]:
    """The columns of one feature for one contact at the start of bin `now`."""
    spec = FeatureSpec.of(journey)
    encoded = spec.encode_attributes([attributes or {}])
    past = state_at(now, [*events, (now, "clicked", 99.0)], journey)  # the bin itself is not over
    row = evaluate(spec, past, np.array([now]), np.array([MONDAY]), encoded)[0]
    feature = next(feature for feature in spec.features if feature.name == name)
    return [float(row[spec.column(column)]) for column in spec.names(feature)]


def test_a_count_sums_its_signals_over_the_window_of_completed_bins() -> None:
    events = [(4, "sent_red", 1.0), (3, "sent_blue", 2.0), (2, "sent_red", 8.0)]
    assert values("sends_2", 5, events) == [3.0]  # bins 4 and 3
    assert values("sends_2", 4, events) == [10.0]  # bins 3 and 2
    assert values("sends_2", 9, events) == [0.0]


def test_values_are_summed_beside_the_counts() -> None:
    events = [(1, "bought", 1.0), (1, "bought.value", 12.5), (0, "bought.value", -2.25)]
    assert values("spent_3", 2, events) == [10.25]


def test_recency_is_the_number_of_bins_since_and_stops_at_its_window() -> None:
    for now, expected in ((1, 1.0), (2, 2.0), (3, 3.0), (4, 3.0), (100, 3.0)):
        assert values("since_click", now, [(0, "clicked", 1.0)]) == [expected]
    assert values("since_click", 0, [(-7, "called", 1.0)]) == [3.0]


def test_a_ratio_of_nothing_is_nothing() -> None:
    sent = [(0, "sent_red", 1.0), (1, "sent_blue", 3.0)]
    clicked = [(0, "clicked", 1.0)]
    assert values("click_rate", 2, sent + clicked) == [0.25]
    assert values("click_rate", 2, sent) == [0.0]
    assert values("click_rate", 2, clicked) == [0.0]


def test_a_streak_counts_the_bins_after_its_last_end() -> None:
    sent = [(bin_, "sent_red", 1.0) for bin_ in (0, 1, 2, 3)]
    assert values("unanswered", 4, sent) == [3.0]  # the window is three bins
    assert values("unanswered", 4, [*sent, (2, "clicked", 1.0)]) == [1.0]
    assert values("unanswered", 4, [*sent, (3, "clicked", 1.0)]) == [0.0]
    assert values("unanswered", 4, [*sent, (-5, "clicked", 1.0)]) == [3.0]


def test_ever_remembers_beyond_every_window() -> None:
    assert values("ever_bought", 400, [(0, "bought", 1.0)]) == [1.0]
    assert values("ever_bought", 400, [(0, "clicked", 1.0)]) == [0.0]


def test_memory_tells_every_bin_of_its_window_apart() -> None:
    events = [
        (4, "sent_red", 1.0),
        (3, "sent_blue", 2.0),
        (2, "sent_red", 8.0),
        (1, "sent_red", 9.0),
    ]
    assert values("sent", 5, events) == [1.0, 2.0, 8.0]  # the last bin first
    assert values("sent", 4, events) == [2.0, 8.0, 9.0]
    assert values("sent", 9, events) == [0.0, 0.0, 0.0]
    assert values("spent", 2, [(0, "bought.value", -2.25), (0, "bought", 1.0)]) == [0.0, -2.25]
    assert SPEC.columns[-5:] == ("sent@1", "sent@2", "sent@3", "spent@1", "spent@2")


def test_attributes_are_levels_or_numbers_with_a_default() -> None:
    assert values("plan", 1, [], {"tariff": "team"}) == [0.0, 1.0]
    assert values("plan", 1, [], {"tariff": "gold"}) == [0.0, 0.0]
    assert values("plan", 1, [], {}) == [0.0, 0.0]
    assert values("size", 1, [], {"size": 12}) == [12.0]
    for missing in ({}, {"size": None}, {"size": "big"}, {"size": float("nan")}, {"size": True}):
        assert values("size", 1, [], missing) == [3.5]


def test_an_attribute_says_the_same_however_it_is_written() -> None:
    for text in ("12", " 12.0", "+1.2e1"):
        assert values("size", 1, [], {"size": text}) == [12.0]
    for beyond in (1e39, "1e39", "-1e400", 10**400, "0x10", "1_000", "12,5"):
        assert values("size", 1, [], {"size": beyond}) == [3.5]


def test_the_stage_is_the_one_entered_last_and_the_later_of_a_tie() -> None:
    assert values("stage", 5, [(1, "warm", 1.0)]) == [1.0, 0.0]
    assert values("stage", 5, [(1, "warm", 1.0), (3, "hot", 1.0)]) == [0.0, 1.0]
    assert values("stage", 5, [(3, "warm", 1.0), (1, "hot", 1.0)]) == [1.0, 0.0]  # moved back
    assert values("stage", 5, [(3, "warm", 1.0), (3, "hot", 1.0)]) == [0.0, 1.0]
    assert values("stage", 5, [(3, "clicked", 1.0)]) == [0.0, 0.0]


def test_the_calendar_tells_bin_weekday_and_slot() -> None:
    twice = toy(clock={"period_hours": 24, "slots_hours": [0, 12], "periods": 4})
    assert values("bin", 5, [], journey=twice) == [5.0]
    assert values("slot", 5, [], journey=twice) == [0.0, 1.0]
    assert values("weekday", 5, [], journey=twice) == [0, 0, 1, 0, 0, 0, 0]  # Monday and two days
    assert values("weekday", -1, [])[6] == 1.0  # the day before is a Sunday


def test_columns_are_named_after_features_and_levels_in_order() -> None:
    assert SPEC.columns[:2] == ("bin", "weekday=mon")
    assert SPEC.columns[8:14] == (
        "slot=0",
        "stage=warm",
        "stage=hot",
        "size",
        "plan=free",
        "plan=team",
    )
    assert SPEC.attribute_columns == ("size", "plan=free", "plan=team")
    assert SPEC.window == 3
    with pytest.raises(JourneyError, match="no feature column is called 'sends_9'"):
        SPEC.column("sends_9")


def test_the_hash_of_a_spec_follows_its_definitions_channels_and_clock() -> None:
    changed = [
        toy(features__sends_2__window=3),
        toy(signals__bot={"type": "click", "is_machine": True}),
        toy(clock__periods=5),
    ]
    hashes = {SPEC.hash, *(FeatureSpec.of(journey).hash for journey in changed)}
    assert len(hashes) == 4
    assert FeatureSpec.of(toy(title="Another")).hash == SPEC.hash


def test_kinds_that_came_later_leave_the_hash_of_other_specs_as_it_was() -> None:
    # bundles and worlds made before these kinds hold the hash
    assert FeatureSpec.of(load_journey("inbound_lead")).hash == "12e7b39bc41927f6"
    topics = {"kind": "affinity", "of": ["sent_*"], "by": "topic", "window": 3}
    priors = [toy(features__topics=topics | {"prior": prior}) for prior in (1, 2)]
    assert len({FeatureSpec.of(journey).hash for journey in priors}) == 2


BINS = st.integers(-4, 6)
COUNTS = st.sampled_from([name for name in JOURNEY.channels if not name.endswith(".value")])
HAPPENINGS = st.lists(
    st.tuples(BINS, COUNTS, st.integers(1, 4).map(float))
    | st.tuples(BINS, st.just("bought.value"), st.integers(-4000, 4000).map(lambda v: v / 8)),
    max_size=40,
)


# Every kind of feature over signals that are known late, and over some that are not.
LATE = toy(
    features={
        "stage": {"kind": "stage"},
        "warm_3": {"kind": "count", "of": ["warm", "clicked"], "window": 3},
        "hot_2": {"kind": "count", "of": ["hot"], "window": 2},
        "hot_share": {"kind": "ratio", "of": ["hot"], "over": ["warm", "clicked"], "window": 4},
        "since_hot": {"kind": "recency", "of": ["hot", "clicked"], "window": 5},
        "unheated": {"kind": "streak", "of": ["warm", "clicked"], "until": ["hot"], "window": 4},
        "ever_warm": {"kind": "ever", "of": ["warm"]},
        "heated": {"kind": "memory", "of": ["warm", "hot"], "window": 4},
        "heat": {"kind": "decayed", "of": ["warm", "clicked"], "window": 4, "half_life": 1.5},
        "rising": {"kind": "trend", "of": ["hot", "clicked"], "window": 2},
        "stages": {"kind": "distinct", "of": ["warm", "hot"], "by": "stage", "window": 3},
        "stage_share": {"kind": "affinity", "of": ["warm", "hot"], "by": "stage", "window": 3},
    },
    rules=[],
    expert=[],
)


@pytest.mark.slow
@given(HAPPENINGS, st.sampled_from([JOURNEY, LATE]))
def test_closing_bins_one_by_one_gives_the_features_of_the_events_at_once(
    events: list[Event], journey: Journey
) -> None:
    spec = FeatureSpec.of(journey)
    late = [c for c, delay in enumerate(journey.delays) if delay]
    running = RunningFeatures(spec, late=late)
    first = -4 - max(journey.delays)
    state = running.begin(History.of_bin(torch.zeros((len(spec.channels), 2))))
    state = replace(state, since=state.since + first)
    encoded = torch.as_tensor(spec.encode_attributes([{"tariff": "free"}] * 2))
    for bin_ in range(first, 9):
        amounts = torch.zeros((len(spec.channels), 2))
        known = torch.zeros((max(journey.delays) + 1, len(late), 2))
        for happened, channel, amount in events:
            column = journey.channel_index(channel)
            if happened + journey.delays[column] != bin_:
                continue
            if column in late:
                known[journey.delays[column], late.index(column), 0] += amount
            else:
                amounts[column, 0] += amount
        state = running.close(state, amounts, torch.full((2,), float(bin_)), list(known))
        now = bin_ + 1
        weekday = torch.full((2,), float(now % 7))  # bin 0 is a Monday
        out = torch.stack(running.evaluate(state, torch.full((2,), float(now)), weekday, encoded.T))
        at_once = state_at(now, events, journey, late=True)
        row = evaluate(spec, at_once, np.array([now]), np.array([MONDAY]), encoded.numpy()[:1])
        assert out[:, 0].numpy().tobytes() == row[0].tobytes()


def test_a_late_record_does_not_overwrite_a_newer_one() -> None:
    spec = FeatureSpec.of(LATE)
    warm, hot = (LATE.channel_index(name) for name in ("warm", "hot"))
    running = RunningFeatures(spec, late=[warm, hot])
    state = running.begin(History.of_bin(torch.zeros((len(spec.channels), 1))))
    state = replace(state, last=torch.full_like(state.last, 6.0))
    late = torch.zeros((3, 2, 1))
    late[2, 0, 0] = 1.0  # becomes known as bin 7 closes, happened in bin 5
    closed = running.close(
        state, torch.zeros((len(spec.channels), 1)), torch.tensor([7.0]), list(late)
    )
    assert float(closed.last[running.last_row(["warm"]), 0]) == 6.0


def test_contacts_do_not_see_each_others_events() -> None:
    state = state_from_events(
        SPEC,
        contact=np.array([0, 1, 1]),
        lag=np.array([1, 2, 0]),
        channel=np.array([0, 1, 2]),
        amount=np.array([1.0, 2.0, 3.0]),
        bins=np.array([5, 9]),
    )
    assert state.ring[0].sum() == 1.0
    assert state.ring[1].tolist()[1][1] == 2.0
    assert state.ring[1].sum() == 2.0
    assert state.last[:, :3].tolist() == [[4, NEVER, NEVER], [NEVER, 7, NEVER]]
