"""Tables on disk: equal to memory, bad rows by number and reason, resumed where they stopped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from nurture_rl.errors import LogError
from nurture_rl.ope.log import BoolArray, FloatArray
from nurture_rl.ope.streaming.accumulate import moments_of
from nurture_rl.ope.streaming.batch_readers import ColumnReader, PolicyReader
from nurture_rl.ope.streaming.decision_columns import DecisionColumns, FaultArray, rows_of_log
from nurture_rl.ope.streaming.estimates import streamed_estimates
from nurture_rl.ope.streaming.moments import Moments
from nurture_rl.ope.streaming.parquet import StreamConfig, stream_parquet
from nurture_rl.ope.value_model import ValuePredictions
from tests.unit.ope.streaming.makers import SMALL, decided

# Hashes wrap around; where loops run uncompiled, the interpreter warns of it.
pytestmark = pytest.mark.filterwarnings("ignore:(overflow|invalid value) encountered in scalar")

CONFIG = StreamConfig(moments=SMALL, batch_rows=7, workers=1, compiled=False)


class Uniform:
    """The same chance for every legal action."""

    def action_probabilities(self, features: NDArray[np.float32], mask: BoolArray, /) -> FloatArray:
        return np.asarray(mask / mask.sum(axis=1, keepdims=True), dtype=np.float64)


def table(seed: int, n: int) -> tuple[pa.Table, DecisionColumns]:
    log, target, model = decided(seed, n)
    rows = rows_of_log(log, target[np.arange(n), log.action], model)
    columns = {
        "contact_id": rows.contact.astype(np.int64),
        "reward": rows.reward,
        "propensity": rows.propensity,
        "target_probability": rows.taken,
        "q_logged": rows.q_logged,
        "q_target": rows.value,
    }
    return pa.table(columns), rows


def spoilt(given: pa.Table, rows: Sequence[int]) -> pa.Table:
    propensity = given["propensity"].to_pylist()
    for row in rows:
        propensity[row] = None
    at = given.column_names.index("propensity")
    return given.set_column(at, "propensity", pa.array(propensity, pa.float64()))


def require_same(found: Moments, expected: Moments) -> None:
    np.testing.assert_allclose(found.sums, expected.sums, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(found.bounds, expected.bounds, rtol=1e-12)
    assert found.matched == expected.matched


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_row_groups_and_batches_add_up_to_the_whole(tmp_path: Path, workers: int) -> None:
    given, rows = table(0, 100)
    pq.write_table(given, tmp_path / "t.parquet", row_group_size=18)
    found = stream_parquet(tmp_path / "t.parquet", ColumnReader(), replace(CONFIG, workers=workers))
    require_same(found.moments, moments_of(rows, SMALL))
    assert (found.n_rows, found.bad_row.size, found.quarantine().num_rows) == (100, 0, 0)
    expected = streamed_estimates(moments_of(rows, SMALL)).all()
    for name, estimate in streamed_estimates(found.moments).all().items():
        assert estimate.value == pytest.approx(expected[name].value, rel=1e-9)
        assert estimate.stderr == pytest.approx(expected[name].stderr, rel=1e-9)


def test_a_folder_is_read_file_by_file(tmp_path: Path) -> None:
    given, rows = table(1, 60)
    pq.write_table(given.slice(0, 25), tmp_path / "a.parquet", row_group_size=10)
    pq.write_table(spoilt(given.slice(25), [2]), tmp_path / "b.parquet", row_group_size=10)
    loose = replace(CONFIG, max_bad_share=0.1)
    found = stream_parquet(tmp_path, ColumnReader(), loose)
    require_same(found.moments, moments_of(rows.take(np.delete(np.arange(60), 27)), SMALL))
    assert found.quarantine().to_pylist() == [{"row": 27, "reason": "no propensity"}]


def test_a_decision_table_is_streamed_with_a_policy(tmp_path: Path) -> None:
    log, _, _ = decided(8, 40)
    assert log.logged_probabilities is not None
    ids = ("wait", "send", "call")
    decisions = pa.table(
        {
            "contact_id": [f"contact {number}" for number in log.cluster],
            "action": [ids[at] for at in log.action],
            "propensity": log.propensity,
            "probabilities": log.logged_probabilities.tolist(),
            "mask": log.mask.tolist(),
            "features": log.features.tolist(),
            "reward": log.reward,
        }
    )
    pq.write_table(decisions, tmp_path / "t.parquet", row_group_size=15)
    uniform = log.mask / log.mask.sum(axis=1, keepdims=True)
    taken, nothing = uniform[np.arange(40), log.action], np.zeros(40)
    expected = moments_of(rows_of_log(log, taken, ValuePredictions(nothing, nothing)), SMALL)
    reader = PolicyReader(Uniform(), ids, "uniform")
    found = stream_parquet(tmp_path / "t.parquet", reader, CONFIG).moments
    # Other buckets than those of numbered contacts, the same decisions.
    assert found.sums.sum(axis=0) == pytest.approx(expected.sums.sum(axis=0))
    assert found.bounds == pytest.approx(expected.bounds)


def test_bad_rows_are_set_aside_with_number_and_reason(tmp_path: Path) -> None:
    given, rows = table(2, 50)
    pq.write_table(spoilt(given, [3, 20, 49]), tmp_path / "t.parquet", row_group_size=20)
    loose = replace(CONFIG, max_bad_share=0.06, workers=2)
    found = stream_parquet(tmp_path / "t.parquet", ColumnReader(), loose)
    assert found.bad_row.tolist() == [3, 20, 49]
    assert {row["reason"] for row in found.quarantine().to_pylist()} == {"no propensity"}
    kept = np.delete(np.arange(50), [3, 20, 49])
    require_same(found.moments, moments_of(rows.take(kept), SMALL))
    assert found.moments.n_rows == 47


def test_too_many_bad_rows_are_refused_with_their_reasons(tmp_path: Path) -> None:
    given, _ = table(3, 50)
    pq.write_table(spoilt(given, [3, 20]), tmp_path / "t.parquet", row_group_size=20)
    strict = replace(CONFIG, max_bad_share=0.039)
    with pytest.raises(LogError, match=r"2 of 40 .* first row 3 \(no propensity: 2\)"):
        stream_parquet(tmp_path / "t.parquet", ColumnReader(), strict)


@dataclass(frozen=True)
class Breaks:
    """Reads as a reader of columns until a contact comes up, if it is to break at all."""

    at: int | None
    seen: list[int]
    name: str = "breaks"

    @property
    def columns(self) -> Sequence[str]:
        return ColumnReader().columns

    def rows(self, batch: pa.RecordBatch) -> tuple[DecisionColumns, FaultArray]:
        self.seen.append(len(batch))
        if self.at is not None and len(self.seen) > self.at:
            raise OSError("the disk is gone")
        return ColumnReader().rows(batch)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_stream_goes_on_where_it_stopped(tmp_path: Path, workers: int) -> None:
    given, rows = table(4, 60)
    pq.write_table(spoilt(given, [5]), tmp_path / "t.parquet", row_group_size=10)
    kept = replace(
        CONFIG,
        batch_rows=10,
        progress=tmp_path / "progress.npz",
        max_bad_share=0.1,
        workers=workers,
    )
    with pytest.raises(OSError, match="the disk is gone"):
        stream_parquet(tmp_path / "t.parquet", Breaks(4, []), kept)
    rest: list[int] = []
    said: list[str] = []
    found = stream_parquet(tmp_path / "t.parquet", Breaks(None, rest), kept, said.append)
    assert len(rest) < 6
    require_same(found.moments, moments_of(rows.take(np.delete(np.arange(60), 5)), SMALL))
    assert found.bad_row.tolist() == [5]
    assert said[-1].startswith("60 of 60 decisions (100%)")
    assert said[-1].endswith("1 set aside")
    # Once more: nothing is left to read.
    again: list[int] = []
    whole = stream_parquet(tmp_path / "t.parquet", Breaks(None, again), kept)
    assert again == []
    require_same(whole.moments, found.moments)


def test_progress_of_another_table_or_reader_is_refused(tmp_path: Path) -> None:
    given, _ = table(5, 20)
    pq.write_table(given, tmp_path / "t.parquet")
    kept = replace(CONFIG, progress=tmp_path / "progress.npz")
    stream_parquet(tmp_path / "t.parquet", ColumnReader(), kept)
    with pytest.raises(LogError, match="another table, reader or configuration"):
        stream_parquet(tmp_path / "t.parquet", ColumnReader(q_logged="q_target"), kept)
    other = replace(kept, moments=replace(SMALL, n_buckets=64))
    with pytest.raises(LogError, match="another table, reader or configuration"):
        stream_parquet(tmp_path / "t.parquet", ColumnReader(), other)
    pq.write_table(given.slice(1), tmp_path / "t.parquet")
    with pytest.raises(LogError, match="another table, reader or configuration"):
        stream_parquet(tmp_path / "t.parquet", ColumnReader(), kept)


def test_progress_is_said_after_every_row_group(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pq.write_table(table(6, 30)[0], tmp_path / "t.parquet", row_group_size=10)
    kept = replace(CONFIG, progress=tmp_path / "progress.npz", batch_rows=10)
    with pytest.raises(OSError, match="the disk is gone"):
        stream_parquet(tmp_path / "t.parquet", Breaks(1, []), kept)
    clock = iter([100.0, 102.0, 105.0])
    monkeypatch.setattr("nurture_rl.ope.streaming.parquet.time.perf_counter", lambda: next(clock))
    said: list[str] = []
    stream_parquet(tmp_path / "t.parquet", Breaks(None, []), kept, said.append)
    # Rates count what was read since the stream went on.
    assert said == [
        "20 of 30 decisions (67%), 5/s, 0 set aside",
        "30 of 30 decisions (100%), 4/s, 0 set aside",
    ]


def test_tables_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    with pytest.raises(LogError, match="expected a Parquet file or a folder of them"):
        stream_parquet(tmp_path, ColumnReader())
    with pytest.raises(LogError, match="expected a Parquet file or a folder of them"):
        stream_parquet(tmp_path / "none.parquet", ColumnReader())
    given, _ = table(7, 10)
    pq.write_table(given.drop_columns("reward"), tmp_path / "t.parquet")
    with pytest.raises(LogError, match=r"t.parquet has no column \['reward'\]"):
        stream_parquet(tmp_path / "t.parquet", ColumnReader())
    pq.write_table(given.slice(0, 0), tmp_path / "t.parquet")
    with pytest.raises(LogError, match="has no decision"):
        stream_parquet(tmp_path / "t.parquet", ColumnReader())
