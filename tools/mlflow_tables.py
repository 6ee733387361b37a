"""Write down the tables that the installed MLflow makes in a new store.

python tools/mlflow_tables.py
"""

from __future__ import annotations

import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

from nurture_rl.tracking.empty_store import TABLES, heading

_FIRST = 'INSERT INTO "experiments"'  # MLflow adds it when it first opens a store, with the time


def tables_of(path: Path) -> str:
    """A store without runs as the SQL that makes it, to be laid out elsewhere."""
    with closing(sqlite3.connect(path)) as connection:
        lines = [line for line in connection.iterdump() if not line.startswith(_FIRST)]
    return "\n".join([heading(), *lines]) + "\n"


def made_by_mlflow(folder: Path) -> str:
    """The tables of a store that MLflow makes in an empty folder."""
    from mlflow import MlflowClient

    path = folder / "mlflow.db"
    MlflowClient(tracking_uri=f"sqlite:///{path}").search_experiments(max_results=1)
    return tables_of(path)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        TABLES.write_text(made_by_mlflow(Path(scratch)), "utf-8")
