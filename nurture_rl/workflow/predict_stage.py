"""Predictions of a checked log: scores of contacts, and what they are worth; a stage of its own."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from nurture_envs.journey import Journey
from nurture_rl.codec import write_record
from nurture_rl.errors import LogError
from nurture_rl.features.bins import bin_log
from nurture_rl.predictions.current_contacts import CurrentContacts, current_contacts, known_by
from nurture_rl.predictions.landmarks import Landmarks, landmarks_of
from nurture_rl.predictions.predicted_outcomes import predicted_outcomes, with_losses
from nurture_rl.predictions.predicting import (
    Predicted,
    PredictionConfig,
    predict_outcomes,
)
from nurture_rl.report.predictions_page import (
    ToldPredictions,
    predictions_markdown,
    predictions_page,
)

if TYPE_CHECKING:
    from nurture_rl.workflow.stages import Workshop

PAGE, RECORD, SCORES = "predictions.html", "predictions.json", "scores.parquet"


@dataclass(frozen=True, slots=True)
class PredictionTask:
    """What is predicted of which log."""

    journey: Journey
    ingested: Path  # folder of the stage `ingest`
    at_us: int | None  # as of when, UTC; None: the end of the log
    until_us: int | None  # up to when the log is complete, UTC; None: its last record
    zone: str  # where contacts of unknown zone live
    config: PredictionConfig


def predict_stage(workshop: Workshop, task: PredictionTask) -> Path:
    """The folder with scores and what they are worth.

    Raises:
        LogError: no decision was made by then.
    """
    inputs = {
        "ingest": task.ingested.name,
        "journey": task.journey.resolved,
        "at": task.at_us,
        "until": task.until_us,
        "zone": task.zone,
        "horizons": task.config.horizons,
        "aside": task.config.aside,
    }
    return workshop.stage("predict", inputs, partial(_written, task))


@dataclass(frozen=True, slots=True, eq=False)
class _KnownLog:
    """A log as it stood at a moment."""

    journey: Journey  # with the losses that only guardrails name
    events: pa.Table
    contacts: pa.Table
    decided: pa.Table  # rows of the decision table
    as_of_us: int
    zone: str

    @property
    def features(self) -> Any:
        flat = self.decided["features"].combine_chunks().flatten()
        return np.asarray(flat, np.float32).reshape(len(self.decided), -1)


def _known(task: PredictionTask) -> _KnownLog:
    tables = task.ingested / "tables"
    events, contacts = (pq.read_table(tables / f"{n}.parquet") for n in ("events", "contacts"))
    decided = pq.read_table(task.ingested / "decision_table.parquet")
    ends = [_last(events["recorded_at"]), _last(decided["decided_at"])]
    as_of_us = max(ends) if task.until_us is None else task.until_us
    if task.at_us is not None and task.at_us > as_of_us:
        raise LogError(
            f"at: expected a moment by which the log is complete, {_text(as_of_us)} at the latest, "
            f"got {_text(task.at_us)}"
        )
    as_of_us = as_of_us if task.at_us is None else task.at_us
    made = pc.less_equal(pc.cast(decided["decided_at"], pa.int64()), pa.scalar(as_of_us))
    decided = decided.filter(made)
    if not len(decided):
        raise LogError(f"no decision was made by {_text(as_of_us)}; give a later `at`")
    wide = with_losses(task.journey)
    return _KnownLog(wide, known_by(events, as_of_us), contacts, decided, as_of_us, task.zone)


def _marks(log: _KnownLog) -> tuple[Landmarks, bool]:
    outcomes = predicted_outcomes(log.journey)
    binned = bin_log(log.events, log.contacts, log.decided, log.journey, log.zone)
    cluster = np.asarray(log.decided["cluster"].to_pylist(), object)
    return landmarks_of(binned, log.features, cluster, log.journey, outcomes)


def _written(task: PredictionTask, out: Path) -> None:
    log = _known(task)
    outcomes = predicted_outcomes(log.journey)
    marks, goes_on = _marks(log)
    found = predict_outcomes(marks, outcomes, log.journey, log.as_of_us, task.config)
    now = current_contacts(
        log.events, log.contacts, log.decided, task.journey, log.as_of_us, task.zone
    )
    scores = _scores(found, now, log)
    told = ToldPredictions(
        title=task.journey.title,
        provenance=task.journey.provenance,
        as_of=_text(log.as_of_us),
        contacts=len(scores),
        over=now.over,
        last_decision=_text(_last(log.decided["decided_at"])),
        goes_on=goes_on,
        outcomes=found.outcomes,
        told=found.told,
        means=_means(scores),
    )
    pq.write_table(scores, out / SCORES)
    write_record(told, out / RECORD)
    (out / PAGE).write_text(predictions_page(told), "utf-8")
    (out / "predictions.md").write_text(predictions_markdown(told), "utf-8")


def _scores(found: Predicted, now: CurrentContacts, log: _KnownLog) -> pa.Table:
    """A row per contact in the journey; null where it has done what is done once."""
    kept = ["contact_id", "cluster", "episode_id", "step"]
    table = now.table.select(kept)
    moment = pa.array(np.full(len(table), log.as_of_us), pa.int64())
    table = table.append_column("as_of", moment.cast(pa.timestamp("us", tz="UTC")))
    if not len(table):
        return table
    binned = bin_log(log.events, log.contacts, now.table, log.journey, log.zone)
    cluster = np.asarray(now.table["cluster"].to_pylist(), object)
    marks, _ = landmarks_of(binned, now.features, cluster, log.journey, found.outcomes, True)
    places = {one.name: place for place, one in enumerate(found.outcomes)}
    for name, chance in found.chances(now.features, marks.age).items():
        outcome = found.outcome(name.rpartition("_")[0])
        done = marks.had[:, places[outcome.name]] & outcome.once
        table = table.append_column(name, pa.array(chance, mask=done))
    return table


def _means(scores: pa.Table) -> dict[str, float]:
    names = [name for name in scores.column_names if scores[name].type == pa.float64()]
    return {
        n: float(pc.mean(scores[n]).as_py()) for n in names if scores[n].null_count < len(scores)
    }


def _last(column: pa.ChunkedArray) -> int:
    last = pc.max(pc.cast(column, pa.int64())).as_py()
    return 0 if last is None else int(last)


def _text(moment_us: int) -> str:
    return str(np.datetime64(moment_us, "us").astype("datetime64[s]")) + "Z"
