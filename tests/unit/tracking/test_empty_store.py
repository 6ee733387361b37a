"""A new store's tables are those that the installed MLflow would make."""

from __future__ import annotations

from pathlib import Path

import pytest

from nurture_rl.tracking import empty_store
from nurture_rl.tracking.empty_store import TABLES, heading, lay_out
from nurture_rl.tracking.mlflow_store import open_store
from tools.mlflow_tables import tables_of

KNOWN = TABLES.read_text("utf-8").startswith(f"{heading()}\n")


@pytest.mark.slow
@pytest.mark.skipif(not KNOWN, reason="the tables of this version of MLflow are not written down")
def test_the_tables_written_down_are_those_that_mlflow_makes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, theirs = tmp_path / "ours.db", tmp_path / "theirs.db"
    open_store(f"sqlite:///{ours}")
    monkeypatch.setattr("nurture_rl.tracking.mlflow_store.lay_out", lambda path: False)
    open_store(f"sqlite:///{theirs}")
    again = "write them down again with tools/mlflow_tables.py"
    assert pieces(TABLES.read_text("utf-8")) == pieces(tables_of(theirs)), again
    assert tables_of(ours) == TABLES.read_text("utf-8")


def pieces(tables: str) -> list[str]:
    """Columns, constraints and rows; MLflow writes the constraints of a table in any order."""
    return sorted(line.strip(" ,\t") for line in tables.splitlines())


def test_tables_of_another_version_are_left_to_mlflow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = tmp_path / "tables.sql"
    old.write_text("-- MLflow 1.0.0\nCREATE TABLE runs (id TEXT);\n", "utf-8")
    monkeypatch.setattr(empty_store, "TABLES", old)
    assert not lay_out(tmp_path / "mlflow.db")
    assert not (tmp_path / "mlflow.db").exists()
