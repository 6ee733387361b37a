"""The record of one run of a verb, opened where its settings say."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from nurture_rl.tracking.run import Run, tracked_run

if TYPE_CHECKING:
    from nurture_rl.workflow.config import Settings


def runs_folder(checked: Settings) -> Path:
    """Where everything that is made lies."""
    root = Path(checked.run.runs).resolve()
    root.mkdir(parents=True, exist_ok=True)
    return root


def run_tracking(checked: Settings, verb: str, name: str) -> AbstractContextManager[Run]:
    """A run of MLflow, in the store that the settings name or in SQLite beside what is made.

    Args:
        checked: the run's settings.
        verb: of the command.
        name: of the run.
    """
    run = checked.run
    uri = run.tracking_uri or f"sqlite:///{runs_folder(checked) / 'mlflow.db'}"
    tags = {"verb": verb, "data": run.data.name, "journey": run.data.journey}
    return tracked_run(uri, run.experiment_name, name, checked.plain, tags)
