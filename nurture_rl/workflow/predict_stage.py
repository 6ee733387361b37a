"""Predictions of a checked log: scores of contacts, and what they are worth; a stage of its own."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.parquet as pq

from nurture_envs.journey import Journey
from nurture_rl.codec import write_record
from nurture_rl.predictions.contact_behaviour import ToldMailing, mail_outcomes
from nurture_rl.predictions.delayed_outcomes import told_surrogate
from nurture_rl.predictions.landmarks import landmarks_of
from nurture_rl.predictions.predicted_outcomes import predicted_outcomes
from nurture_rl.predictions.predicting import PredictionConfig, predict_outcomes
from nurture_rl.predictions.score_file import read_score_file
from nurture_rl.report.predictions_page import predictions_markdown, predictions_page
from nurture_rl.report.told_predictions import ToldPredictions
from nurture_rl.workflow.contact_scores import (
    ContactScores,
    contact_scores,
    flag_outcomes,
    mailed_by,
    scores_table,
    what_if,
)
from nurture_rl.workflow.known_log import known_log, last_moment, moment_text

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
    scores: Path | None = None  # file of groups, intent and flags
    contact: str | None = None  # for whom `what_if` is asked
    what_if: dict[str, int] = field(default_factory=dict)  # events by signal


def predict_stage(workshop: Workshop, task: PredictionTask) -> Path:
    """The folder with scores and what they are worth.

    Raises:
        ConfigError: the score file, the contact or a signal is none of this journey.
        LogError: no decision was made by then.
    """
    read_score_file(task.scores, task.journey)
    inputs: dict[str, Any] = {
        "ingest": task.ingested.name,
        "journey": task.journey.resolved,
        "at": task.at_us,
        "until": task.until_us,
        "zone": task.zone,
        "horizons": task.config.horizons,
        "aside": task.config.aside,
        "scores": None if task.scores is None else _hash(task.scores),
        "what_if": [task.contact, task.what_if],
    }
    return workshop.stage("predict", inputs, partial(_written, task))


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def _written(task: PredictionTask, out: Path) -> None:
    log = known_log(task.ingested, task.journey, task.at_us, task.until_us, task.zone)
    file = read_score_file(task.scores, task.journey)
    outcomes = (*predicted_outcomes(log.wide), *flag_outcomes(file))
    seen = (*outcomes, *mail_outcomes(log.wide))
    marks, goes_on = landmarks_of(log.binned, log.features, log.clusters, log.wide, seen)
    found = predict_outcomes(marks, outcomes, log.wide, log.as_of_us, task.config)
    scores = None
    if len(log.now.table):
        scores = contact_scores(log, marks, found, file)
    imagined = None
    if task.contact is not None:
        imagined = what_if(log, found, file, task.contact, task.what_if)
    surrogate = told_surrogate(
        log.binned, mailed_by(log), log.wide, log.as_of_us, task.config.horizons, goes_on
    )
    told = ToldPredictions(
        title=task.journey.title,
        provenance=task.journey.provenance,
        as_of=moment_text(log.as_of_us),
        contacts=len(log.now.table),
        over=log.now.over,
        last_decision=moment_text(last_moment(log.decided["decided_at"])),
        goes_on=goes_on,
        outcomes=found.outcomes,
        told=found.told,
        means={} if scores is None else _means(scores),
        parts_of=None if scores is None else scores.parts_of,
        parts={} if scores is None else _sizes(scores),
        mailing=ToldMailing((), "", {}, "") if scores is None else scores.mailing,
        surrogate=surrogate,
        bindings=() if scores is None else scores.bindings,
        what_if=imagined,
    )
    table = log.now.table.select(["contact_id"]) if scores is None else scores_table(log, scores)
    pq.write_table(table, out / SCORES)
    write_record(told, out / RECORD)
    (out / PAGE).write_text(predictions_page(told), "utf-8")
    (out / "predictions.md").write_text(predictions_markdown(told), "utf-8")


def _means(scores: ContactScores) -> dict[str, float]:
    return {
        name: float(np.nanmean(values))
        for name, values in scores.columns.items()
        if np.isfinite(values).any()
    }


def _sizes(scores: ContactScores) -> dict[str, float]:
    """Mean size of what each group adds to a chance."""
    return {
        name.rpartition(".")[2]: float(np.abs(values).mean())
        for name, values in scores.parts.items()
    }
