"""What came after a decision, when, and for how long it was looked for; who is in it now."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from nurture_envs.features import FeatureSpec
from nurture_rl.features import decision_table
from nurture_rl.features.bins import bin_log
from nurture_rl.predictions.current_contacts import current_contacts, known_by
from nurture_rl.predictions.landmarks import Landmarks, landmarks_of, late_days, parts_of_episodes
from nurture_rl.predictions.predicted_outcomes import PredictedOutcome
from tests.unit.features.small_journey import shop_journey
from tests.unit.features.small_log import at, contacts_table, decisions_table, events_table

SHOP = shop_journey()  # five bins of a day
LEFT = PredictedOutcome("churn", "leaves", ("left",), once=True)
CLICKS = PredictedOutcome("engage", "clicks", ("clicked",))
WARM = PredictedOutcome("warm", "gets warm", ("warm",))
ZONE = "America/New_York"


def moment(text: str) -> int:
    return round(at(text).timestamp() * 1e6)


EVENTS = events_table(
    [
        {"contact_id": "ann", "occurred_at": at("2026-03-03 12:00", ZONE), "type": "click",
         "topic": "security"},
        {"contact_id": "ann", "occurred_at": at("2026-03-05 06:00", ZONE), "type": "click",
         "topic": "security", "recorded_at": at("2026-03-07 06:00", ZONE)},
        {"contact_id": "bob", "occurred_at": at("2026-03-03 08:00"), "type": "unsubscribe"},
    ]
)  # fmt: skip
CONTACTS = contacts_table(
    [{"contact_id": "ann", "time_zone": ZONE}, {"contact_id": "bob"}, {"contact_id": "cid"}]
)
DECISIONS = decisions_table(
    [
        {"contact_id": "ann", "anchor": at("2026-03-02 00:00").replace(tzinfo=None), "step": s,
         "decided_at": at(f"2026-03-0{2 + s} 02:00", ZONE)}
        for s in range(4)
    ]
    + [
        {"contact_id": who, "anchor": at("2026-03-02 00:00").replace(tzinfo=None), "step": s,
         "decided_at": at(f"2026-03-0{2 + s} 00:00")}
        for who in ("bob", "cid") for s in range(2)
    ]
)  # fmt: skip


def marked(goes_on: bool | None = None) -> tuple[Landmarks, bool]:
    log = bin_log(EVENTS, CONTACTS, DECISIONS, SHOP)
    nothing = np.zeros((len(DECISIONS), 1), np.float32)
    who = np.asarray(DECISIONS["contact_id"].to_pylist(), object)
    return landmarks_of(log, nothing, who, SHOP, (LEFT, CLICKS), goes_on)


def test_days_run_from_the_start_of_the_bin_on_the_contacts_own_clock() -> None:
    marks, _ = marked()
    # Ann clicks at noon of her second day, and at six of her fourth.
    assert marks.days_until[:4, 1] == pytest.approx([1.5, 0.5, 1.25, 0.25])
    assert np.isinf(marks.days_until[4:, 1]).all()
    assert marks.age[:4].tolist() == [0.0, 1.0, 2.0, 3.0]


def test_what_was_done_before_a_decision_is_told_apart_from_what_comes() -> None:
    marks, _ = marked()
    assert marks.had[:4, 1].tolist() == [False, False, True, True]
    assert marks.had[4:6, 0].tolist() == [False, False]  # Bob leaves after his second decision
    assert marks.days_until[4:6, 0] == pytest.approx([4 / 3, 1 / 3])


def test_a_window_is_watched_until_the_log_ends_less_what_may_be_late() -> None:
    marks, _ = marked(goes_on=True)
    as_of = moment("2026-03-06 05:00")  # midnight in New York
    assert marks.watched(as_of, 0.0)[:4] == pytest.approx([4.0, 3.0, 2.0, 1.0])
    assert marks.watched(as_of, 2.5)[:4] == pytest.approx([1.5, 0.5, 0.0, 0.0])
    assert late_days(SHOP, WARM) == 1.0
    assert late_days(SHOP, CLICKS) == 0.0


def test_a_log_that_is_silent_after_episodes_is_watched_to_their_end() -> None:
    marks, goes_on = marked()
    assert not goes_on
    assert marks.watched(moment("2026-06-01 00:00"), 0.0)[:4].tolist() == [5.0, 4.0, 3.0, 2.0]
    later = events_table(
        [{"contact_id": "cid", "occurred_at": at("2026-03-20 09:00"), "type": "click",
          "topic": "security"}]
    )  # fmt: skip
    log = bin_log(pa.concat_tables([EVENTS, later]), CONTACTS, DECISIONS, SHOP)
    assert landmarks_of(
        log, np.zeros((8, 1), np.float32), np.array(["x"] * 8, object), SHOP, (LEFT,)
    )[1]


def test_an_event_is_known_from_when_it_was_recorded() -> None:
    marks, _ = marked()
    known = at("2026-03-07 06:00", ZONE).timestamp() * 1e6
    assert marks.known_us[2, 1] == known
    assert len(known_by(EVENTS, moment("2026-03-06 00:00"))) == 2


def test_each_day_of_an_episode_is_a_part_and_long_ones_have_thirty() -> None:
    assert parts_of_episodes(SHOP).tolist() == [0, 1, 2, 3, 4, 5, 12, 35, 95, np.inf]
    long = shop_journey(clock={"period_hours": 24, "slots_hours": [0], "periods": 90})
    assert parts_of_episodes(long)[:3].tolist() == [0.0, 3.0, 6.0]


def test_contacts_are_scored_as_a_decision_made_now_would_see_them() -> None:
    table = decision_table(EVENTS, CONTACTS, DECISIONS, SHOP).table
    now = moment("2026-03-05 07:00")  # two at night in New York: Ann's fourth decision
    made = table.filter(pa.array(np.asarray(table["decided_at"].cast(pa.int64())) < now))
    found = current_contacts(known_by(EVENTS, now), CONTACTS, made, SHOP, now, "UTC")
    # Bob has left.
    assert found.table["contact_id"].to_pylist() == ["ann", "cid"]
    assert found.over == 1
    assert found.table["step"].to_pylist() == [3, 3]
    of_ann = np.asarray(table["features"].to_pylist())[
        [
            i
            for i, row in enumerate(table.to_pylist())
            if (row["contact_id"], row["step"]) == ("ann", 3)
        ]
    ]
    assert np.array_equal(found.features[:1], of_ann.astype(np.float32))
    assert found.features.shape[1] == len(FeatureSpec.of(SHOP).columns)


def test_nobody_is_in_a_journey_that_is_over() -> None:
    table = decision_table(EVENTS, CONTACTS, DECISIONS, SHOP).table
    found = current_contacts(EVENTS, CONTACTS, table, SHOP, moment("2026-04-01 00:00"), "UTC")
    assert (len(found.table), found.over) == (0, 3)
