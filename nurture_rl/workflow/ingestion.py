"""From raw tables to checked ones and the decision table."""

from __future__ import annotations

import json
import time
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from nurture_envs.actions import ActionCatalog
from nurture_envs.features import FeatureSpec
from nurture_envs.journey import Journey
from nurture_rl.decisions import held_out_share
from nurture_rl.errors import ConfigError, LogError
from nurture_rl.features import DecisionTable, decision_table
from nurture_rl.features.attributes import unknown_levels
from nurture_rl.features.bins import index_contacts
from nurture_rl.features.starts import start_states
from nurture_rl.features.usable import after_the_end, unusable
from nurture_rl.logs.atomic import atomic_write_bytes
from nurture_rl.logs.ingest import ingest_folder
from nurture_rl.logs.stray import lone_end
from nurture_rl.logs.summary import IngestSummary
from nurture_rl.wording import counted
from nurture_rl.workflow.from_sends import FROM_SENDS, allow, estimate, reconstruct
from nurture_rl.workflow.raw_folder import raw_tables, require_unchanged, write_json
from nurture_rl.workflow.refusals import known_bad, refusals, settle, told, too_many

if TYPE_CHECKING:
    from nurture_rl.workflow.run_config import DataConfig
    from nurture_rl.workflow.stages import Say, Workshop


UNDECIDED = "undecided.json"  # in the folder of a log that has events and no decisions


def ingest(workshop: Workshop, data: DataConfig, journey: Journey, raw: Path) -> Path:
    """Checked tables, `decision_table.parquet`, starting states and what was found on the way.

    A log that has no decisions is checked alike; it gets `UNDECIDED`, which says what to do, and
    no decision table.

    Raises:
        LogError: there is nothing to learn from, or more is unusable than `data.max_refused`.
    """
    inputs = {
        "raw": raw.name,
        "zone": data.default_zone,
        "until": data.complete_until,
        "max_refused": data.max_refused,
        "journey": journey.resolved,
        "decisions": [data.decisions, data.entry],
    }
    return workshop.stage("ingest", inputs, partial(_ingest, workshop, data, journey, raw))


def _ingest(workshop: Workshop, data: DataConfig, journey: Journey, raw: Path, out: Path) -> None:
    catalog = ActionCatalog.of(journey)
    workshop.say(f"  actions of catalogue {catalog.hash}, in order: {', '.join(catalog.ids)}")
    as_of_us = complete_until(data, workshop.say)
    tables = out / "tables"
    summary = _checked_tables(workshop, data, journey, raw, tables)
    events, contacts, decisions = (
        pq.read_table(tables / f"{kind}.parquet") for kind in ("events", "contacts", "decisions")
    )
    from_sends = data.decisions == FROM_SENDS
    if from_sends:
        _require_no_decisions(summary)
        past = reconstruct(tables, journey, data.entry, as_of_us, data.default_zone)
        events, decisions = past.events, past.decisions
    elif not len(decisions):
        _leave_undecided(workshop, data, summary, raw, out)
        return
    known = known_bad(tables, decisions, data.max_refused)
    against = unusable(contacts, decisions, journey, data.default_zone, known)
    usable = decisions.filter(against.is_null())
    made = decision_table(
        events, contacts, usable, journey, as_of_us=as_of_us, default_zone=data.default_zone
    )
    late = after_the_end(made.table, journey.clock.horizon)
    table = made.table.filter(late.is_null())
    settle(tables, _by_id(decisions, against) | _by_id(made.table, late))
    estimated: tuple[str, ...] = ()
    if from_sends:
        allowed = allow(tables, table, journey, data.default_zone)
        settle(tables, allowed.against)
        table, estimated = allowed.table, (*past.told, *allowed.notes)
    _require_share(workshop, data, tables, len(table), out)
    if from_sends:
        table, how = estimate(out, table, journey)
        estimated += how
    pq.write_table(table, out / "decision_table.parquet")
    starts = start_states(events, contacts, table, journey, data.default_zone)
    share = np.array([held_out_share(name) for name in starts.pop("cluster")])
    np.savez(out / "starts.npz", held_out=share, **starts)  # type: ignore[arg-type]
    lone = lone_end(events, usable, journey) if as_of_us is None else None
    strange = unknown_levels(index_contacts(contacts, table), journey)
    warnings = [*estimated, *([lone] if lone else []), *strange, *accounts_note(table)]
    for note in [*warnings, *_on_signals(made)]:
        workshop.say(f"  {note}")
    notes = [*summary.notes, *warnings]
    write_json(out / "notes.json", _with_limits(raw / "notes.json", notes))
    write_json(
        out / "decisions.json",
        {
            "decisions": len(table),
            "feature_columns": list(FeatureSpec.of(journey).columns),
            "logged_features_equal": made.logged_features_equal,
            "unmatched_events": made.unmatched_events,
            "silent_signals": list(made.silent_signals),
            "notes": notes,
        },
    )


def _require_no_decisions(summary: IngestSummary) -> None:
    """Guard against two stories of what was decided.

    Raises:
        LogError: the log has decisions of its own.
    """
    read = {table.table: table for table in summary.tables}["decisions"]
    if read.read:
        raise LogError(
            f"data.decisions={FROM_SENDS} makes decisions of sends where a log has none, and this "
            f"one has {read.read} ({', '.join(read.files)}); take that file away, or leave "
            "data.decisions as it is"
        )


def accounts_note(table: pa.Table) -> list[str]:
    """What it means for every number of contacts that some are colleagues; empty where none are.

    Args:
        table: the decision table.
    """
    contacts, alone = (pc.count_distinct(table[name]).as_py() for name in ("contact_id", "cluster"))
    if alone == contacts:
        return []
    return [
        f"colleagues of an account count as one contact in intervals and advice: {contacts} "
        f"contacts are {alone} that do not depend on each other"
    ]


