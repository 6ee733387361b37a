"""The tables of a new store, as this version of MLflow makes them in dozens of steps."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from importlib.metadata import version
from pathlib import Path

TABLES = Path(__file__).with_name("mlflow_tables.sql")  # written by tools/mlflow_tables.py


def lay_out(path: Path) -> bool:
    """Make all tables of a new file in one transaction; False leaves that to MLflow.

    They are known for one version of MLflow alone.
    """
    text = TABLES.read_text("utf-8")
    if text.partition("\n")[0] != heading():
        return False
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(text)
    return True


def heading() -> str:
    """First line of the tables of the installed MLflow."""
    return f"-- MLflow {version('mlflow')}"
