"""The e-mail test's arms, outcomes and refusals survive the way into a contact log."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from nurture_envs.journey_file import load_journey
from nurture_rl.errors import LogError
from nurture_rl.logs.adapters.common import DecisionRows, decision_table
from nurture_rl.logs.adapters.hillstrom import FILE, write_raw
from tests.data.adapted import (
    Adapted,
    adapt,
    assert_ingests_whole,
    assert_keeps_the_contract,
    share_matured,
    without,
    write_csv,
)
from tests.shared_data import shared_data

COLUMNS: dict[str, list[object]] = {
    "recency": [10, 6, 1],
    "history_segment": ["2) $100 - $200"] * 3,
    "history": [142.44, 329.08, 0.0],
    "mens": [1, 0, 1],
    "womens": [0, 1, 1],
    "zip_code": ["Surburban", "Rural", "Urban"],
    "newbie": [0, 1, 0],
    "channel": ["Phone", "Web", "Multichannel"],
    "segment": ["Womens E-Mail", "No E-Mail", "Mens E-Mail"],
    "visit": [1, 1, 0],
    "conversion": [1, 0, 0],
    "spend": [29.99, 0.0, 0.0],
}


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Adapted:
    source = shared_data("hillstrom")
    return adapt(write_raw, source, tmp_path_factory.mktemp("hillstrom") / "raw")


def adapt_small(folder: Path, columns: Mapping[str, Sequence[object]]) -> Adapted:
    write_csv(folder / FILE, columns)
    return adapt(write_raw, folder, folder / "raw")


def test_three_customers_by_hand(tmp_path: Path) -> None:
    log = adapt_small(tmp_path, COLUMNS)
    assert_keeps_the_contract(log)
    assert log.column("decisions", "action").tolist() == [
        "send:womens_email@now",
        "pause:1",
        "send:mens_email@now",
    ]
    assert log.column("decisions", "propensity").tolist() == [1 / 3] * 3
    assert log.total("sent").tolist() == [1, 0, 1]
    assert log.total("visit").tolist() == [1, 1, 0]
    assert log.total("purchase", value=True).tolist() == [29.99, 0, 0]
    sent = log.column("events", "type") == "sent"
    assert log.column("events", "topic")[sent].tolist() == ["womens", "mens"]
    assert json.loads(log.column("contacts", "attributes")[1]) == {
        "recency": 6,
        "mens": 0,
        "womens": 1,
        "newbie": 1,
        "zip_code": "Rural",
        "channel": "Web",
        "log_history": 5.799335,  # log(330.08)
    }


def test_the_log_knows_how_every_decision_ended(tmp_path: Path) -> None:
    assert share_matured(adapt_small(tmp_path, COLUMNS)) == 1.0


def test_every_customer_falls_under_a_rule() -> None:
    rules = load_journey("hillstrom").rules
    assert [(c.column, c.operator, c.threshold) for c in rules[0].when] == [
        ("womens", ">=", 1.0),
        ("mens", "<", 1.0),
    ]
    assert rules[1].action == "send:mens_email@now"


@pytest.mark.parametrize("name", ["segment", "spend", "channel"])
def test_a_missing_column_is_named(tmp_path: Path, name: str) -> None:
    write_csv(tmp_path / FILE, without(COLUMNS, name))
    with pytest.raises(LogError, match=f"{name} missing"):
        adapt(write_raw, tmp_path, tmp_path / "raw")
    assert not (tmp_path / "raw").exists()


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(LogError, match=FILE):
        adapt(write_raw, tmp_path, tmp_path / "raw")


def test_an_unknown_arm_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LogError, match="Kids E-Mail"):
        adapt_small(tmp_path, COLUMNS | {"segment": ["Kids E-Mail"] * 3})


def test_an_empty_outcome_is_refused_not_read_as_none(tmp_path: Path) -> None:
    with pytest.raises(LogError, match="every row of visit, 1 of 3"):
        adapt_small(tmp_path, COLUMNS | {"visit": [1, None, 0]})


@pytest.mark.parametrize("flaw", ["forbidden", "of probability 0"])
def test_an_action_the_design_could_not_take_is_refused(flaw: str) -> None:
    mask, probabilities = np.ones((1, 3), np.bool_), np.full((1, 3), 1 / 3)
    if flaw == "forbidden":
        mask[0, 1] = False
    else:
        probabilities[:] = [[0.5, 0.0, 0.5]]
    zero, one = np.zeros(1, np.int64), np.ones(1, np.int64)
    name = np.array(["a"])
    rows = DecisionRows(name, name, zero, zero, zero, one, probabilities, mask)
    with pytest.raises(LogError, match="a took send:womens_email@now"):
        decision_table(load_journey("hillstrom"), rows)


def test_all_customers_keep_the_contract_and_ingest_whole(real: Adapted, tmp_path: Path) -> None:
    assert len(real.decisions) == len(real.contacts) == real.notes.rows_read == 64_000
    assert_keeps_the_contract(real)
    assert_ingests_whole(real, tmp_path / "tables")


@pytest.mark.parametrize(
    ("action", "n", "visits", "purchases", "spend"),
    [
        ("send:mens_email@now", 21_307, 0.18276, 0.01253, 1.4226),
        ("send:womens_email@now", 21_387, 0.15140, 0.00884, 1.0772),
        ("pause:1", 21_306, 0.10617, 0.00573, 0.6528),
    ],
)
def test_arm_means_are_the_published_ones(
    real: Adapted, action: str, n: int, visits: float, purchases: float, spend: float
) -> None:
    arm = real.column("decisions", "action") == action
    assert arm.sum() == n
    assert real.total("visit")[arm].mean() == pytest.approx(visits, abs=5e-6)
    assert real.total("purchase")[arm].mean() == pytest.approx(purchases, abs=5e-6)
    assert real.total("purchase", value=True)[arm].mean() == pytest.approx(spend, abs=5e-5)


def test_assignment_does_not_depend_on_the_past_purchases(real: Adapted) -> None:
    history = np.array(
        [json.loads(t)["log_history"] for t in real.column("contacts", "attributes")]
    )
    arms = real.column("decisions", "action")
    means = [history[arms == arm].mean() for arm in np.unique(arms)]
    # Three standard errors of a difference of means over 21,300 customers, deviation below 1.
    assert max(means) - min(means) < 3 * np.sqrt(2 / 21_300)
