"""A stranger's table at the door: read by named columns, bad rows named, the rest a valid log."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nurture_rl.errors import ConfigError, LogError, PropensityError
from nurture_rl.interchange.admission import Admission, admit, reasons_counted
from nurture_rl.interchange.frames import FrameColumns, FrameMeaning, read_frame

pd = pytest.importorskip("pandas")
COLUMNS = FrameColumns(action="arm", propensity="p", reward="paid", contact="who")
EPISODES = replace(COLUMNS, episode="visit", step="day", features=("size",))
MEANING = FrameMeaning(unit="EUR")


def table(**changed: Any) -> dict[str, Any]:
    """Four visits of two days, by two people."""
    columns: dict[str, Any] = {
        "who": ["ann", "ann", "bob", "bob", "ann", "ann", "bob", "bob"],
        "visit": [1, 1, 2, 2, 3, 3, 4, 4],
        "day": [0, 1, 0, 1, 0, 1, 0, 1],
        "arm": ["mail", "none", "none", "mail", "mail", "mail", "none", "none"],
        "p": [0.25, 0.75, 0.75, 0.25, 0.25, 0.25, 0.75, 0.75],
        "paid": [4.0, 0.0, 0.0, 1.0, 0.5, 0.0, 0.0, 2.0],
        "size": [1.0, 1.0, 2.0, 2.0, 1.0, 1.0, 2.0, 2.0],
    }
    return columns | changed


def read(
    columns: dict[str, Any],
    names: FrameColumns = COLUMNS,
    meaning: FrameMeaning = MEANING,
    share: float = 0.5,
) -> Admission:
    return admit(read_frame(pa.table(columns), names, meaning), share)


def test_named_columns_become_a_log() -> None:
    found = read(table(), EPISODES)
    log = found.log
    assert found.meaning.actions == ("mail", "none")
    assert log.action.tolist() == [0, 1, 1, 0, 0, 0, 1, 1]
    assert log.propensity.tolist() == table()["p"]
    assert log.reward.tolist() == table()["paid"]
    assert log.features[:, 0].tolist() == table()["size"]
    assert log.episode.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert log.cluster.tolist() == [0, 1, 0, 1]
    assert log.terminal.tolist() == [False, True] * 4
    assert log.unit == "EUR"
    assert found.refused == ()


def test_without_episodes_every_row_is_one() -> None:
    log = read(table()).log
    assert (log.n_episodes, log.cluster.tolist()) == (8, [0, 0, 1, 1, 0, 0, 1, 1])


def test_rows_in_any_order_are_sorted_and_keep_their_places() -> None:
    shuffled = {name: list(reversed(values)) for name, values in table().items()}
    found = read(shuffled, EPISODES)
    assert found.log.reward.tolist() == table()["paid"]
    assert found.line.tolist() == [8, 7, 6, 5, 4, 3, 2, 1]


def test_pandas_csv_and_parquet_say_the_same(tmp_path: Path) -> None:
    frame = pd.DataFrame(table())
    frame.to_csv(tmp_path / "log.csv", index=False)
    frame.to_csv(tmp_path / "log.csv.gz", index=False)
    pq.write_table(pa.table(table()), tmp_path / "log.parquet")
    sources = [frame, *(tmp_path / f"log.{kind}" for kind in ("csv", "csv.gz", "parquet"))]
    prints = {admit(read_frame(one, EPISODES, MEANING), 0.0).fingerprint for one in sources}
    assert prints == {read(table(), EPISODES).fingerprint}


def test_a_table_of_estimated_propensities_is_not_read_as_if_they_had_been_logged() -> None:
    with pytest.raises(LogError, match="its propensities may be a model's"):
        read(table() | {"propensity_source": ["estimated"] * len(table()["arm"])})


def test_a_misspelt_column_is_named_with_the_nearest_there_is() -> None:
    with pytest.raises(LogError, match=r"no column 'piad' \(columns.reward\); did you mean 'paid'"):
        read(table(), replace(COLUMNS, reward="piad"))


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("p", None, "missing propensity: 1 is no stand-in for it"),
        ("p", 0.0, "bad propensity: 0 is outside (0, 1]; an action that was taken had a chance"),
        (
            "p",
            -0.5,
            "bad propensity: -0.5 is outside (0, 1]; an action that was taken had a chance",
        ),
        ("p", 1.5, "bad propensity: 1.5 is outside (0, 1]; an action that was taken had a chance"),
        ("paid", None, "missing reward: expected a finite number"),
        ("paid", float("inf"), "missing reward: expected a finite number"),
        ("who", None, "missing contact: every decision belongs to someone"),
        ("arm", None, "unknown action: '' is none of mail, none"),
    ],
)
def test_a_bad_cell_sets_its_row_aside_with_place_and_reason(
    column: str, value: Any, reason: str
) -> None:
    changed = table()
    changed[column] = [*changed[column][:3], value, *changed[column][4:]]
    found = read(changed)
    (refused,) = found.refused
    assert (refused.file, refused.line, refused.reason) == ("the data frame", 4, reason)
    assert found.log.n_rows == 7
    assert 4 not in found.line.tolist()


def test_a_feature_beyond_what_models_can_hold_costs_its_episode_alone() -> None:
    found = read(table(size=[1.0, 1e39, 2.0, 2.0, 1.0, 1.0, 2.0, 2.0]), EPISODES)
    assert [row.line for row in found.refused] == [1, 2]
    assert found.refused[1].reason == "bad feature: 'size' is 1e+39, beyond numbers of 32 bits"
    assert found.log.n_rows == 6


def test_a_text_where_a_number_is_due_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("who,arm,p,paid\nann,mail,0.5,1\nbob,none,half,1\nann,mail\neve,mail,0.5,2\n")
    found = admit(read_frame(path, COLUMNS, MEANING), 0.5)
    assert [(row.line, row.reason) for row in found.refused] == [
        (3, "unreadable cell: p is 'half', expected a number"),
        (4, "malformed: expected 4 fields, got 2"),
    ]
    assert (found.read, found.log.n_rows) == (4, 2)


def test_one_bad_decision_breaks_its_episode() -> None:
    found = read(table(p=[0.25, None, 0.75, 0.25, 0.25, 0.25, 0.75, 0.75]), EPISODES)
    assert [(row.line, row.reason) for row in found.refused] == [
        (1, "broken episode: its decision in row 2 cannot be used (missing propensity)"),
        (2, "missing propensity: 1 is no stand-in for it"),
    ]
    assert found.log.episode.tolist() == [0, 0, 1, 1, 2, 2]


def test_a_second_copy_is_set_aside_and_breaks_nothing() -> None:
    doubled = {name: [*values, values[3]] for name, values in table().items()}
    found = read(doubled, EPISODES)
    assert [(row.line, row.reason) for row in found.refused] == [
        (9, "duplicate: the same decision stands in row 4")
    ]
    assert found.log.n_rows == 8


def test_copies_by_decision_id_are_told_where_there_are_no_episodes() -> None:
    names = replace(COLUMNS, decision="id")
    found = read(table(id=[*range(7), 6]), names)
    assert [row.reason for row in found.refused] == [
        "conflict: row 8 says otherwise about this episode and step",
        "conflict: row 7 says otherwise about this episode and step",
    ]
    equal = read(table(id=[*range(7), 2], paid=[4.0, 0.0, 0.0, 1.0, 0.5, 0.0, 0.0, 0.0]), names)
    assert [row.reason for row in equal.refused] == ["duplicate: the same decision stands in row 3"]


def test_two_answers_about_one_decision_are_a_conflict_and_both_go() -> None:
    found = read(table(day=[0, 0, 0, 1, 0, 1, 0, 1]), EPISODES)
    assert [(row.line, row.reason) for row in found.refused] == [
        (1, "conflict: row 2 says otherwise about this episode and step"),
        (2, "conflict: row 1 says otherwise about this episode and step"),
    ]


def test_an_episode_of_two_people_is_a_conflict() -> None:
    found = read(table(who=["ann", "bob", *table()["who"][2:]]), EPISODES)
    assert found.refused[1].reason == "conflict: row 1 gives this episode to another contact"


def test_a_decision_after_the_end_is_a_conflict() -> None:
    names = replace(EPISODES, terminal="over")
    found = read(table(over=[True, True, *[False, True] * 3]), names)
    assert found.refused[1].reason == "conflict: row 1 already ended this episode"
    assert found.log.n_episodes == 3


@pytest.mark.parametrize("day", ["x", "0.5"])
def test_a_step_is_a_whole_number(day: str) -> None:
    found = read(table(day=[day, *map(str, [1, 0, 1, 0, 1, 0, 1])]), EPISODES)
    assert {row.line for row in found.refused} == {1, 2}


def test_more_bad_rows_than_allowed_refuse_the_log_with_counts() -> None:
    bad = table(p=[None, None, 0.0, *table()["p"][3:]])
    with pytest.raises(PropensityError) as refusal:
        read(bad, share=0.25)
    assert str(refusal.value).startswith(
        "3 of 8 rows of the data frame cannot be used, more than 25%: 2 with missing propensity "
        "(first row 1: 1 is no stand-in for it); 1 with bad propensity (first row 3: 0 is outside"
    )
    assert read(bad, share=0.375).log.n_rows == 5


def test_a_refusal_names_the_cause_before_what_follows_from_it() -> None:
    bad = table(
        who=["ann"] * 4 + ["bob"] * 4,
        visit=[1] * 4 + [2] * 4,
        day=[0, 1, 2, 3] * 2,
        p=[0.25, 0.75, 0.75, None, 0.25, 0.25, 0.75, 0.75],
    )
    with pytest.raises(PropensityError) as refusal:
        read(bad, EPISODES, share=0.25)
    assert ": 1 with missing propensity (first row 4: " in str(refusal.value)
    assert "; 3 with broken episode (first row 1: " in str(refusal.value)


def test_a_log_of_bad_rows_alone_is_refused_whatever_is_allowed() -> None:
    with pytest.raises(LogError, match="8 of 8 rows"):
        read(table(paid=[None] * 8), share=0.99)


def test_an_empty_table_is_refused() -> None:
    with pytest.raises(LogError, match="holds no decision"):
        read({name: pa.array([], pa.string()) for name in table()})


def test_masks_and_logged_distributions_are_checked_row_by_row() -> None:
    names = replace(COLUMNS, mask=("may_mail", "may_none"), logged_probabilities=("m", "n"))
    given = table(
        may_mail=["true"] * 7 + ["false"],
        may_none=["yes", "no", *["1"] * 6],
        m=[0.25] * 8,
        n=[0.75] * 8,
    )
    found = read(given, names)
    assert [(row.line, row.reason) for row in found.refused] == [
        (2, "illegal action: the row's own mask forbids it"),
        (8, "bad logged distribution: it takes masked actions"),
    ]
    assert found.log.logged_probabilities is not None
    assert found.log.mask.all()


def test_lists_hold_masks_and_distributions_too() -> None:
    names = replace(COLUMNS, mask=("legal",), logged_probabilities=("all",))
    short = read(table(legal=[[True, True]] * 7 + [[True]], all=[[0.25, 0.75]] * 8), names)
    assert short.refused[0].reason == "unreadable cell: legal has 1 entries, expected 2"
    assert short.log.n_rows == 7


def test_a_propensity_that_contradicts_the_distribution_is_named() -> None:
    names = replace(COLUMNS, logged_probabilities=("m", "n"))
    found = read(table(m=[0.25] * 7 + [0.5], n=[0.75] * 7 + [0.5]), names)
    assert found.refused[0].reason == (
        "contradicting propensity: the logged distribution says 0.5 for this action"
    )


def test_target_policies_come_as_columns() -> None:
    meaning = FrameMeaning(policies={"new": ("a", "b")})
    found = read(table(a=[0.5] * 7 + [0.3], b=[0.5] * 8), COLUMNS, meaning)
    assert found.refused[0].reason == "bad distribution of policy 'new': it sums to 0.8, not to 1"
    assert found.targets["new"].tolist() == [[0.5, 0.5]] * 7


def test_too_few_columns_for_the_actions_are_refused() -> None:
    with pytest.raises(
        LogError, match=r"targets.new.columns: expected one column for each of the 2"
    ):
        read(table(a=[1.0] * 8), COLUMNS, FrameMeaning(policies={"new": ("a",)}))


def test_an_action_outside_the_named_ones_is_refused() -> None:
    found = read(table(), COLUMNS, FrameMeaning(actions=("none", "push")), share=0.9)
    assert reasons_counted(found.refused)[0][:2] == ("unknown action", 4)
    assert found.log.n_actions == 2


def test_whole_numbers_name_actions_in_their_order() -> None:
    found = read(table(arm=[10.0, 9.0, 9.0, 10.0, 2.0, 2.0, 9.0, 10.0]))
    assert found.meaning.actions == ("2", "9", "10")


def test_episodes_without_an_order_are_a_setting_that_is_missing() -> None:
    with pytest.raises(ConfigError, match=r"columns\.step: the data frame has episodes"):
        read(table(), replace(COLUMNS, episode="visit"))


def test_days_segments_and_outcomes_stand_beside_the_log() -> None:
    names = replace(COLUMNS, when="at", segments=("size",), outcomes=("complaints",))
    at = ["2026-03-02", "2026-03-02T10:00:00", *["2026-03-09"] * 5, "soon"]
    found = read(table(at=at, complaints=[0, 1, *[0] * 6]), names)
    assert found.refused[0].reason == (
        "unreadable cell: at is 'soon', expected an ISO-8601 date or time"
    )
    assert found.day is not None
    assert found.day.astype(str).tolist()[:3] == ["2026-03-02", "2026-03-02", "2026-03-09"]
    assert found.segments["size"].tolist() == ["1", "1", "2", "2", "1", "1", "2"]
    assert found.outcomes["complaints"].sum() == 1.0


def test_what_was_assumed_is_said() -> None:
    notes = " ".join(read(table()).notes)
    assert "every action counts as legal" in notes
    assert "the propensity of the logged action alone" in notes
    assert "copies of a row cannot be told" in notes
    assert "the 2 that were logged (mail, none)" in notes


def test_factor_rows_are_given_for_every_action() -> None:
    meaning = FrameMeaning(factors={"mail": [1.0, 0.0], "none": [0.0, 1.0]})
    assert read(table(), COLUMNS, meaning).log.action_factors.tolist() == [[1, 0], [0, 1]]
    with pytest.raises(ConfigError, match=r"none for \['none'\]"):
        read(table(), COLUMNS, FrameMeaning(factors={"mail": [1.0]}))


def test_files_that_are_no_tables_are_refused(tmp_path: Path) -> None:
    (tmp_path / "log.parquet").write_text("no")
    (tmp_path / "log.txt").write_text("no")
    for name, words in (
        ("log.parquet", "whole, readable table"),
        ("log.txt", r"ending in one of \.parquet"),
        ("none.csv", "no such file"),
    ):
        with pytest.raises(LogError, match=words):
            read_frame(tmp_path / name, COLUMNS, MEANING)
    with pytest.raises(LogError, match="that Arrow can read, got int"):
        read_frame(3, COLUMNS, MEANING)


def test_a_column_of_things_that_are_no_numbers_is_refused() -> None:
    with pytest.raises(LogError, match="column 'paid' of the data frame holds list"):
        read(table(paid=[[1.0]] * 8))


def test_numbers_are_those_of_the_table() -> None:
    rng = np.random.default_rng(0)
    paid = rng.normal(size=8)
    np.testing.assert_array_equal(read(table(paid=paid)).log.reward, paid)


def test_an_empty_file_and_another_delimiter_are_told(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("")
    with pytest.raises(LogError, match=r"log.csv is empty; expected a line that names its columns"):
        read_frame(path, COLUMNS, MEANING)
    path.write_text("who;arm;p;paid\nann;mail;0.5;1\n")
    with pytest.raises(LogError, match="cells must be set apart by commas"):
        read_frame(path, COLUMNS, MEANING)


def test_a_step_too_large_to_tell_apart_is_set_aside() -> None:
    days = [0, 1, 0, 1, 0, 1, 0, 1e300]
    refused = read(table(day=days), EPISODES).refused
    assert [row.line for row in refused] == [7, 8]
    assert refused[1].reason.startswith("bad step: day is 1e+300")


@pytest.mark.parametrize(
    ("doubled", "words"),
    [
        ({"reward": "p"}, "columns.propensity and columns.reward both name column 'p'"),
        ({"reward": "arm"}, "columns.action and columns.reward both name column 'arm'"),
        ({"features": ("paid",)}, "columns.reward and columns.features both name column 'paid'"),
        ({"features": ("arm",)}, "columns.action and columns.features both name column 'arm'"),
        ({"contact": "p"}, "columns.propensity and columns.contact both name column 'p'"),
        (
            {"episode": "paid", "step": "day"},
            "columns.reward and columns.episode both name column 'paid'",
        ),
    ],
)
def test_one_column_stands_for_one_thing(doubled: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        read(table(), replace(COLUMNS, **doubled))


def test_any_column_breaks_a_log_down_and_a_propensity_may_be_known() -> None:
    wide = replace(COLUMNS, features=("p",), segments=("arm",), outcomes=("paid",))
    assert read(table(), wide).log.features[:, 0].tolist() == pytest.approx(table()["p"])
