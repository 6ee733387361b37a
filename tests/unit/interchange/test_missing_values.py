"""What is missing stays missing: no id becomes one person, no code becomes a number."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from nurture_rl.errors import LogError
from nurture_rl.interchange.admission import Admission, admit
from nurture_rl.interchange.bandit_feedback import FeedbackMeaning, read_feedback
from nurture_rl.interchange.foreign_episodes import (
    EpisodesMeaning,
    ForeignEpisode,
    read_episodes,
)
from nurture_rl.interchange.frames import FrameColumns, FrameMeaning, read_frame
from nurture_rl.interchange.missing import likely_nobody, nameless

COLUMNS = FrameColumns(action="arm", propensity="p", reward="paid", contact="who")
NOBODY = [None, "", " ", "nan", "NaN", "None", "null", "NA", "<NA>", "N/A", "unknown", "Undefined"]


def frame(columns: FrameColumns = COLUMNS, missing: Any = (), **changed: Any) -> Admission:
    """Four decisions of four people."""
    table: dict[str, Any] = {
        "who": ["ann", "bob", "cid", "dan"],
        "arm": ["mail", "none", "none", "mail"],
        "p": [0.25, 0.75, 0.75, 0.25],
        "paid": [4.0, 0.0, 0.0, 1.0],
        "size": [1.0, 2.0, 3.0, 4.0],
    }
    rows = read_frame(pa.table(table | changed), columns, FrameMeaning(missing=tuple(missing)))
    return admit(rows, 0.5)


def kinds(found: Admission) -> list[tuple[int, str]]:
    return [(row.line, row.reason.split(":")[0]) for row in found.refused]


@pytest.mark.parametrize("nobody", NOBODY)
def test_rows_of_a_table_that_name_nobody_are_not_one_person(nobody: str | None) -> None:
    found = frame(who=[nobody, "bob", nobody, "dan"])
    assert kinds(found) == [(1, "missing contact"), (3, "missing contact")]


def test_an_action_may_be_called_none_and_nan_numbers_name_nobody() -> None:
    assert frame().meaning.actions == ("mail", "none")
    assert kinds(frame(who=[1.0, np.nan, 2.0, 3.0])) == [(2, "missing contact")]


@pytest.mark.parametrize(
    "contact",
    [
        np.array([np.nan, 1.0, np.nan, 2.0]),
        np.array([b"", b"ann", b"", b"bob"]),
        np.array(["None", "ann", "nan", "bob"]),
        [None, "ann", None, "bob"],
    ],
)
def test_rounds_that_name_nobody_are_not_one_person(contact: Any) -> None:
    feedback = {
        "n_actions": 2,
        "context": np.zeros((4, 1)),
        "action": [0, 1, 0, 1],
        "reward": [1.0, 0.0, 1.0, 0.0],
        "pscore": [0.5] * 4,
        "contact": contact,
    }
    found = admit(read_feedback(feedback, FeedbackMeaning()), 0.5)
    assert kinds(found) == [(1, "missing contact"), (3, "missing contact")]


def episodes(contacts: list[Any]) -> Admission:
    """One episode of a decision for each contact."""
    made = [
        ForeignEpisode(
            observations=[[1.0]],
            actions=[k % 2],
            rewards=[1.0],
            terminated=True,
            infos={"propensity": [0.5], "contact": [who]},
        )
        for k, who in enumerate(contacts)
    ]
    return admit(read_episodes(made, EpisodesMeaning(missing=(-1.0,)), "toy"), 0.5)


def test_episodes_that_name_nobody_are_not_one_person() -> None:
    assert kinds(episodes([np.nan, 1.0, np.nan, 2.0])) == [
        (1, "missing contact"),
        (3, "missing contact"),
    ]
    assert kinds(episodes([-1, 1, 2, -1])) == [(1, "missing contact"), (4, "missing contact")]
    assert episodes([7, 7, 8, 8]).log.cluster.tolist() == [0, 0, 1, 1]


def test_a_code_for_missing_is_no_reward_no_feature_and_nobody() -> None:
    columns = FrameColumns(**{**_plain(COLUMNS), "features": ("size",)})
    found = frame(columns, [-999.0, 99.0], paid=[4.0, -999.0, 0.0, 1.0], size=[1.0, 2.0, 99.0, 4.0])
    assert [row.reason for row in found.refused] == [
        "missing reward: reward is -999, which stands for missing (data.missing)",
        "missing feature: feature 'size' is 99, which stands for missing (data.missing)",
    ]
    assert kinds(frame(missing=[-999.0], who=["-999", "bob", "cid", "-999.0"])) == [
        (1, "missing contact"),
        (4, "missing contact"),
    ]


def test_without_the_setting_a_number_is_a_number() -> None:
    assert frame(paid=[4.0, -999.0, 0.0, 1.0]).log.reward.min() == -999.0


@pytest.mark.parametrize("kind", ["text", "categories"])
def test_numbers_given_as_text_are_the_same_features(kind: str) -> None:
    texts = pa.array(["1", "2.5", "-3e0", "4"])
    given = texts if kind == "text" else texts.dictionary_encode()
    columns = FrameColumns(**{**_plain(COLUMNS), "features": ("size",)})
    assert frame(columns, size=given).log.features[:, 0].tolist() == [1.0, 2.5, -3.0, 4.0]


def test_a_text_that_is_no_number_is_set_aside_by_its_cell() -> None:
    columns = FrameColumns(**{**_plain(COLUMNS), "features": ("size",)})
    (row,) = frame(columns, size=["1", "large", "3", "4"]).refused
    assert row.reason == "unreadable cell: size is 'large', expected a number"


def test_a_column_of_actions_without_any_is_refused() -> None:
    with pytest.raises(LogError, match=r"expected actions in column 'arm' of the data frame"):
        frame(arm=["", "", "", ""])


def _plain(columns: FrameColumns) -> dict[str, Any]:
    return {name: getattr(columns, name) for name in ("action", "propensity", "reward", "contact")}


def contacts(who: list[Any], missing: Any = (), values: Any = ()) -> Admission:
    n = len(who)
    cells = {
        "who": who,
        "arm": ["mail", "none"] * (n // 2),
        "p": [0.5] * n,
        "paid": [1.0, 2.0] * (n // 2),
    }
    meaning = FrameMeaning(missing=tuple(missing), values=tuple(values))
    return admit(read_frame(pa.table(cells), COLUMNS, meaning), 0.5)


@pytest.mark.parametrize(
    ("code", "rows"), [(-1, 4), ("-1", 4), (-1.0, 4), (0, 40), ("0", 40), (-999, 4), (9999, 40)]
)
def test_a_number_for_who_is_not_known_is_no_person(code: Any, rows: int) -> None:
    people = [type(code)(k) for k in range(1, 61)]
    who = [code] * rows + people
    with pytest.raises(
        LogError, match=rf"holds {float(code):g} in {rows} of {len(who)} rows, like"
    ):
        contacts(who)
    aside = contacts(who, missing=[float(code)])
    assert kinds(aside) == [(k + 1, "missing contact") for k in range(rows)]
    assert np.unique(contacts(who, values=[float(code)]).log.cluster).size == 61


@pytest.mark.parametrize(
    "who",
    [
        list(range(60)),  # numbered from 0
        [0] * 40 + [k for k in range(1, 11) for _ in range(6)],  # some come often
        [-2, -1] * 20 + list(range(20)),  # ids below 0 are many
        [-1] * 30 + [1] * 30,  # too few people to tell
        [-1, -1, *range(58)],  # twice is not often
        ["ann"] * 40 + [f"c{k}" for k in range(20)],  # a name is a person, however busy
    ],
)
def test_who_comes_often_is_a_person(who: list[Any]) -> None:
    assert np.unique(contacts(who).log.cluster).size == len(set(who))


def test_ids_of_digits_name_nobody_where_the_log_has_such_a_code() -> None:
    names = np.array(["-7", "0", "00", "12", "²", "nan"])
    assert nameless(names).tolist() == [False, False, False, False, False, True]
    assert nameless(names, (-7.0,)).tolist() == [True, False, False, False, False, True]
    assert nameless(names, (0.0,)).tolist() == [False, True, True, False, False, True]


@pytest.mark.parametrize(
    ("name", "rows", "found"),
    [
        ("-1", 3, (-1.0, 3)),  # the only number below 0
        ("-1", 2, None),
        ("0", 30, (0.0, 30)),
        ("0", 29, None),
        ("999", 30, (999.0, 30)),
        ("99", 30, None),  # too short for a code
        ("-x", 30, None),
    ],
)
def test_a_code_for_contacts_nobody_knows_is_told(
    name: str, rows: int, found: tuple[float, int] | None
) -> None:
    names = np.array([*(f"{k}" for k in range(100, 110)), name])
    count = np.array([*(2 for _ in range(10)), rows])
    assert likely_nobody(names, count, ()) == found
    assert likely_nobody(names[1:], count[1:], ()) is None  # of ten ids any may be common
    assert found is None or likely_nobody(names, count, found[:1]) is None


def test_two_ids_below_0_and_two_crowds_are_no_codes() -> None:
    names = np.array([*(f"{k}" for k in range(100, 110)), "-1", "-2", "0", "500"])
    count = np.array([*(2 for _ in range(10)), 9, 9, 50, 50])
    assert likely_nobody(names, count, ()) is None
    assert likely_nobody(names[:-1], count[:-1], ()) is None  # 50 rows, and nine of another
    assert likely_nobody(names[:-1], np.append(count[:-2], 90), ()) == (0.0, 90)
