"""Where runs are recorded, and calls to it that wait for their turn."""

from __future__ import annotations

import logging
import os
import sqlite3
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from mlflow import MlflowClient

SQLITE = "sqlite:///"
ATTEMPTS = 8  # waits add up to about 6 s, beyond SQLite's own
_FIRST_WAIT = 0.05  # seconds; doubled after each attempt
_OPENING = 120.0  # seconds that another process may take to make the tables
_BUSY = ("database is locked", "database table is locked")

T = TypeVar("T")


def tracking_uri(uri: str | None, root: Path) -> str:
    """The store's address with nothing relative left in it: sweeps run in other folders.

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
    """A client of the store, which is created when it is a file that does not exist."""
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"  # read while mlflow is imported
    # It announces the tables of every new file.
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)

    def connect() -> MlflowClient:
        from mlflow import MlflowClient

        client = MlflowClient(tracking_uri=uri, registry_uri=uri)
        client.search_experiments(max_results=1)  # makes the tables of a new file
        return client

    if not uri.startswith(SQLITE):
        return patiently(connect)
    path = Path(uri.removeprefix(SQLITE))
    path.parent.mkdir(parents=True, exist_ok=True)
    with _alone(path.with_name(f"{path.name}.lock")):
        return patiently(connect)


def experiment_id(client: MlflowClient, uri: str, name: str) -> str:
    """The experiment of this name; a new one keeps its artifacts beside a SQLite store."""
    found = patiently(lambda: client.get_experiment_by_name(name))
    if found is not None:
        return str(found.experiment_id)
    from mlflow.exceptions import MlflowException

    folder = None
    if uri.startswith(SQLITE):
        folder = (Path(uri.removeprefix(SQLITE)).parent / "mlartifacts").as_uri()
    try:
        return str(patiently(lambda: client.create_experiment(name, artifact_location=folder)))
    except MlflowException:
        # Another job of the sweep may have been first.
        found = patiently(lambda: client.get_experiment_by_name(name))
        if found is None:
            raise
        return str(found.experiment_id)


def patiently(call: Callable[[], T], sleep: Callable[[float], None] = time.sleep) -> T:
    """Call, and again while other processes hold the SQLite file.

    Raises:
        Exception: whatever the call raises, at once when it is about anything but a held file,
            and after the last attempt when it is.
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
def _alone(path: Path) -> Iterator[None]:
    """One process at a time: MLflow's own lock does not cover its schema's later versions.

    SQLite's lock is portable, and a killed process leaves it open.
    """
    with closing(sqlite3.connect(path, timeout=_OPENING, isolation_level=None)) as lock:
        lock.execute("BEGIN EXCLUSIVE")
        yield


@contextmanager
def _quiet() -> Iterator[None]:
    """Without two notices of MLflow 3.17 about its own code."""
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", "The ``noload`` loader strategy is deprecated", DeprecationWarning
        )
        warnings.filterwarnings("ignore", ".*Any type hint is inferred as AnyType", UserWarning)
        yield
