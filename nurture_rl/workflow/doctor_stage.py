"""What is wrong with an ingested log, as a record and a page; a stage of its own."""

from __future__ import annotations

import json
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq

from nurture_envs.journey import Journey
from nurture_rl.appraisal.health.diagnosis import diagnosis
from nurture_rl.appraisal.health.mail_visits import mail_visits
from nurture_rl.appraisal.health.source_reach import source_reach
from nurture_rl.predictions.score_file import ScoreFile, read_score_file
from nurture_rl.report.doctor_page import doctor_markdown, doctor_page
from nurture_rl.report.source_tables import reach_table, visits_table
from nurture_rl.workflow.raw_folder import write_json

if TYPE_CHECKING:
    from nurture_rl.workflow.stages import Workshop

PAGE = "doctor.html"  # in the stage's folder; beside it the same as `doctor.md`, and JSON


def doctor_stage(
    workshop: Workshop, journey: Journey, ingested: Path, scores: Path | None = None
) -> Path:
    """The folder with what is wrong with a checked log, which may lack decisions.

    Args:
        workshop: makes the stage.
        journey: of the log.
        ingested: folder of the stage `ingest`.
        scores: a score file, whose scores are looked at, too.

    Raises:
        ConfigError: the score file names what the journey does not have.
    """
    file = read_score_file(scores, journey)
    inputs: dict[str, Any] = {"ingest": ingested.name, "journey": journey.resolved}
    if scores is not None:
        inputs["scores"] = scores.read_text("utf-8")
    return workshop.stage("doctor", inputs, partial(_written, journey, ingested, file))


def _written(journey: Journey, ingested: Path, scores: ScoreFile, out: Path) -> None:
    tables, decided = ingested / "tables", ingested / "decision_table.parquet"
    events, contacts, decisions = (
        pq.read_table(tables / f"{name}.parquet") for name in ("events", "contacts", "decisions")
    )
    summary = _read(tables / "summary.json")
    findings = diagnosis(
        events,
        contacts,
        decisions,
        pq.read_table(decided) if decided.is_file() else None,
        summary,
        _read(ingested / "decisions.json"),
        journey,
        pq.read_table(tables / "merges.parquet"),
        scores,
    )
    title = (
        f"{journey.title}: {len(events):,} events and {len(decisions):,} decisions of "
        f"{len(contacts):,} contacts, {summary['first_at'][:10]} to {summary['last_at'][:10]}"
    )
    reach, visits = source_reach(events, decisions, journey), mail_visits(events)
    write_json(out / "doctor.json", [asdict(one) for one in findings])
    write_json(out / "sources.json", [asdict(one) for one in reach])
    write_json(out / "visits.json", [asdict(one) for one in visits])
    told = (reach_table(reach), visits_table(visits))
    (out / PAGE).write_text(doctor_page(findings, title, told), "utf-8")
    (out / "doctor.md").write_text(doctor_markdown(findings, title, told), "utf-8")


def _read(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))
