"""The warehouse query, the server's state and the simulator's state give the same bits."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from nurture_envs.clock import utc_microseconds, weekday_of
from nurture_envs.features import (
    FeatureSpec,
    FeatureState,
    History,
    evaluate,
    state_from_events,
)
from nurture_envs.journey import Journey
from nurture_envs.running_features import RunningFeatures, RunningState
from nurture_envs.signals import channel_rows
from nurture_rl.features.bins import BinnedLog, bin_log
from nurture_rl.features.query import feature_matrix
from nurture_rl.logs.schema import CONTACTS, DECISIONS, EVENTS
from tests.unit.features.small_journey import DAY_CLOCK, FEATURES, SLOT_FEATURES, shop_journey

pytestmark = pytest.mark.slow

FloatMatrix = NDArray[np.float32]
IntArray = NDArray[np.int64]

HOUR = 3_600_000_000
SLOTS_CLOCK = {"period_hours": 24, "slots_hours": [1, 2.5, 9, 14.25], "periods": 3}
ODD_CLOCK = {"period_hours": 36.5, "slots_hours": [0, 7], "periods": 3}

# Episodes start around the weekends on which clocks change, and one before 1970.
CONTACT_IDS = ("ann", "bob", "cem", "dee")
ZONES = ("Europe/Berlin", "America/New_York", None, "Australia/Lord_Howe")
ANCHORS = (datetime(2026, 3, 27), datetime(2026, 10, 31), datetime(1969, 12, 29, 7, 30))
_WORDS = (
    ("sent", None, None, None, None),
    ("page_view", None, "pricing", None, None),
    ("click", "security", None, None, None),
    ("reply", None, None, "objection", None),
    ("purchase", None, None, None, None),
    ("stage_changed", None, None, None, "warm"),
    ("stage_changed", None, None, None, "hot"),
    ("visit", None, None, None, None),  # no signal
)


@dataclass(frozen=True, slots=True)
class Happening:
    """One event, told by where it lies among the bins of one episode."""

    contact: int
    anchor: int  # which of the contact's episodes
    bin: int
    shift_us: int  # from the edge of the bin
    word: int
    late_us: int  # from the event to its record; negative for a skewed clock
    value: float | None


def _happenings(latest: int) -> st.SearchStrategy[list[Happening]]:
    shift = st.sampled_from([0, -1, 1]) | st.integers(0, 30).map(lambda h: h * HOUR // 2)
    happening = st.builds(
        Happening,
        contact=st.integers(0, len(CONTACT_IDS) - 1),
        anchor=st.integers(0, len(ANCHORS) - 1),
        bin=st.integers(-8, 8),
        shift_us=shift,
        word=st.integers(0, len(_WORDS) - 1),
        late_us=st.sampled_from([0, 0, -HOUR, HOUR]) | st.integers(0, latest * 4 * HOUR),
        value=st.none() | st.floats(-50, 50),
    )
    return st.lists(happening, max_size=60)


def _log(journey: Journey, happenings: list[Happening], order: int) -> BinnedLog:
    """The log with every episode decided in every bin, its rows in a random order."""
    rng = np.random.default_rng(order)
    contacts = pa.Table.from_pylist(
        [
            {
                "contact_id": name,
                "time_zone": zone,
                "attributes": f'{{"size": {i}, "plan": "free"}}',
            }
            for i, (name, zone) in enumerate(zip(CONTACT_IDS, ZONES, strict=True))
        ],
        schema=pa.schema([CONTACTS.field(c) for c in ("contact_id", "time_zone", "attributes")]),
    )
    decisions = _decisions(journey)
    events = _events(journey, happenings)
    events, decisions = (
        t.take(pa.array(rng.permutation(t.num_rows), pa.int64())) for t in (events, decisions)
    )
    return bin_log(events, contacts, decisions, journey, default_zone="Asia/Kolkata")


def _journey(clock: dict[str, object]) -> Journey:
    """Every kind of feature that the clock allows."""
    return shop_journey(FEATURES if clock is DAY_CLOCK else SLOT_FEATURES, clock)


def _utc(anchor: int, contact: int, from_anchor_us: int) -> int:
    start = np.datetime64(ANCHORS[anchor], "us").astype(np.int64)
    zone = np.array([ZONES[contact] or "Asia/Kolkata"])
    return int(utc_microseconds(np.array([start + from_anchor_us]), zone)[0])


def _decisions(journey: Journey) -> pa.Table:
    rows = [
        {
            "contact_id": name,
            "episode_id": f"{name}-{episode}",
            "anchor": anchor,
            "step": step,
            # some decide at the edge, some an hour into the bin
            "decided_at": _utc(
                episode, c, int(journey.clock.start_us(step)) + (c + step) % 2 * HOUR
            ),
        }
        for c, name in enumerate(CONTACT_IDS)
        for episode, anchor in enumerate(ANCHORS)
        for step in range(journey.clock.horizon)
    ]
    wanted = ("contact_id", "episode_id", "anchor", "step", "decided_at")
    return pa.Table.from_pylist(rows, schema=pa.schema([DECISIONS.field(c) for c in wanted]))


def _events(journey: Journey, happenings: list[Happening]) -> pa.Table:
    rows = []
    for h in happenings:
        when = _utc(h.anchor, h.contact, int(journey.clock.start_us(h.bin)) + h.shift_us)
        words = ("type", "topic", "page_category", "reply_class", "stage")
        rows.append(
            {
                "contact_id": CONTACT_IDS[h.contact],
                "occurred_at": when,
                "recorded_at": when + h.late_us,
                "value": h.value,
                "is_machine": False,
                **dict(zip(words, _WORDS[h.word], strict=True)),
            }
        )
    names = ["contact_id", "occurred_at", "recorded_at", "value", "is_machine", "type", "topic"]
    names += ["page_category", "reply_class", "stage"]
    return pa.Table.from_pylist(rows, schema=pa.schema([EVENTS.field(c) for c in names]))


@dataclass(frozen=True, slots=True)
class _Counted:
    """Channel rows with the decision that counts them."""

    decision: IntArray
    bin: IntArray
    channel: IntArray
    amount: NDArray[np.float64]


def _counted(log: BinnedLog, journey: Journey) -> _Counted:
    """Which channel rows each decision may count, by looking at every pair."""
    times, events = log.times, log.events
    decision, event = np.nonzero(
        (times.contact[:, None] == events.contact[None, :])
        & (events.known_us[None, :] <= times.decided_us[:, None])
    )
    rows = channel_rows(events.signal[event], events.value[event], journey)
    decision, event = decision[rows.event], event[rows.event]
    bins = journey.clock.bin_of(events.local_us[event], times.anchor_us[decision])
    done = bins < times.step[decision]
    return _Counted(decision[done], bins[done], rows.channel[done], rows.amount[done])


def _by_state(log: BinnedLog, journey: Journey) -> FloatMatrix:
    spec, times, seen = FeatureSpec.of(journey), log.times, _counted(log, journey)
    lag = times.step[seen.decision] - seen.bin
    state = state_from_events(spec, seen.decision, lag, seen.channel, seen.amount, times.step)
    return _evaluate(spec, state, log, np.arange(len(times.step)))


def _evaluate(
    spec: FeatureSpec, state: FeatureState, log: BinnedLog, rows: IntArray
) -> FloatMatrix:
    times = log.times
    attributes = spec.encode_attributes(log.contacts.attributes)[times.contact[rows]]
    found = evaluate(spec, state, times.step[rows], times.anchor_us[rows], attributes)
    return np.asarray(found, np.float32)


def _by_advancing(log: BinnedLog, journey: Journey) -> FloatMatrix:
    """Decide bin after bin, each time adding only what became known since the last decision."""
    spec, times, seen = FeatureSpec.of(journey), log.times, _counted(log, journey)
    result = np.zeros((len(times.step), len(spec.columns)), np.float32)
    depth, horizon = max(journey.delays), journey.clock.horizon
    near = seen.bin >= -depth  # what is older was known when the episode began
    place = (seen.decision[near], seen.bin[near] + depth, seen.channel[near])
    totals = np.zeros((len(times.step), depth + horizon, len(spec.channels)))
    np.add.at(totals, place, seen.amount[near])
    order = np.lexsort((times.step, times.episode))
    rows = order.reshape(-1, horizon)  # one line per episode
    first = np.isin(seen.decision, rows[:, 0])
    line = np.zeros(len(times.step), np.int64)
    line[rows[:, 0]] = np.arange(len(rows))
    state = state_from_events(
        spec,
        line[seen.decision[first]],
        -seen.bin[first],
        seen.channel[first],
        seen.amount[first],
        times.step[rows[:, 0]],
    )
    running = RunningFeatures(spec, late=range(len(spec.channels)))  # any record may be late
    past = History(
        torch.as_tensor(state.ring).permute(1, 2, 0), torch.as_tensor(state.last).T.contiguous()
    )
    closed = running.begin(past)
    result[rows[:, 0]] = _read(running, closed, log, rows[:, 0])
    for step in range(1, horizon):
        new = totals[rows[:, step]] - totals[rows[:, step - 1]]
        known = np.flip(new[:, step - 1 : step + depth], axis=1)  # the bin that closed comes first
        late = torch.as_tensor(known.astype(np.float32)).permute(1, 2, 0)
        bins = torch.full((len(rows),), float(step - 1))
        closed = running.close(closed, late[0], bins, list(late[:, running.late]))
        result[rows[:, step]] = _read(running, closed, log, rows[:, step])
    return result


def _read(
    running: RunningFeatures, state: RunningState, log: BinnedLog, rows: IntArray
) -> FloatMatrix:
    times, spec = log.times, running.spec
    attributes = spec.encode_attributes(log.contacts.attributes)[times.contact[rows]]
    start_us = times.anchor_us[rows] + spec.clock.start_us(times.step[rows])
    found = running.evaluate(
        state,
        torch.as_tensor(times.step[rows]).float(),
        torch.as_tensor(weekday_of(start_us)).float(),
        torch.as_tensor(attributes).T,
    )
    return torch.stack(found, dim=1).numpy()


def _differing(first: FloatMatrix, second: FloatMatrix, journey: Journey) -> list[str]:
    columns = (first.view(np.int32) != second.view(np.int32)).any(axis=0)
    return [name for name, bad in zip(FeatureSpec.of(journey).columns, columns, strict=True) if bad]


_SETTINGS = settings(
    max_examples=16,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],  # every shrinking step would run a query
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@_SETTINGS
@given(
    happenings=_happenings(latest=30),
    clock=st.sampled_from([DAY_CLOCK, SLOTS_CLOCK, ODD_CLOCK]),
    order=st.integers(0, 99),
)
def test_the_query_equals_the_array_engine_bit_for_bit(
    happenings: list[Happening], clock: dict[str, object], order: int
) -> None:
    journey = _journey(clock)
    log = _log(journey, happenings, order)
    query = feature_matrix(log, FeatureSpec.of(journey))
    assert _differing(query, _by_state(log, journey), journey) == []


@_SETTINGS
@given(
    told=_happenings(latest=6).map(lambda some: (DAY_CLOCK, some))
    | _happenings(latest=0).map(lambda some: (SLOTS_CLOCK, some)),
    order=st.integers(0, 99),
)
def test_advancing_the_state_equals_the_query_when_no_record_outlasts_the_largest_delay(
    told: tuple[dict[str, object], list[Happening]], order: int
) -> None:
    clock, happenings = told
    journey = _journey(clock)
    log = _log(journey, happenings, order)
    query = feature_matrix(log, FeatureSpec.of(journey))
    assert _differing(query, _by_advancing(log, journey), journey) == []


def test_ignoring_when_an_event_was_recorded_changes_features() -> None:
    # the negative control of the agreement above: late records do matter in such logs
    journey = shop_journey()
    rng = np.random.default_rng(0)
    late = [
        Happening(c, a, int(rng.integers(-3, 4)), 0, int(rng.integers(0, 7)), 40 * HOUR, 1.0)
        for c in range(4)
        for a in range(3)
        for _ in range(4)
    ]
    log = _log(journey, late, 0)
    forgetful = replace(log, events=replace(log.events, known_us=log.events.local_us - 99 * HOUR))
    query = feature_matrix(forgetful, FeatureSpec.of(journey))
    assert "views_3" in _differing(query, _by_state(log, journey), journey)


@pytest.mark.parametrize("clock", [DAY_CLOCK, SLOTS_CLOCK, ODD_CLOCK])
def test_the_order_of_the_log_does_not_matter(clock: dict[str, object]) -> None:
    journey = _journey(clock)
    some = [Happening(c % 4, c % 3, c % 9 - 4, c % 3 - 1, c % 8, 0, 0.3 * c) for c in range(80)]
    first, second = (_log(journey, some, order) for order in (1, 2))
    spec = FeatureSpec.of(journey)
    rows = [_sorted_rows(log, feature_matrix(log, spec)) for log in (first, second)]
    assert np.array_equal(rows[0], rows[1])


def _sorted_rows(log: BinnedLog, features: FloatMatrix) -> FloatMatrix:
    names = np.array(log.contacts.ids.to_pylist())[log.times.contact]
    return features[np.lexsort((log.times.step, log.times.anchor_us, names))]
