"""What a log without decisions tells, as a page; a stage of its own."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.parquet as pq

from nurture_envs.journey import Journey
from nurture_rl.appraisal.first_look import experiment_block, first_look
from nurture_rl.codec import write_record
from nurture_rl.report.first_look_page import first_look_markdown, first_look_page

if TYPE_CHECKING:
    from nurture_rl.workflow.stages import Workshop

PAGE = "first_look.html"  # in the stage's folder, `first_look.md` and `first_look.json` beside it


def first_look_stage(workshop: Workshop, journey: Journey, ingested: Path) -> Path:
    """The folder with the page of checked tables that hold no decisions."""
    inputs = {"ingest": ingested.name, "journey": journey.resolved}
    return workshop.stage("first_look", inputs, partial(_written, journey, ingested))


def _written(journey: Journey, ingested: Path, out: Path) -> None:
    tables = ingested / "tables"
    events, contacts = (
        pq.read_table(tables / f"{name}.parquet") for name in ("events", "contacts")
    )
    look = first_look(events, contacts, journey)
    block = experiment_block(look, journey)
    notes = json.loads((ingested / "notes.json").read_text("utf-8")).get("limits", [])
    write_record(look, out / "first_look.json")
    (out / PAGE).write_text(first_look_page(look, block, notes), "utf-8")
    (out / "first_look.md").write_text(first_look_markdown(look, block, notes), "utf-8")
