"""The offers keep their waves, waits and late completions; columns that know too much are lost."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pytest

from nurture_rl.errors import LogError
from nurture_rl.logs.adapters.starbucks_offers import (
    PARTS,
    PORTFOLIO,
    PROFILE,
    START_US,
    write_raw,
)
from tests.data.adapted import (
    Adapted,
    adapt,
    assert_ingests_whole,
    assert_keeps_the_contract,
    bins_of,
    share_matured,
    without,
    words_of,
    write_csv,
)
from tests.shared_data import shared_data

OFFERS: dict[str, list[object]] = {
    "customer_id": ["a", "a", "a", "b"],
    "offer_received_time": [0, 168, 168, 576],
    "offer_id": ["twenty", "news", "news", "bogo"],
    "offer_completed": [1.0, 0.0, 0.0, 1.0],
    "offer_completed_time": [174.0, -1.0, -1.0, 576.0],
    "num_channels": [3, 3, 3, 3],
    "num_offer_viewed": [4, 4, 4, 4],
    "offer_view_rate": [0.5] * 4,
    "age_quantile_label_enc": [1] * 4,
}
PEOPLE: list[dict[str, object]] = [
    {"id": "a", "gender": "F", "age": 55, "income": 112000, "became_member_on": "20170725"},
    {"id": "b", "gender": None, "age": 118, "income": None, "became_member_on": "20180726"},
    {"id": "c", "gender": "M", "age": 30, "income": 50000, "became_member_on": "20160101"},
]
DEALS: list[dict[str, object]] = [
    {"id": "twenty", "offer_type": "discount", "difficulty": 20, "reward": 5, "duration": 10.0},
    {"id": "news", "offer_type": "informational", "difficulty": 0, "reward": 0, "duration": 4.0},
    {"id": "bogo", "offer_type": "bogo", "difficulty": 10, "reward": 10, "duration": 5.0},
]


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Adapted:
    source = shared_data("starbucks_offers")
    return adapt(write_raw, source, tmp_path_factory.mktemp("starbucks") / "raw")


def write_lines(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    with pa.output_stream(str(path)) as stream:
        stream.write("".join(json.dumps(row) + "\n" for row in rows).encode())


def adapt_small(folder: Path, offers: Mapping[str, Sequence[object]]) -> Adapted:
    write_csv(folder / PARTS[0], {name: values[:2] for name, values in offers.items()})
    write_csv(folder / PARTS[1], {name: values[2:] for name, values in offers.items()})
    write_lines(folder / PROFILE, PEOPLE)
    write_lines(folder / PORTFOLIO, DEALS)
    return adapt(write_raw, folder, folder / "raw")


def test_three_people_by_hand(tmp_path: Path) -> None:
    log = adapt_small(tmp_path, OFFERS)
    assert_keeps_the_contract(log)
    action = log.column("decisions", "action").reshape(3, 6)
    wait = "pause:1"
    assert action[0].tolist() == ["send:discount_20_5_10d@now", "send:info_4d@now", *[wait] * 4]
    assert action[1].tolist() == [*[wait] * 5, "send:bogo_10_10_5d@now"]
    assert action[2].tolist() == [wait] * 6  # never got an offer, still decided about
    assert log.column("decisions", "propensity").reshape(3, 6)[0, :3] == pytest.approx(
        [0.0748, 0.0748, 0.252]
    )
    assert log.notes.excluded[0].rows == 1


def test_a_late_completion_counts_in_the_bin_it_happens(tmp_path: Path) -> None:
    log = adapt_small(tmp_path, OFFERS)
    done = log.column("events", "type") == "offer_completed"
    # Hour 174 lies in the second wave's bin though the offer came with the first.
    assert bins_of(log, "events")[done].tolist() == [1, 5]
    assert log.column("events", "decision_id")[done].tolist() == ["a:0", "b:5"]
    assert log.column("events", "value")[done].tolist() == [15.0, 0.0]
    hours = (log.column("events", "occurred_at")[done] - START_US) / 3_600_000_000
    assert hours.tolist() == [174.0, 576.0]


def test_the_log_knows_how_every_decision_ended(tmp_path: Path) -> None:
    assert share_matured(adapt_small(tmp_path, OFFERS)) == 1.0


def test_a_completion_is_known_at_once_while_decisions_follow(tmp_path: Path) -> None:
    log = adapt_small(tmp_path, OFFERS)
    done = log.column("events", "type") == "offer_completed"
    hours = (log.column("events", "recorded_at")[done] - START_US) / 3_600_000_000
    assert hours.tolist() == [174.0, 720.0]


def test_unknown_age_and_income_are_absent_not_numbers(tmp_path: Path) -> None:
    attributes = [
        json.loads(text) for text in adapt_small(tmp_path, OFFERS).column("contacts", "attributes")
    ]
    assert attributes[1] == {"profile_given": 0, "member_years": 0.0}
    assert attributes[0]["income_thousands"] == 112.0
    assert attributes[0]["member_years"] == pytest.approx(366 / 365.25, abs=1e-4)


def test_columns_of_the_whole_period_are_refused(tmp_path: Path) -> None:
    log = adapt_small(tmp_path, OFFERS)
    refused = ("age_quantile_label_enc", "num_offer_viewed", "offer_view_rate")
    assert log.notes.refused_columns == refused
    assert not [name for name in (*refused, "gender") if name in words_of(log)]


@pytest.mark.parametrize("name", ["offer_id", "offer_completed_time"])
def test_a_missing_column_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(LogError, match=f"{name} missing"):
        adapt_small(tmp_path, without(OFFERS, name))


def test_a_missing_member_of_the_profile_is_named(tmp_path: Path) -> None:
    adapt_small(tmp_path, OFFERS)
    write_lines(tmp_path / PROFILE, [{"id": "a", "age": 55, "income": 1, "gender": "F"}])
    with pytest.raises(LogError, match="became_member_on missing"):
        adapt(write_raw, tmp_path, tmp_path / "raw")


def test_a_missing_part_is_named(tmp_path: Path) -> None:
    write_csv(tmp_path / PARTS[0], OFFERS)
    with pytest.raises(LogError, match=PARTS[1]):
        adapt(write_raw, tmp_path, tmp_path / "raw")


def test_an_offer_between_waves_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LogError, match=r"offer_received_time .* '100'"):
        adapt_small(tmp_path, OFFERS | {"offer_received_time": [0, 100, 168, 576]})


def test_the_whole_programme_keeps_the_contract_and_ingests_whole(
    real: Adapted, tmp_path: Path
) -> None:
    assert real.notes.rows_read == 76_358
    assert [row.rows for row in real.notes.excluded] == [81]
    assert len(real.decisions) == 102_000
    assert (real.column("decisions", "action") != "pause:1").sum() == 76_277
    assert_keeps_the_contract(real)
    assert_ingests_whole(real, tmp_path / "tables")


@pytest.mark.parametrize(
    ("message", "rate"),
    [
        ("bogo_10_10_5d", 0.435),
        ("bogo_10_10_7d", 0.475),
        ("bogo_5_5_5d", 0.563),
        ("bogo_5_5_7d", 0.561),
        ("discount_10_2_7d", 0.519),
        ("discount_10_2_10d", 0.690),
        ("discount_7_3_7d", 0.668),
        ("discount_20_5_10d", 0.434),
        ("info_3d", 0.0),
        ("info_4d", 0.0),
    ],
)
def test_completion_rates_are_the_published_ones(real: Adapted, message: str, rate: float) -> None:
    given = real.column("decisions", "action") == f"send:{message}@now"
    # The published rates still hold the 81 second rows, all of them completions.
    assert real.total("offer_completed")[given].mean() == pytest.approx(rate, abs=0.0025)


def test_waiting_earns_nothing_by_construction(real: Adapted) -> None:
    waited = real.column("decisions", "action") == "pause:1"
    assert real.total("offer_completed")[waited].sum() == 0


def test_shares_do_not_depend_on_the_wave(real: Adapted) -> None:
    given = (real.column("decisions", "action") != "pause:1").reshape(17_000, 6).mean(axis=0)
    # Four standard errors of a share over 17,000 people.
    assert np.abs(given - 0.748).max() < 4 * np.sqrt(0.748 * 0.252 / 17_000)


def test_the_kept_row_of_a_doubled_offer_has_the_earlier_completion(real: Adapted) -> None:
    source = shared_data("starbucks_offers")
    names = ["customer_id", "offer_received_time", "offer_completed_time"]
    options = pa_csv.ConvertOptions(include_columns=names)
    parts = [pa_csv.read_csv(source / part, convert_options=options) for part in PARTS]
    earliest = pa.concat_tables(parts).group_by(names[:2]).aggregate([(names[2], "min")])
    hours = earliest[f"{names[2]}_min"].to_numpy()
    done = real.column("events", "type") == "offer_completed"
    kept = (real.column("events", "occurred_at")[done] - START_US) / 3_600_000_000
    assert np.sort(kept).tolist() == np.sort(hours[hours >= 0]).tolist()


def test_no_column_of_the_whole_period_reaches_a_table(real: Adapted) -> None:
    assert len(real.notes.refused_columns) == 40
    words = words_of(real)
    assert not [name for name in real.notes.refused_columns if name in words]
