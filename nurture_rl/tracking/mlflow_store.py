"""The MLflow store of runs, and calls to it that are repeated while another process locks it."""

from __future__ import annotations

import logging
import os
import sqlite3
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from nurture_rl.errors import ConfigError
from nurture_rl.logs.alone import alone
from nurture_rl.tracking.empty_store import lay_out

if TYPE_CHECKING:
    from mlflow import MlflowClient

SQLITE = "sqlite:///"
ATTEMPTS = 8  # waits add up to about 6 s, beyond SQLite's own
_FIRST_WAIT = 0.05  # seconds; doubled after each attempt
# MLflow looks for a data set and then adds it: of two runs at a time the second finds it later on.
_BUSY = (
    "database is locked",
    "database table is locked",
    "UNIQUE constraint failed: datasets.",
)

_FIRST_TABLES = {"experiments", "runs", "metrics", "params"}  # MLflow makes them before the rest
# What it says when it starts anew on some of its tables.
_HALF_MADE = ("already exists", "duplicate column name")

T = TypeVar("T")


def tracking_uri(uri: str | None, root: Path) -> str:
    """The store's address with an absolute path, because sweeps run in other folders.

    Args:
        uri: an MLflow tracking URI; None for `mlflow.db` in `root`.
        root: folder that a relative SQLite file is taken from.
    """
    if uri is None:
        return f"{SQLITE}{(root / 'mlflow.db').resolve()}"
    if uri.startswith(SQLITE):
        return f"{SQLITE}{(root / uri.removeprefix(SQLITE)).resolve()}"
    return uri


def open_store(uri: str) -> MlflowClient:
    """A client of the store, which is created when it is a file that does not exist.

    Raises:
        ConfigError: what is there is no store of this version of MLflow, or nobody answers.
    """
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"  # read while mlflow is imported
    # It announces the tables of every new file.
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)

    def connect() -> MlflowClient:
        from mlflow import MlflowClient

        client = MlflowClient(tracking_uri=uri, registry_uri=uri)
        client.search_experiments(max_results=1)  # makes the tables of a new file
        return client

    try:
        if not uri.startswith(SQLITE):
            return patiently(connect)
        path = Path(uri.removeprefix(SQLITE))
        path.parent.mkdir(parents=True, exist_ok=True)
        # MLflow's own lock does not cover its schema's later versions.
        with alone(path.with_name(f"{path.name}.lock")):
            return _opened(path, connect)
    except (ConfigError, OSError):
        raise
    except Exception as error:  # MLflow, SQLAlchemy and Alembic share no base
        raise ConfigError(
            f"tracking_uri: expected a store of MLflow {version('mlflow')} at {uri}, got: "
            f"{_first_sentence(error)}; name another by tracking_uri, or bring this one up to date "
            f"with: mlflow db upgrade {uri}"
        ) from error


def _opened(path: Path, connect: Callable[[], T]) -> T:
    """Open a store, or make one; a store that a killed process left half made is moved away first.

    Where MLflow makes the tables, it takes dozens of steps and cannot resume after one. While they
    are made, a mark file lies beside the store; the lock keeps other processes out.
    """
    mark = path.with_name(f"{path.name}.unfinished")
    if mark.exists() and path.is_file():
        path.replace(path.with_name(f"{path.name}.half_made"))
        path.with_name(f"{path.name}-journal").unlink(missing_ok=True)
    _require_store(path)
    if _is_new(path):
        mark.touch()
        lay_out(path)
    try:
        client = patiently(connect)
    except Exception as error:
        if not mark.exists() and any(text in str(error) for text in _HALF_MADE):
            raise ConfigError(_half_made(path)) from error
        raise
    mark.unlink(missing_ok=True)
    return client


def _is_new(path: Path) -> bool:
    return not path.exists() or (path.is_file() and path.stat().st_size == 0)


def _half_made(path: Path) -> str:
    return (
        f"tracking_uri: expected a store of MLflow at {path}, got one that a killed process left "
        "half made, so no run is in it; move it away, and a new one is made"
    )


def _require_store(path: Path) -> None:
    """Refuse a file that is no MLflow store, before MLflow adds tables to it or retries."""
    if _is_new(path):
        return
    what = "a folder"
    if path.is_file():
        what = "a file that is no SQLite database"
        try:
            with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
                rows = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
                tables = {name for (name,) in rows}
            if not tables or "alembic_version" in tables:
                return
            if tables >= _FIRST_TABLES:
                raise ConfigError(_half_made(path))
            what = f"the SQLite database of something else (tables {', '.join(sorted(tables)[:3])})"
        except sqlite3.OperationalError:
            return  # held by another process; MLflow waits for its turn
        except sqlite3.DatabaseError:
            pass
    raise ConfigError(
        f"tracking_uri: expected a store of MLflow at {path}, got {what}; name another file"
    )


def _first_sentence(error: Exception) -> str:
    return " ".join(str(error).split()).partition(". ")[0]


def experiment_id(client: MlflowClient, uri: str, name: str) -> str:
    """The experiment of this name; a new one keeps its artifacts beside a SQLite store."""
    experiment = patiently(lambda: client.get_experiment_by_name(name))
    if experiment is not None:
        return str(experiment.experiment_id)
    from mlflow.exceptions import MlflowException

    folder = None
    if uri.startswith(SQLITE):
        folder = (Path(uri.removeprefix(SQLITE)).parent / "mlartifacts").as_uri()
    try:
        return str(patiently(lambda: client.create_experiment(name, artifact_location=folder)))
    except MlflowException:
        # Another job of the sweep may have been first.
        experiment = patiently(lambda: client.get_experiment_by_name(name))
        if experiment is None:
            raise
        return str(experiment.experiment_id)


def patiently(call: Callable[[], T], sleep: Callable[[float], None] = time.sleep) -> T:
    """Call, and repeat the call while another process is in the way: locks the file, or was first.

    Raises:
        Exception: what the call raises: at once if no other process is its cause, otherwise after
            the last attempt.
    """
    for attempt in range(ATTEMPTS - 1):
        try:
            with _quiet():
                return call()
        except Exception as error:
            if not any(text in str(error) for text in _BUSY):
                raise
        sleep(_FIRST_WAIT * 2**attempt)
    with _quiet():
        return call()


@contextmanager
def _quiet() -> Iterator[None]:
    """Without two notices of MLflow 3.17 about its own code."""
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", "The ``noload`` loader strategy is deprecated", DeprecationWarning
        )
        warnings.filterwarnings("ignore", ".*Any type hint is inferred as AnyType", UserWarning)
        yield
