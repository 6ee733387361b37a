"""Files that are damaged, or of another kind than their name says, are refused in one line."""

from __future__ import annotations

import gzip
import importlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nurture_rl.errors import ConfigError, LogError
from nurture_rl.interchange.bandit_feedback import FeedbackMeaning, read_feedback_file
from nurture_rl.interchange.episodes import require_package
from nurture_rl.interchange.foreign_episodes import d3rlpy_episodes, minari_episodes
from nurture_rl.interchange.frames import FrameColumns, FrameMeaning, read_frame

COLUMNS = FrameColumns(action="arm", propensity="p", reward="paid", contact="who")
CSV = b"who,arm,p,paid\nann,mail,0.5,1\nbob,none,0.5,0\n"


def said(path: Path) -> str:
    with pytest.raises(LogError) as refusal:
        read_frame(path, COLUMNS, FrameMeaning())
    assert "\n" not in str(refusal.value)
    return str(refusal.value)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.csv", gzip.compress(CSV), "it is gzipped; name it so: add .gz"),
        ("a.csv.gz", CSV, "Not a gzipped file"),
        ("a.csv", b"PAR1" + CSV, "it is Parquet"),
        ("a.csv", b"PK\x03\x04" + CSV, "a zip archive or a spreadsheet"),
        ("a.csv", CSV.decode().encode("utf-16"), "it is in UTF-16; save it as UTF-8"),
        ("a.csv", b"\0" * 100, "its first line is binary"),
        ("a.csv", b'"' + CSV, "expected the first line of a.csv to name its columns"),
        ("a.csv", CSV[:15], "holds no decision"),
        ("a.csv", CSV[:15] + b"\xe9,1,1,1\n\xe8,1,1,1\n", "line 2: malformed: not UTF-8"),
        ("a.csv", CSV.replace(b"paid", b"p"), "expected each column of a.csv once"),
        ("a.parquet", CSV, "Parquet magic bytes not found"),
        ("a.parquet", b"", "Parquet file size is 0 bytes"),
        ("a.xlsx", CSV, "expected a file ending in one of .parquet, .csv, .csv.gz"),
    ],
    ids=[
        "gzip",
        "no gzip",
        "parquet",
        "zip",
        "utf-16",
        "binary",
        "open quote",
        "header",
        "latin-1",
        "column twice",
        "no parquet",
        "empty",
        "suffix",
    ],
)
def test_a_table_that_is_something_else_says_what_it_is(
    tmp_path: Path, name: str, content: bytes, words: str
) -> None:
    (tmp_path / name).write_bytes(content)
    assert words in said(tmp_path / name)


def test_a_folder_and_a_column_twice_are_told(tmp_path: Path) -> None:
    assert "got a folder; name the file in it" in said(tmp_path)
    names = ["who", "who", "arm", "p", "paid"]
    table = pa.Table.from_arrays([pa.array(["0.5"])] * 5, names=names)
    pq.write_table(table, tmp_path / "twice.parquet")
    assert "twice.parquet has 2 columns 'who' (columns.contact)" in said(tmp_path / "twice.parquet")


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_a_line_may_end_in_any_of_three_ways(tmp_path: Path, end: bytes) -> None:
    (tmp_path / "a.csv").write_bytes(b"\xef\xbb\xbf" + CSV.replace(b"\n", end))
    rows = read_frame(tmp_path / "a.csv", COLUMNS, FrameMeaning())
    assert rows.line.tolist() == [2, 3]
    assert rows.reward.tolist() == [1.0, 0.0]


def test_one_bare_array_is_no_feedback(tmp_path: Path) -> None:
    np.save(tmp_path / "log.npy", np.arange(3))
    with pytest.raises(LogError, match=r"log.npy to be an .npz file .* got: one bare array"):
        read_feedback_file(tmp_path / "log.npy", FeedbackMeaning())


def test_damaged_hdf5_is_refused_by_its_name(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    (tmp_path / "text.h5").write_text("no")
    with h5py.File(tmp_path / "lacking.h5", "w") as file:
        file["num_episodes"] = 1
    for name in ("text.h5", "lacking.h5"):
        with pytest.raises(LogError, match=rf"expected {name} to be a whole HDF5 file"):
            d3rlpy_episodes(tmp_path / name, {})


@pytest.mark.parametrize("metadata", ["{no", "{}", json.dumps({"total_episodes": 1})])
def test_a_damaged_minari_data_set_is_refused_by_its_folder(tmp_path: Path, metadata: str) -> None:
    pytest.importorskip("minari")
    (tmp_path / "metadata.json").write_text(metadata)
    with pytest.raises(LogError, match="expected a whole Minari data set at"):
        minari_episodes(tmp_path)


def test_a_missing_library_is_named_as_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> Any:
        raise ModuleNotFoundError(f"No module named {name!r}", name="minari")

    monkeypatch.setattr(importlib, "import_module", absent)
    with pytest.raises(ConfigError) as refusal:
        require_package("minari.dataset.minari_storage")
    assert str(refusal.value) == (
        "this needs the package 'minari', which is not installed; "
        'pip install "nurture-rl[interop]"'
    )


def test_a_library_without_the_module_is_called_another_version() -> None:
    with pytest.raises(ConfigError, match=r"installed package 'json' cannot be used"):
        require_package("json.no_such_module")
