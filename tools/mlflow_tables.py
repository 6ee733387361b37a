"""Write down the tables that the installed MLflow makes in a new store.

python tools/mlflow_tables.py
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from nurture_rl.tracking.empty_store import TABLES, tables_of


def made_by_mlflow(folder: Path) -> str:
    """The tables of a store that MLflow makes in an empty folder."""
    from mlflow import MlflowClient

    path = folder / "mlflow.db"
    MlflowClient(tracking_uri=f"sqlite:///{path}").search_experiments(max_results=1)
    return tables_of(path)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        TABLES.write_text(made_by_mlflow(Path(scratch)), "utf-8")
