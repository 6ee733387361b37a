"""The activity trial keeps its moments, availability, doses and what was known when."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from nurture_rl.errors import LogError
from nurture_rl.logs.adapters.heartsteps import FILE, USERS, write_raw
from tests.data.adapted import (
    Adapted,
    adapt,
    assert_ingests_whole,
    assert_keeps_the_contract,
    bins_of,
    without,
    words_of,
    write_csv,
)
from tests.shared_data import shared_data

WALK, STAND = "send:active_suggestion@now", "send:sedentary_suggestion@now"

# One person, UTC-4: 12:30, 18:00 and next morning 8:00 local; then a strange and an untyped row.
ROWS: dict[str, list[object]] = {
    "user.index": [1] * 6,
    "sugg.select.utime": [
        "2015/7/22 16:30",
        "2015/7/22 22:00",
        "2015/7/23 12:00",
        "2015/7/23 16:30",
        "2015/7/23 18:30",
        None,
    ],
    "sugg.select.slot": [2, 4, 1, 2, 3, 4],
    "sugg.gmtoff": [-14400] * 5 + [None],
    "sugg.decision.utime": ["2015/7/22 16:31"] * 5 + [None],
    "avail": ["TRUE", "TRUE", "FALSE", "FALSE", "TRUE", "FALSE"],
    "send": ["TRUE", "TRUE", "FALSE", "TRUE", "TRUE", None],
    "send.active": ["TRUE", "FALSE", "FALSE", "TRUE", None, "FALSE"],
    "send.sedentary": ["FALSE", "TRUE", "FALSE", "FALSE", None, "FALSE"],
    "response": ["good", "snoozed_for_4_hours", None, "bad", None, None],
    "dec.location.category": ["home", "work", "park,establishment", "home", "home", None],
    "jbsteps30": [1311, None, 8, 7, 6, 5],
    "jbsteps30.zero": [1311, 0, 8, 7, 6, 5],
    "jbsteps30pre.zero": [0, 10, 20, 30, 40, 50],
    "jbsteps60": [1617] * 6,
    "jbsteps60pre": [874] * 6,
}
PEOPLE: dict[str, list[object]] = {
    "user.index": [1],
    "age": [48],
    "gender": ["female"],
    "totaldays": [35],
    "fitapp": ["yes"],
    "fittracker": ["no"],
    "selfeff.intake": [19],
    "selfeff.exit": [20.0],
    "walk.metmins.intake": [1039.5],
}


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Adapted:
    source = shared_data("heartsteps_v1")
    return adapt(write_raw, source, tmp_path_factory.mktemp("heartsteps") / "raw")


def reached(log: Adapted) -> NDArray[np.bool_]:
    """The moments at which something could be sent, [n]."""
    return np.asarray(log.matrix("mask").sum(axis=1) > 1)


def adapt_small(folder: Path, rows: Mapping[str, Sequence[object]]) -> Adapted:
    write_csv(folder / FILE, rows)
    write_csv(folder / USERS, PEOPLE)
    return adapt(write_raw, folder, folder / "raw")


def test_one_person_by_hand(tmp_path: Path) -> None:
    log = adapt_small(tmp_path, ROWS)
    assert_keeps_the_contract(log)
    assert log.column("decisions", "step").tolist() == [1, 3, 5]
    assert log.column("decisions", "action").tolist() == [
        "send:active_suggestion@now",
        "send:sedentary_suggestion@now",
        "pause:1",
    ]
    # Each moment of the day has seen one type only, so all of the 0.6 is that type's.
    assert log.column("decisions", "propensity").tolist() == [0.6, 0.6, 1.0]
    assert log.matrix("mask").tolist() == [[True] * 3, [True] * 3, [False, False, True]]
    first = np.array(log.column("decisions", "decided_at"), "datetime64[us]")[0]
    assert first == np.datetime64("2015-07-22T15:00")  # the bin begins at 11 local, UTC-4
    np.testing.assert_allclose(
        log.total("activity", value=True), np.log([1311.5, 0.5, 8.5]), rtol=1e-12
    )
    assert log.total("reply").tolist() == [1, 0, 0]
    assert log.total("snoozed").tolist() == [0, 1, 0]


def days_of(slots: str, types: str, places: Sequence[str]) -> dict[str, list[object]]:
    """One available send a day: its slot, `w`alk or `s`tanding up, and the place."""
    n = len(slots)
    times = [f"2015/7/{day} {2 * int(slot) + 10}:00" for day, slot in enumerate(slots, 10)]
    rows: dict[str, list[object]] = {name: [column[0]] * n for name, column in ROWS.items()}
    changed: dict[str, list[object]] = {
        "sugg.select.utime": list(times),
        "sugg.select.slot": [int(slot) for slot in slots],
        "send.active": [str(kind == "w").upper() for kind in types],
        "send.sedentary": [str(kind == "s").upper() for kind in types],
        "dec.location.category": list(places),
    }
    return rows | changed


def test_the_type_is_drawn_with_the_share_of_its_moment_of_the_day(tmp_path: Path) -> None:
    # Slot 2: three walks and one standing up. Slot 4: one walk and two. Together they are 4 to 3.
    log = adapt_small(tmp_path, days_of("2222444", "wwwswss", ["home"] * 7))
    assert_keeps_the_contract(log)
    walk, stand = 0.6 * 3 / 4, 0.6 * 1 / 4
    later_walk, later_stand = 0.6 * 1 / 3, 0.6 * 2 / 3
    expected = [walk, walk, walk, stand, later_walk, later_stand, later_stand]
    np.testing.assert_allclose(log.column("decisions", "propensity"), expected, rtol=1e-12)
    rows = [[walk, stand, 0.4]] * 4 + [[later_walk, later_stand, 0.4]] * 3
    np.testing.assert_allclose(log.matrix("probabilities"), rows, rtol=1e-12)


def test_at_an_unknown_place_only_a_walk_is_sent_and_no_share_is_learned(tmp_path: Path) -> None:
    log = adapt_small(tmp_path, days_of("2222", "wwsw", ["home", "unknown", "work", "unknown"]))
    assert_keeps_the_contract(log)
    np.testing.assert_allclose(
        log.matrix("probabilities"), [[0.3, 0.3, 0.4], [0.6, 0.0, 0.4]] * 2, rtol=1e-12
    )
    assert log.matrix("mask").tolist() == [[True, True, True], [True, False, True]] * 2


def test_standing_up_at_an_unknown_place_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LogError, match="got 1 to stand up"):
        adapt_small(tmp_path, days_of("22", "ws", ["home", "unknown"]))


def test_unusable_rows_are_counted_by_reason(tmp_path: Path) -> None:
    excluded = adapt_small(tmp_path, ROWS).notes.excluded
    assert [row.rows for row in excluded] == [1, 1, 1]
    assert "unavailable" in excluded[1].reason


def test_what_was_known_before_lies_in_the_bin_before(tmp_path: Path) -> None:
    log = adapt_small(tmp_path, ROWS)
    topic, bins = log.column("events", "topic"), bins_of(log, "events")
    assert bins[topic == "steps_before"].tolist() == [0, 2, 4]
    assert bins[topic == "steps_after"].tolist() == [1, 3, 5]
    assert bins[topic == "at_work"].tolist() == [2]
    known = log.events["decision_id"].is_null().to_numpy()
    assert set(topic[known]) == {"steps_before", "at_home", "at_work"}


def test_missing_steps_are_marked(tmp_path: Path) -> None:
    log = adapt_small(tmp_path, ROWS)
    texts = log.column("events", "properties")[log.column("events", "topic") == "steps_after"]
    assert [json.loads(text)["steps_missing"] for text in texts] == [False, True, False]


def test_columns_measured_later_are_refused_and_reach_no_table(tmp_path: Path) -> None:
    log = adapt_small(tmp_path, ROWS)
    assert {"jbsteps60", "totaldays", "selfeff.exit"} <= set(log.notes.refused_columns)
    assert "jbsteps60pre" not in log.notes.refused_columns  # unused, but known in time
    words = words_of(log)
    assert not [name for name in (*log.notes.refused_columns, "gender") if name in words]


def test_two_rows_for_one_moment_are_refused(tmp_path: Path) -> None:
    with pytest.raises(LogError, match="1 twice"):
        adapt_small(tmp_path, ROWS | {"sugg.select.slot": [2, 2, 1, 2, 3, 4]})


@pytest.mark.parametrize("name", ["avail", "jbsteps30.zero"])
def test_a_missing_column_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(LogError, match=f"{name} missing"):
        adapt_small(tmp_path, without(ROWS, name))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    write_csv(tmp_path / FILE, ROWS)
    with pytest.raises(LogError, match=USERS):
        adapt(write_raw, tmp_path, tmp_path / "raw")


def test_the_whole_trial_keeps_the_contract_and_ingests_whole(
    real: Adapted, tmp_path: Path
) -> None:
    assert real.notes.rows_read == 8274
    assert [row.rows for row in real.notes.excluded] == [1, 3, 1]
    assert len(real.decisions) == 8269
    assert len(real.contacts) == 37
    assert_keeps_the_contract(real)
    assert_ingests_whole(real, tmp_path / "tables")


def test_availability_and_sending_are_the_published_shares(real: Adapted) -> None:
    available = reached(real)
    action = real.column("decisions", "action")[available]
    assert available.sum() == 6590 - 1  # one available row has no type
    assert (action != "pause:1").mean() == pytest.approx(0.594, abs=5e-4)
    assert (action == WALK).mean() == pytest.approx(0.332, abs=5e-4)
    propensity = real.column("decisions", "propensity")
    assert propensity[~available].tolist() == [1.0] * int((~available).sum())


def test_the_share_of_walks_is_counted_at_each_moment_of_the_day(real: Adapted) -> None:
    both = real.matrix("mask").all(axis=1)
    assert (reached(real) & ~both).sum() == 99  # an unknown place
    assert set(real.column("decisions", "action")[reached(real) & ~both]) == {WALK, "pause:1"}
    slot, probabilities = real.column("decisions", "step") % 5, real.matrix("probabilities")
    # The file's walks and suggestions to stand up, less the walks at an unknown place.
    walks, stands = np.array([503, 354, 423, 426, 421]), np.array([327, 381, 361, 303, 355])
    share = (walks / (walks + stands))[slot[both]]
    np.testing.assert_allclose(probabilities[both, 0], 0.6 * share, rtol=1e-12)
    np.testing.assert_allclose(probabilities[both, 1], 0.6 * (1 - share), rtol=1e-12)


@pytest.mark.parametrize("name", [WALK, STAND])
def test_weights_of_a_type_average_one_at_each_moment_of_the_day(real: Adapted, name: str) -> None:
    both = real.matrix("mask").all(axis=1)
    slot = real.column("decisions", "step") % 5
    chosen = real.column("decisions", "action") == name
    weight = chosen / real.column("decisions", "propensity")
    means = [weight[both & (slot == one)].mean() for one in range(5)]
    # What is left is the share sent, 0.57 to 0.61, over the 0.6 of the design.
    np.testing.assert_allclose(means, 1.0, atol=0.06)


def test_steps_after_a_suggestion_are_the_published_means(real: Adapted) -> None:
    after = real.column("events", "topic") == "steps_after"
    texts = real.column("events", "properties")[after]
    measured = np.array([not json.loads(text)["steps_missing"] for text in texts])
    available = reached(real) & measured
    sent = real.column("decisions", "action") != "pause:1"
    steps = real.total("activity", value=True)
    # Published 3.316 includes the excluded send without a type, whose steps were many.
    assert steps[available & sent].mean() == pytest.approx(3.316, abs=2e-3)
    assert steps[available & ~sent].mean() == pytest.approx(3.178, abs=1e-3)


def test_every_event_lies_in_the_bin_it_is_meant_for(real: Adapted) -> None:
    steps = dict(
        zip(real.column("decisions", "decision_id"), real.column("decisions", "step"), strict=True)
    )
    answers = real.events["decision_id"].is_valid().to_numpy()
    names = real.column("events", "decision_id")[answers]
    meant = np.array([steps[name] for name in names])
    np.testing.assert_array_equal(bins_of(real, "events")[answers], meant)


def test_moments_of_a_person_follow_without_gaps(real: Adapted) -> None:
    person, step = real.column("decisions", "contact_id"), real.column("decisions", "step")
    gaps = np.diff(step)[person[1:] == person[:-1]]
    # Excluded rows leave four holes of one; the fifth is the first row of its person.
    assert (gaps == 1).sum() == len(gaps) - 4
    assert gaps.min() == 1
    assert gaps.max() == 2
