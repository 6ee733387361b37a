"""How soon contacts enter a next stage: waits by hand, curves against planted hazards."""

from __future__ import annotations

import json
from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pytest

from nurture_envs.clock import DAY_US
from nurture_rl.errors import ConfigError
from nurture_rl.features.bins import BinnedLog, DecidedContacts, DecisionTimes, SignalEvents
from nurture_rl.predictions.contact_groups import NOBODY, ContactGroups, groups_by_attribute
from nurture_rl.predictions.incidence import NOTHING
from nurture_rl.predictions.log_episodes import LogEpisodes
from nurture_rl.predictions.stage_readiness import StageReadiness, stage_readiness
from nurture_rl.predictions.stage_waits import BEGIN, LEFT, StageWait, stage_waits
from nurture_rl.report.readiness_parts import readiness_picture, readiness_table
from tests.unit.features.small_journey import shop_journey

SHOP = shop_journey(clock={"period_hours": 24, "slots_hours": [0], "periods": 40})
SIGNALS = [one.name for one in SHOP.signals]
WARM, HOT, BOUGHT = 1, 2, 3  # what may come next


def log_of(
    days: list[dict[str, float]], watched: float | np.ndarray, account: int = 1
) -> tuple[BinnedLog, LogEpisodes]:
    """An episode for each contact, with the days of its signals."""
    n, nobody = len(days), np.zeros(0, np.int64)
    rows = [
        (who, day, SIGNALS.index(name)) for who, own in enumerate(days) for name, day in own.items()
    ]
    who, day, signal = (np.array(column) for column in zip(*rows, strict=True))
    at = np.round(day * DAY_US).astype(np.int64)
    events = SignalEvents(who, at, at, signal, np.zeros(len(rows)))
    contacts = DecidedContacts(pa.array([f"p{i}" for i in range(n)]), np.full(n, "UTC", object), ())
    log = BinnedLog(contacts, DecisionTimes(*[nobody] * 6), events, {})
    zero = np.zeros(n, np.int64)
    cluster = np.array([f"a{i // account}" for i in range(n)], object)
    known = np.broadcast_to(np.asarray(watched, float), n)
    return log, LogEpisodes(np.arange(n), zero, zero, cluster, known, 40 * DAY_US)


def waits(
    days: list[dict[str, float]], watched: float, from_day: float = 0.0
) -> dict[str, StageWait]:
    return {one.stage: one for one in stage_waits(*log_of(days, watched), SHOP, from_day)}


def test_a_wait_ends_with_the_next_stage_or_with_leaving_or_is_still_open() -> None:
    found = waits(
        [
            {"warm": 2.0, "hot": 5.0, "bought": 9.0},
            {"hot": 3.0, "warm": 4.0},  # backward is a next stage, too
            {"left": 6.0},
            {"warm": 1.0, "left": 4.0},
            {"bought": 30.0},  # after the log ends
        ],
        20.0,
    )
    begin = found[BEGIN]
    assert begin.days.tolist() == [2.0, 3.0, 6.0, 1.0, 20.0]
    assert begin.came.tolist() == [WARM, HOT, LEFT, WARM, NOTHING]
    assert found["warm"].episode.tolist() == [0, 1, 3]
    assert found["warm"].days.tolist() == [3.0, 16.0, 3.0]
    assert found["warm"].came.tolist() == [HOT, NOTHING, LEFT]
    assert found["hot"].days.tolist() == [4.0, 1.0]
    assert found["hot"].came.tolist() == [BOUGHT, WARM]
    assert begin.next == ("warm", "hot", "purchases")


def test_stages_of_one_moment_follow_in_the_journeys_order() -> None:
    found = waits([{"warm": 2.0, "hot": 2.0}], 20.0)
    assert (found["warm"].days[0], found["warm"].came[0]) == (0.0, HOT)
    assert found["hot"].came.tolist() == [NOTHING]


def test_who_is_grouped_by_a_week_waits_from_its_end_on() -> None:
    """Else those who went on within it would be held against those who could not yet."""
    days = [{"warm": 2.0, "hot": 9.0}, {"warm": 3.0, "hot": 5.0}, {"warm": 11.0}, {"left": 6.0}]
    found = waits(days, 20.0, 7.0)
    assert found[BEGIN].episode.tolist() == [2]
    assert found[BEGIN].days.tolist() == [4.0]
    assert found["warm"].episode.tolist() == [0, 2]
    assert found["warm"].days.tolist() == [2.0, 9.0]


def of_two(wait: StageWait) -> StageReadiness:
    """Readiness of two halves of the contacts."""
    group = np.arange(int(wait.episode.max()) + 1) % 2
    (found,) = stage_readiness([wait], ContactGroups("half", group, ("even", "odd"), 0.0), 7.0)
    return found


