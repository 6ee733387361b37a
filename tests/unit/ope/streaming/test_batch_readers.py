"""Batches to decisions: columns of numbers, decision tables with a policy, and what is at fault."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from nurture_rl.errors import LogError, ProbabilityError
from nurture_rl.ope.log import BoolArray, FloatArray
from nurture_rl.ope.streaming.batch_readers import ColumnReader, PolicyReader, contact_ids
from nurture_rl.ope.streaming.decision_columns import FAULTS

COLUMNS: dict[str, list[Any]] = {
    "contact_id": [7, 8],
    "reward": [1.0, 2.0],
    "propensity": [0.5, 0.25],
    "target_probability": [1.0, 0.0],
    "q_logged": [0.1, 0.2],
    "q_target": [0.3, 0.4],
}
TABLE: dict[str, list[Any]] = {
    "contact_id": ["ann", "bob", "ann"],
    "action": ["wait", "send", "call"],
    "propensity": [0.5, 0.25, 1.0],
    "probabilities": [[0.5, 0.5, 0.0], [0.75, 0.25, 0.0], [0.0, 0.0, 1.0]],
    "mask": [[True, True, False], [True, True, False], [False, False, True]],
    "features": [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]],
    "reward": [1.0, 2.0, 3.0],
}


class Uniform:
    """The same chance for every legal action."""

    def action_probabilities(self, features: NDArray[np.float32], mask: BoolArray, /) -> FloatArray:
        return np.asarray(mask / mask.sum(axis=1, keepdims=True), dtype=np.float64)


class Careless:
    """Likes the first action, legal or not."""

    def action_probabilities(self, features: NDArray[np.float32], mask: BoolArray, /) -> FloatArray:
        return np.tile([1.0, 0.0, 0.0], (len(mask), 1))


def batch(**columns: list[Any]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict(columns)


def changed(name: str, row: int, value: object) -> pa.RecordBatch:
    column = list(TABLE[name])
    column[row] = value
    return batch(**(TABLE | {name: column}))


READER = PolicyReader(Uniform(), ("wait", "send", "call"), "uniform")


def test_columns_of_numbers_are_rows() -> None:
    rows, wrong = ColumnReader().rows(batch(**COLUMNS))
    assert rows.contact.tolist() == [7, 8]
    assert rows.taken.tolist() == [1.0, 0.0]
    assert (rows.reward.tolist(), rows.propensity.tolist()) == ([1.0, 2.0], [0.5, 0.25])
    assert (rows.q_logged.tolist(), rows.value.tolist()) == ([0.1, 0.2], [0.3, 0.4])
    assert not wrong.any()


def test_without_a_model_predictions_are_zero_and_groups_are_codes() -> None:
    reader = ColumnReader(q_logged=None, value=None, groups=("week",))
    assert "q_target" not in reader.columns
    rows, wrong = reader.rows(batch(**COLUMNS, week=[3, 0]))
    assert (rows.q_logged.tolist(), rows.value.tolist()) == ([0.0, 0.0], [0.0, 0.0])
    assert rows.groups["week"].tolist() == [3, 0]
    assert not wrong.any()


@pytest.mark.parametrize(
    ("column", "reason"),
    [
        ("contact_id", "no contact"),
        ("reward", "reward missing or not finite"),
        ("propensity", "no propensity"),
        ("target_probability", "target probability missing or outside [0, 1]"),
        ("q_target", "prediction missing or not finite"),
        ("week", "group code missing or negative"),
    ],
)
def test_a_missing_value_is_a_fault_with_its_reason(column: str, reason: str) -> None:
    given = COLUMNS | {"week": [0, 1]}
    given[column] = [given[column][0], None]
    _, wrong = ColumnReader(groups=("week",)).rows(batch(**given))
    assert [FAULTS[at] for at in wrong] == ["sound", reason]


def test_readers_of_other_columns_have_other_names() -> None:
    assert ColumnReader().name == ColumnReader().name
    assert ColumnReader().name != ColumnReader(reward="meetings").name


def test_a_decision_table_is_read_with_a_policy() -> None:
    rows, wrong = READER.rows(batch(**TABLE))
    assert not wrong.any()
    assert rows.taken.tolist() == [0.5, 0.5, 1.0]
    assert rows.propensity.tolist() == [0.5, 0.25, 1.0]
    assert rows.contact[0] == rows.contact[2]
    assert rows.contact[0] != rows.contact[1]
    assert (rows.q_logged.tolist(), rows.value.tolist()) == ([0, 0, 0], [0, 0, 0])


def test_a_model_answers_for_what_was_logged_and_for_the_target() -> None:
    def model(features: NDArray[np.float32], mask: BoolArray) -> FloatArray:
        return np.asarray(features[:, :1] * [1.0, 10.0, 100.0], dtype=np.float64)

    rows, _ = replace(READER, model=model, groups=("week",)).rows(batch(**TABLE, week=[0, 1, 2]))
    assert rows.q_logged.tolist() == [1.0, 30.0, 500.0]
    assert rows.value.tolist() == [5.5, 16.5, 500.0]
    assert rows.groups["week"].tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("contact_id", None, "no contact"),
        ("action", "leap", "action unknown or forbidden by its mask"),
        ("action", None, "action unknown or forbidden by its mask"),
        ("action", "call", "action unknown or forbidden by its mask"),
        ("mask", [False, False, False], "action unknown or forbidden by its mask"),
        ("mask", [False, True, False], "logged probabilities are no distribution over the legal"),
        ("propensity", 0.26, "propensity is not what the logged probabilities say"),
        ("probabilities", [0.5, 0.25, 0.0], "logged probabilities are no distribution over the"),
        ("probabilities", [0.9, 0.25, -0.15], "logged probabilities are no distribution over the"),
        ("probabilities", [0.65, 0.25, 0.1], "logged probabilities are no distribution over the"),
        ("reward", None, "reward missing or not finite"),
        ("propensity", None, "no propensity"),
    ],
)
def test_each_fault_of_a_decision_is_named(name: str, value: object, reason: str) -> None:
    _, wrong = READER.rows(changed(name, 1, value))
    assert wrong[[0, 2]].tolist() == [0, 0]
    assert FAULTS[wrong[1]].startswith(reason)


def test_rounding_of_propensities_is_no_fault() -> None:
    _, wrong = READER.rows(changed("propensity", 1, 0.25 + 5e-7))
    assert not wrong.any()
    _, wrong = READER.rows(changed("probabilities", 1, [0.75 - 5e-7, 0.25, 0.0]))
    assert not wrong.any()


def test_a_policy_that_ignores_the_mask_is_refused() -> None:
    with pytest.raises(ProbabilityError, match="policy 'careless'"):
        replace(READER, policy=Careless(), name="careless").rows(batch(**TABLE))


@pytest.mark.parametrize("wrong", [[True, True], None, [True, True, False, True]])
def test_lists_that_do_not_fit_the_catalogue_are_refused(wrong: list[bool] | None) -> None:
    with pytest.raises(LogError, match="mask must hold one list of 3"):
        READER.rows(changed("mask", 1, wrong))


def test_a_whole_table_of_another_catalogue_is_refused() -> None:
    with pytest.raises(LogError, match="mask must hold one list of 2"):
        replace(READER, actions=("wait", "send")).rows(batch(**TABLE))


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string()])
def test_texts_name_contacts_wherever_they_lie(kind: pa.DataType) -> None:
    whole = pa.array(["x", "ann", None, "bob", "ann", ""], kind)
    ids, missing = contact_ids(whole)
    assert missing is not None
    assert missing.tolist() == [False, False, True, False, False, False]
    assert ids[1] == ids[4] != ids[3]
    part, _ = contact_ids(whole.slice(3, 2))
    assert part.tolist() == ids[3:5].tolist()


@pytest.mark.parametrize("kind", [pa.int32(), pa.int64(), pa.uint64()])
def test_numbers_name_contacts_whatever_their_width(kind: pa.DataType) -> None:
    ids, missing = contact_ids(pa.array([5, 6], kind))
    assert ids.tolist() == [5, 6]
    assert missing is None


def test_other_names_of_contacts_are_refused() -> None:
    with pytest.raises(LogError, match="whole numbers or text, got double"):
        contact_ids(pa.array([1.5]))
