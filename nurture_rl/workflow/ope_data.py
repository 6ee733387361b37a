"""Opening the log of an evaluation: a journey's held-out contacts, or another program's file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from nurture_rl.errors import ConfigError, LogError
from nurture_rl.interchange.admission import admit
from nurture_rl.interchange.bandit_feedback import FeedbackMeaning, read_feedback_file
from nurture_rl.interchange.containers import npz_arrays
from nurture_rl.interchange.foreign_episodes import (
    EpisodesMeaning,
    d3rlpy_episodes,
    minari_episodes,
    read_episodes,
)
from nurture_rl.interchange.frames import read_frame
from nurture_rl.interchange.logged_rows import LoggedRows
from nurture_rl.workflow.config import record
from nurture_rl.workflow.ope_config import FOREIGN, OpeConfig, frame_of
from nurture_rl.workflow.ope_log import OpenedLog, of_admission
from nurture_rl.workflow.ope_targets import target_policies, where_undefined

if TYPE_CHECKING:
    from nurture_rl.workflow.pipeline import Pipeline


def opened_log(pipeline: Callable[[], Pipeline], run: OpeConfig) -> OpenedLog:
    """The log a configuration names, checked, with its target policies.

    Args:
        pipeline: the loop of a journey; asked for where the log is a journey's.
        run: what to open.

    Raises:
        NurtureError: what the doors refuse, naming rows, columns and settings.
    """
    if run.data.source not in FOREIGN:
        # Loaded where it is asked for, as the pipeline is: other programs' logs need none of it.
        from nurture_rl.workflow.journey_opened import opened_journey

        return opened_journey(pipeline(), run)
    admission = admit(foreign_rows(run), run.data.max_refused)
    policies = target_policies(run.targets, admission)
    admission = replace(admission, notes=admission.notes + where_undefined(policies, admission))
    return of_admission(admission, policies, run)


def foreign_rows(run: OpeConfig) -> LoggedRows:
    """The rows of another program's log, before they are checked.

    Raises:
        NurtureError: the source cannot be read, or lacks what cannot be done without.
    """
    data = run.data
    if not data.path:
        raise ConfigError(
            "data.path: expected where the log lies, got none; name its file or folder"
        )
    path = Path(data.path)
    actions, missing = tuple(map(str, data.actions)), tuple(data.missing)
    shared = {"actions": list(actions), "unit": data.unit, "missing": list(missing)}
    if data.source == "frame":
        return read_frame(path, *frame_of(run))
    if data.source == "obp":
        feedback = record(FeedbackMeaning, asdict(data.feedback) | shared, "data.feedback")
        return read_feedback_file(path, feedback)
    said = asdict(data.infos) | shared | {"discount": data.discount}
    infos = record(EpisodesMeaning, said, "data.infos")
    if data.source == "minari":
        return read_episodes(minari_episodes(path), infos, str(data.path))
    return read_episodes(d3rlpy_episodes(path, _beside(data.beside)), infos, path.name)


def quarantine_table(opened: OpenedLog) -> pa.Table:
    """The rows that were set aside: file, line (1-based; the row in Parquet) and reason."""
    refused = opened.refused
    return pa.table(
        {
            "file": pa.array([row.file for row in refused], pa.string()),
            "line": pa.array([row.line for row in refused], pa.int64()),
            "reason": pa.array([row.reason for row in refused], pa.string()),
        }
    )


def _beside(path: str | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        return npz_arrays(Path(path), "what lies beside the episodes")
    except LogError as error:
        raise LogError(f"data.beside: {error}") from error


def require_policies(opened: OpenedLog, candidate: str | None) -> None:
    """Guard the names an evaluation is asked about.

    Raises:
        ConfigError: a name that no target policy has, or nothing left to judge.
    """
    known = list(opened.policies)
    asked = [("ask.reference", opened.reference), ("ask.rules", opened.rules)]
    for where, name in (*asked, ("ask.candidate", candidate)):
        if name is not None and name not in known and (where, name) != ("ask.reference", "logged"):
            raise ConfigError(f"{where}: expected one of {', '.join(known)}, got {name!r}")
    if candidate is not None and candidate == opened.reference:
        raise ConfigError(
            f"ask.candidate: {candidate!r} is the reference as well, and nothing beats itself; "
            "name another candidate, or another ask.reference"
        )
    if candidate is None and not set(known) - {opened.reference, opened.rules}:
        raise ConfigError(
            "targets: nothing is left to judge beside the reference and the rules; name a target "
            "policy, or the candidate by ask.candidate"
        )