def _by_id(decisions: pa.Table, reasons: pa.Array) -> dict[str, str]:
    """The reasons against decisions, by id."""
    bad = reasons.is_valid()
    names = decisions["decision_id"].combine_chunks().filter(bad).to_pylist()
    return dict(zip(names, reasons.drop_null().to_pylist(), strict=True))


def _require_share(
    workshop: Workshop, data: DataConfig, tables: Path, left: int, out: Path
) -> None:
    """Say what was set aside, and refuse a log of which too much is.

    Raises:
        LogError: more than `data.max_refused` is unusable, or nothing is left.
    """
    problem = too_many(tables, data.max_refused)
    refused = [row for row in refusals(tables) if row.table == "decisions"]
    if problem is None and not left:
        problem = f"no decision is left: {told(refused)}"
    if problem is not None:
        kept = _keep_quarantine(workshop, tables / "quarantine.parquet", out.name)
        raise LogError(f"{problem}; file, line and reason are in {kept}")
    if refused:
        workshop.say(
            f"  {counted(left, 'decision is', 'decisions are')} left; set aside: {told(refused)}"
        )


def _with_limits(path: Path, notes: list[str]) -> dict[str, Any]:
    """The source's notes with those of the ingestion among what limits it."""
    record: dict[str, Any] = json.loads(path.read_text("utf-8"))
    key = "does_not_support" if record.get("does_not_support") else "limits"
    return record | {key: [*record.get(key, []), *notes]} if notes else record


def _on_signals(made: DecisionTable) -> list[str]:
    if not made.silent_signals:
        return []
    return [f"no event of the log is one of the signals {', '.join(made.silent_signals)}"]


def _checked_tables(
    workshop: Workshop, data: DataConfig, journey: Journey, raw: Path, tables: Path
) -> IngestSummary:
    """Ingest; a log refused whole leaves its quarantine where the message says.

    Raises:
        LogError: nothing usable is left, or the folder changed while it was read.
    """
    catalog, live = ActionCatalog.of(journey), data.source == "folder"
    folder = raw_tables(data, raw)
    try:
        summary = ingest_folder(
            folder,
            tables,
            catalog.ids,
            catalog.hash,
            lambda line: workshop.say(f"  {line}"),
            journey=journey,
            now_us=time.time_ns() // 1000 if live else None,
        )
    except LogError as refusal:
        written = tables.with_name(tables.name + ".quarantine.parquet")
        if not written.is_file():
            raise
        kept = _keep_quarantine(workshop, written, tables.parent.name)
        raise LogError(str(refusal).replace(str(written), str(kept))) from refusal
    if live:
        require_unchanged(folder, json.loads((raw / "source.json").read_text("utf-8"))["content"])
    return summary


def _keep_quarantine(workshop: Workshop, written: Path, stage: str) -> Path:
    name = stage.lstrip(".").split(".")[0]
    kept = workshop.root / "refused" / f"{name}.quarantine.parquet"
    kept.parent.mkdir(parents=True, exist_ok=True)
    atomic_write_bytes(kept, written.read_bytes())
    return kept


def _leave_undecided(
    workshop: Workshop, data: DataConfig, summary: IngestSummary, raw: Path, out: Path
) -> None:
    """Finish with what there is: checked tables, and why nothing can be learned from them.

    Raises:
        LogError: decisions were given and all of them refused, or too many rows of another table.
    """
    tables = out / "tables"
    read = {table.table: table for table in summary.tables}["decisions"]
    problem = too_many(tables, data.max_refused)
    if read.read:
        refused = told([row for row in refusals(tables) if row.table == "decisions"])
        problem = f"all {read.read} decisions were refused: {refused}"
    if problem is not None:
        kept = _keep_quarantine(workshop, tables / "quarantine.parquet", out.name)
        raise LogError(f"{problem}; file, line and reason are in {kept}")
    write_json(out / "notes.json", _with_limits(raw / "notes.json", list(summary.notes)))
    write_json(out / "decisions.json", {"decisions": 0, "notes": list(summary.notes)})
    write_json(
        out / UNDECIDED,
        "the log has no decisions: give a decisions table with action, propensity, probabilities "
        "and mask, or let the policy server log them; `nurture pipeline` on this log tells what it "
        "shows without them, and which experiment would tell more; with data.decisions=from_sends "
        "its sends become decisions with estimated propensities",
    )


def require_decided(ingested: Path) -> Path:
    """The folder of an ingested log that has decisions.

    Raises:
        LogError: it has none.
    """
    if (ingested / UNDECIDED).is_file():
        raise LogError(json.loads((ingested / UNDECIDED).read_text("utf-8")))
    return ingested


def complete_until(data: DataConfig, say: Say) -> int | None:
    """Microseconds since 1970 UTC up to which the log is complete; None: up to its last record.

    A day is its start, and a time without a zone is of `data.default_zone`; both are said.

    Raises:
        ConfigError: it is no ISO-8601 time.
    """
    if data.complete_until is None:
        return None
    moment = moment_of("data.complete_until", data.complete_until, data.default_zone)
    if datetime.fromisoformat(data.complete_until).tzinfo is None:
        say(f"  the log is taken to be complete until {moment.isoformat()} ({data.default_zone})")
    return round(moment.timestamp() * 1e6)


def moment_of(key: str, text: str, zone: str) -> datetime:
    """The instant that a setting names; a day is its start, a time without a zone is of `zone`.

    Raises:
        ConfigError: it is no ISO-8601 time.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise ConfigError(
            f"{key}: expected an instant such as 2026-06-01T00:00:00Z, or a day, got {text!r}"
        ) from error
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=ZoneInfo(zone))
