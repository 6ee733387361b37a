"""From a data source to checked tables and the decision table."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from nurture_envs.actions import ActionCatalog
from nurture_envs.features import FeatureSpec
from nurture_envs.journey import Journey
from nurture_envs.simulation import Simulation
from nurture_envs.worlds.reference import reference_world
from nurture_rl.errors import ConfigError, LogError
from nurture_rl.features import decision_table
from nurture_rl.features.starts import start_states
from nurture_rl.logs.adapters import heartsteps, hillstrom, starbucks_offers
from nurture_rl.logs.adapters.reference import write_reference_log
from nurture_rl.logs.atomic import atomic_write_bytes
from nurture_rl.logs.ingest import ingest_folder
from nurture_rl.logs.summary import IngestSummary
from nurture_rl.policies.build import PolicyContext, build_policy
from nurture_rl.workflow.config import DataConfig
from nurture_rl.workflow.decisions import held_out_share
from nurture_rl.workflow.stages import Workshop, folder_hash

ADAPTERS = {
    "hillstrom": hillstrom.write_raw,
    "heartsteps": heartsteps.write_raw,
    "starbucks_offers": starbucks_offers.write_raw,
}
_REFERENCE_NOTES = {
    "supports": [
        "every action was logged with its propensity and has positive probability wherever it is "
        "legal, so any policy inside the guardrails has support",
        "the world that made the log can be asked for the true value of every policy",
    ],
    "limits": [
        "the contacts are synthetic: nothing here is evidence about real people",
    ],
}


def reference_simulation(journey: Journey) -> Simulation:
    """The world whose truth is known.

    Raises:
        WorldError: no reference world plays such a journey.
    """
    return Simulation(reference_world(journey))


def raw_log(workshop: Workshop, data: DataConfig, journey: Journey, seed: int) -> Path:
    """Raw tables of the source, and `notes.json` on what they can show.

    Raises:
        ConfigError: the source needs a folder and none is given.
        LogError: the folder or a file of it is missing.
    """
    if data.source == "reference":
        inputs = {"data": asdict(data), "journey": journey.resolved, "seed": seed}
        return workshop.stage("raw", inputs, lambda out: _emit(workshop, data, journey, seed, out))
    if data.path is None:
        raise ConfigError(
            f"data.path: the source {data.source!r} needs a folder; give data.path=..."
        )
    source = Path(data.path)
    if not source.is_dir():
        raise LogError(f"expected the folder of {data.source!r} at {source}, it is not there")
    inputs = {"source": data.source, "content": folder_hash(source), "journey": journey.resolved}
    return workshop.stage("raw", inputs, lambda out: _adapt(data, source, seed, out))


def _emit(workshop: Workshop, data: DataConfig, journey: Journey, seed: int, out: Path) -> None:
    simulation = reference_simulation(journey)
    context = PolicyContext(journey, simulation.catalog, simulation.spec)
    policy = build_policy(data.logging, context)
    write_reference_log(
        out / "tables",
        simulation,
        policy,
        data.contacts,
        seed,
        lambda done: workshop.say(f"  {done} of {data.contacts} contacts played"),
    )
    _write_json(out / "notes.json", _REFERENCE_NOTES)


def _adapt(data: DataConfig, source: Path, seed: int, out: Path) -> None:
    notes: dict[str, Any] = {}
    if data.source == "folder":
        (out / "tables").symlink_to(source.resolve(), target_is_directory=True)
    else:
        found = ADAPTERS[data.source](source, out / "tables", np.random.default_rng(seed))
        notes = asdict(found)
    _write_json(out / "notes.json", notes)


def ingest(workshop: Workshop, data: DataConfig, journey: Journey, raw: Path) -> Path:
    """Checked tables, `decision_table.parquet`, starting states and what was found on the way."""
    inputs = {
        "raw": raw.name,
        "zone": data.default_zone,
        "until": data.complete_until,
        "journey": journey.resolved,
    }
    return workshop.stage("ingest", inputs, lambda out: _ingest(workshop, data, journey, raw, out))


def _ingest(workshop: Workshop, data: DataConfig, journey: Journey, raw: Path, out: Path) -> None:
    catalog = ActionCatalog.of(journey)
    tables = out / "tables"
    summary = _checked_tables(workshop, raw, tables, catalog)
    events, contacts, decisions = (
        pq.read_table(tables / f"{kind}.parquet") for kind in ("events", "contacts", "decisions")
    )
    if not len(decisions):
        raise LogError(_no_decisions(workshop, summary, tables, out))
    others = set(decisions["journey"].to_pylist()) - {journey.name}
    if others:
        raise LogError(
            f"expected decisions of journey {journey.name!r}, got some of {sorted(others)}; "
            "give data.journey, or only that journey's decisions"
        )
    made = decision_table(
        events,
        contacts,
        decisions,
        journey,
        as_of_us=_instant(data.complete_until),
        default_zone=data.default_zone,
    )
    pq.write_table(made.table, out / "decision_table.parquet")
    starts = start_states(events, contacts, made.table, journey, data.default_zone)
    share = np.array([held_out_share(name) for name in starts.pop("cluster")])
    np.savez(out / "starts.npz", held_out=share, **starts)  # type: ignore[arg-type]
    (out / "notes.json").write_bytes((raw / "notes.json").read_bytes())
    _write_json(
        out / "decisions.json",
        {
            "decisions": len(made.table),
            "feature_columns": list(FeatureSpec.of(journey).columns),
            "logged_features_equal": made.logged_features_equal,
            "unmatched_events": made.unmatched_events,
        },
    )


def _checked_tables(
    workshop: Workshop, raw: Path, tables: Path, catalog: ActionCatalog
) -> IngestSummary:
    """Ingest; a log refused whole leaves its quarantine where the message says."""
    try:
        return ingest_folder(
            (raw / "tables").resolve(),
            tables,
            catalog.ids,
            catalog.hash,
            lambda line: workshop.say(f"  {line}"),
        )
    except LogError as refusal:
        written = tables.with_name(tables.name + ".quarantine.parquet")
        if not written.is_file():
            raise
        kept = _keep_quarantine(workshop, written, tables.parent.name)
        raise LogError(str(refusal).replace(str(written), str(kept))) from refusal


def _keep_quarantine(workshop: Workshop, written: Path, stage: str) -> Path:
    name = stage.lstrip(".").split(".")[0]
    kept = workshop.root / "refused" / f"{name}.quarantine.parquet"
    kept.parent.mkdir(parents=True, exist_ok=True)
    atomic_write_bytes(kept, written.read_bytes())
    return kept


def _no_decisions(workshop: Workshop, summary: IngestSummary, tables: Path, out: Path) -> str:
    """Why there is nothing to learn from: no decisions given, or all of them refused."""
    read = {table.table: table for table in summary.tables}["decisions"]
    if not read.read:
        return (
            "the log has no decisions: give a decisions table with action, propensity, "
            "probabilities and mask, or let the policy server log them"
        )
    kept = _keep_quarantine(workshop, tables / "quarantine.parquet", out.name)
    reasons = ", ".join(f"{rows} x {reason}" for reason, rows in read.reasons.items())
    return (
        f"all {read.read} decisions were refused ({reasons}); file, line and reason are in {kept}"
    )


def _instant(text: str | None) -> int | None:
    """Microseconds since 1970 UTC of an ISO-8601 text.

    Raises:
        ConfigError: it is not one, or has no zone.
    """
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise ConfigError(
            f"data.complete_until: expected an instant such as 2026-06-01T00:00:00Z, got {text!r}"
        )
    return round(moment.timestamp() * 1e6)


def _write_json(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, indent=1) + "\n", "utf-8")