def test_the_hazard_is_steps_by_weeks_and_the_chance_a_share_where_all_are_watched() -> None:
    n = 40
    came = np.where(np.arange(n) < 20, WARM, NOTHING)
    days = np.where(came == WARM, 3.5, 14.0)
    wait = StageWait(BEGIN, ("warm", "hot"), np.arange(n), np.arange(n), days, came)
    group = ContactGroups("all", np.zeros(n, np.int64), ("all",), 0.0)
    (found,) = stage_readiness([wait], group, 7.0)
    (one,) = found.segments
    assert one.weekly == pytest.approx(20 / (20 * 0.5 + 20 * 2.0))
    point = one.by(7.0)
    assert point is not None
    assert (point.day, point.chance) == (7.0, 0.5)
    assert one.into == pytest.approx({"warm": 0.5, "hot": 0.0, "leaves": 0.0})
    assert (found.p, found.told) == (1.0, False)


def test_intervals_of_readiness_cover_what_is_planted_in_small_logs() -> None:
    """Two segments of 60 in accounts of three; some leave, and logs end at any time."""
    rates, leaves, by = np.array([0.04, 0.10]), 0.03, 7.0
    heat = np.random.default_rng(0).gamma(4.0, 0.25, 200_000)[:, None] * rates
    truth = (heat / (heat + leaves) * (1.0 - np.exp(-(heat + leaves) * by))).mean(axis=0)
    covered, alarms, rng = np.zeros(2), 0, np.random.default_rng(1)
    group = ContactGroups("half", (np.arange(120) // 3) % 2, ("slow", "fast"), 0.0)
    for _ in range(200):
        own = rng.gamma(4.0, 0.25, 40).repeat(3)
        warm = rng.exponential(1.0 / (own * rates[group.group]))
        left = rng.exponential(1.0 / leaves, 120)
        days = [{"warm": float(a), "left": float(b)} for a, b in zip(warm, left, strict=True)]
        log, episodes = log_of(days, rng.uniform(1.0, 25.0, 120), account=3)
        begin = stage_readiness(stage_waits(log, episodes, SHOP)[:1], group, by)[0]
        points = [one.by(by) for one in begin.segments]
        covered += [
            p is not None and p.lower <= t <= p.upper for p, t in zip(points, truth, strict=True)
        ]
        alarms += begin.p < 0.05
    assert (covered >= 177).all()  # 190 expected, four standard deviations
    assert alarms > 100  # the two are told apart in most logs


def test_alike_segments_are_rarely_told_apart() -> None:
    rng, alarms = np.random.default_rng(2), 0
    for _ in range(200):
        own = rng.gamma(1.0, 0.1, 24).repeat(5)
        when, watched = rng.exponential(1.0 / own), rng.uniform(3.0, 25.0, 120)
        came = np.where(when <= watched, WARM, NOTHING)
        cluster = np.arange(24).repeat(5)
        days = np.minimum(when, watched)
        wait = StageWait(BEGIN, ("warm",), np.arange(120), cluster, days, came)
        group = ContactGroups("half", cluster % 2, ("even", "odd"), 0.0)
        alarms += stage_readiness([wait], group, 7.0)[0].p < 0.05
    assert alarms <= 22  # 10 expected, four standard deviations


def about(*attributes: Mapping[str, object]) -> tuple[DecidedContacts, LogEpisodes]:
    n, zero = len(attributes), np.zeros(len(attributes), np.int64)
    read = tuple(json.loads(json.dumps(one)) for one in attributes)
    known = DecidedContacts(pa.array([f"p{i}" for i in range(n)]), np.full(n, "UTC", object), read)
    return known, LogEpisodes(np.arange(n), zero, zero, zero.astype(object), np.zeros(n), DAY_US)


def test_groups_are_levels_or_thirds_and_who_has_none_is_told_apart() -> None:
    found = groups_by_attribute("role", *about({"role": "it"}, {"role": "hr"}, {}, {"role": "it"}))
    assert [found.names[one] for one in found.group] == ["it", "hr", "not known", "it"]
    sizes = groups_by_attribute("size", *about(*({"size": i} for i in range(9)), {"size": ""}))
    assert np.bincount(sizes.group).tolist() == [3, 3, 3, 1]
    many = groups_by_attribute("role", *about(*({"role": f"r{i // 2}"} for i in range(16))))
    assert sum(many.names[one] == "other" for one in many.group) == 4
    assert NOBODY not in many.group
    with pytest.raises(ConfigError, match="got 'rôle'; they have role"):
        groups_by_attribute("rôle", *about({"role": "it"}))


def test_table_and_picture_tell_each_segment_of_each_stage() -> None:
    rng, n = np.random.default_rng(3), 300
    when = rng.exponential(np.where(np.arange(n) % 2, 5.0, 50.0))
    came, days = np.where(when < 20.0, WARM, NOTHING), np.minimum(when, 20.0)
    found = of_two(StageWait(BEGIN, ("warm",), np.arange(n), np.arange(n), days, came))
    table = readiness_table([found], "half", 7.0)
    assert [row[:3] for row in table.rows] == [(BEGIN, "even", "150"), (BEGIN, "odd", "150")]
    assert found.p < 1e-9
    assert readiness_picture([found]) == readiness_picture([found])
