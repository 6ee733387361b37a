"""The store as a log: the folder that ingest reads, so that what was served can be learned from."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from nurture_rl.errors import LogError
from nurture_rl.logs.atomic import atomic_folder, sync
from nurture_rl.logs.schema import (
    CHAIN_FILE,
    DECISIONS,
    OF_EPISODE,
    OF_EXPERIMENT,
    TABLES,
    UTC_TIME,
    WALL_TIME,
    TableKind,
    is_plan_file,
    plan_file,
)
from nurture_rl.serving.http.wire import iso
from nurture_rl.serving.layers import ARM, CANARY
from nurture_rl.serving.policies.arms import deals_time
from nurture_rl.serving.records import DECISION_COLUMNS, EpisodeRow
from nurture_rl.serving.storage import rows
from nurture_rl.serving.storage.arm_rows import ghost_of
from nurture_rl.serving.storage.chain import DECISION
from nurture_rl.serving.storage.locating import is_url
from nurture_rl.serving.storage.policy_rows import shadow_of
from nurture_rl.serving.storage.reading import StoreReader
from nurture_rl.serving.upkeep.exported_chain import CHAIN, cells_digest, entry_cells
from nurture_rl.serving.upkeep.exported_rows import REPLAYED
from nurture_rl.verb_result import VerbResult

FORMATS = ("parquet", "csv")
_OWNER_ALONE = 0o600  # mode of files
_SCHEMAS: Mapping[TableKind, pa.Schema] = {
    **TABLES,
    TableKind.DECISIONS: pa.schema(
        [
            *DECISIONS,
            *REPLAYED,
            pa.field("confirm_by", UTC_TIME),  # a send that is not confirmed by then is none
            pa.field("withdrawn", pa.string()),  # why it was not carried out
            *OF_EPISODE,
            *OF_EXPERIMENT,
            pa.field("arm_share", pa.float64()),  # of its units: the chance of that arm
        ]
    ),
}
# What policies that were not followed say of the same decisions: a table beside the others.
SHADOWS = pa.schema(
    [
        pa.field("decision_id", pa.string(), nullable=False),
        pa.field("policy_id", pa.string(), nullable=False),
        pa.field("said_at", UTC_TIME, nullable=False),
        pa.field("probability", pa.float64()),  # of the decision's action; null where it failed
        pa.field("probabilities", pa.list_(pa.float64())),  # catalogue order
        pa.field("note", pa.string()),  # why it failed
    ]
)
# Who was in which journey and when: a table beside the others.
EPISODES = pa.schema(
    [
        pa.field("episode_id", pa.string(), nullable=False),
        pa.field("contact_id", pa.string(), nullable=False),
        pa.field("journey", pa.string(), nullable=False),
        pa.field("number", pa.int64(), nullable=False),  # of the contact's in the journey, from 1
        pa.field("anchor", WALL_TIME, nullable=False),
        pa.field("began_at", UTC_TIME),  # null: a store of an older version did not say
        pa.field("ended_at", UTC_TIME),  # null: it goes on, or its bins are over
        pa.field("reason", pa.string()),  # of its end
        pa.field("why", pa.string()),
        pa.field("paused_at", UTC_TIME),  # when a person paused the contact in it, until resumed
    ]
)
# What policies would have decided for contacts who were held out: a table beside the others.
GHOSTS = pa.schema(
    [
        pa.field("decision_id", pa.string(), nullable=False),  # of what was decided in its place
        pa.field("episode_id", pa.string(), nullable=False),
        pa.field("step", pa.int32(), nullable=False),
        pa.field("action", pa.string(), nullable=False),
        pa.field("propensity", pa.float64(), nullable=False),
        pa.field("probabilities", pa.list_(pa.float64()), nullable=False),  # catalogue order
        pa.field("mask", pa.list_(pa.bool_()), nullable=False),
        pa.field("policy_id", pa.string(), nullable=False),
        pa.field("note", pa.string()),  # why the policy was not followed
    ]
)
_SHADOWS, _EPISODES, _GHOSTS = "shadows", "episodes", "ghosts"
_MARKER = ".nurture_rl_export"  # only a folder that holds this file may be replaced

Cells = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ExportSummary:
    """Rows written, per table."""

    counts: Mapping[str, int]


def export_log(
    store: StoreReader, out: Path, form: str = "parquet", arms: Sequence[str] = ()
) -> ExportSummary:
    """Write what was served as a raw log; on an error nothing is written.

    Folder and files are their owner's alone.

    Args:
        store: what was served.
        out: the folder to make; only an earlier export there is replaced.
        form: one of FORMATS.
        arms: whose decisions; a canary's are the policy's. Empty: all, and beside them the chain,
            the ghosts and the plans of experiments.

    Raises:
        LogError: an unknown format, no decision of these arms, decisions of them whose experiment
            deals time, or something else lies at `out`.
        OSError: the disk refuses.
    """
    if form not in FORMATS:
        raise LogError(f"expected a format among {', '.join(FORMATS)}, got {form!r}")
    _require_free(out)
    write = _write_parquet if form == "parquet" else _write_csv
    counts: dict[str, int] = {}
    with atomic_folder(out) as partial:
        for kind in (TableKind.EVENTS, TableKind.CONTACTS):
            blocks = _blocks(store, kind)
            counts[str(kind)] = write(partial / f"{kind}.{form}", _SCHEMAS[kind], blocks)
        whole = form == "parquet" and not arms
        with _ChainFile(partial / CHAIN_FILE if whole else None) as beside:
            kind = TableKind.DECISIONS
            by_time = [plan.experiment for plan in store.plans() if deals_time(plan)]
            blocks = _of_arms(_decisions(store, beside), arms, by_time)
            counts[str(kind)] = write(partial / f"{kind}.{form}", _SCHEMAS[kind], blocks)
        said = ([_shadow(row) for row in block] for block in store.scan(_SHADOWS))
        counts[_SHADOWS] = write(partial / f"{_SHADOWS}.{form}", SHADOWS, said)
        spelled = store.spellings()
        passes = ([_pass(row, spelled) for row in block] for block in store.scan(_EPISODES))
        counts[_EPISODES] = write(partial / f"{_EPISODES}.{form}", EPISODES, passes)
        if arms and not counts[TableKind.DECISIONS]:
            raise LogError(
                f"expected decisions of the arms {', '.join(arms)}, got none; leave arms out, or "
                "name those of the experiment"
            )
        ghosts = ([_ghost(row) for row in block] for block in store.scan(_GHOSTS))
        if not arms:
            counts[_GHOSTS] = write(partial / f"{_GHOSTS}.{form}", GHOSTS, ghosts)
        for plan in () if arms else store.plans():
            (partial / plan_file(plan.experiment)).write_text(plan.plan, "utf-8")
        (partial / _MARKER).write_text("made by nurture export_log; replaced by the next\n")
        _keep_to_owner(partial)
    return ExportSummary(counts)


def _keep_to_owner(folder: Path) -> None:
    """As the store it comes from: it says what people did."""
    for path in folder.iterdir():
        path.chmod(_OWNER_ALONE)
    folder.chmod(0o700)


def export_decisions(store: StoreReader, path: Path) -> None:
    """Write the decisions of a store as the table `decisions` of a log, whole or not at all."""
    partial = path.with_name(f".{path.name}.partial")
    blocks = _decisions(store, _ChainFile(None))
    _write_parquet(partial, _SCHEMAS[TableKind.DECISIONS], blocks)
    partial.chmod(_OWNER_ALONE)
    sync(partial)
    partial.replace(path)
    sync(path.parent)


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """What to write, and where."""

    store: str  # the server's store: a SQLite file, or the URL of a PostgreSQL database
    out: str  # folder to make; an earlier export there is replaced, and nothing else ever is
    format: str = "parquet"  # parquet or csv
    # Decisions of these arms of an experiment alone, without the chain over all of them; empty: of
    # all. For training and evaluation take those that explore: [policy,random].
    arms: tuple[str, ...] = ()


def export(options: ExportOptions) -> VerbResult:
    """The verb `export_log`.

    Raises:
        LogError: there is no store file, or something else lies at `out`.
        StoreError: it is no store of this version.
        OSError: the disk refuses.
    """
    if not (is_url(options.store) or Path(options.store).is_file()):
        raise LogError(f"no store at {options.store}; give the path that the server runs with")
    with closing(StoreReader(options.store)) as store:
        summary = export_log(store, Path(options.out), options.format, options.arms)
    counts = ", ".join(f"{count} {name}" for name, count in summary.counts.items())
    print(f"{counts} written to {options.out}")
    return VerbResult({**summary.counts, "out": options.out})


def _require_free(out: Path) -> None:
    if not (out.exists() or out.is_symlink()):
        return
    tables = (*TableKind, _SHADOWS, _EPISODES, _GHOSTS)
    own = {f"{kind}.{form}" for kind in tables for form in FORMATS} | {_MARKER, CHAIN_FILE}
    inside = {path.name for path in out.iterdir()} if out.is_dir() else set()
    own |= {name for name in inside if is_plan_file(name)}
    if out.is_symlink() or _MARKER not in inside or not inside <= own:
        raise LogError(
            f"expected nothing, or an earlier export and nothing beside it, at {out}; it stays as "
            "it is: give the path of a folder that does not exist"
        )


def _blocks(store: StoreReader, kind: TableKind) -> Iterator[list[Cells]]:
    spelled = store.spellings()
    for block in store.scan(str(kind)):
        for cells in (lines := [_CELLS[kind](row) for row in block]):
            cells["contact_id"] = spelled.get(cells["contact_id"], cells["contact_id"])
        yield lines


def _decisions(store: StoreReader, beside: _ChainFile) -> Iterator[list[Cells]]:
    """The decisions in the order of the chain, whose entries go into their own file."""
    spelled, undone = store.spellings(), store.not_carried_out()
    cut, held = store.cut_short(), store.paused_people()
    names = _SCHEMAS[TableKind.DECISIONS].names
    for block in store.chained():
        lines, entries = [], []
        for entry, row in block:
            digest = None
            if entry.kind == DECISION and row is not None:
                cells = _decision(row)
                cells["ended_at"] = cut.get(cells["episode_id"])
                cells["paused_at"] = held.get(cells["contact_id"])
                cells["contact_id"] = spelled.get(cells["contact_id"], cells["contact_id"])
                cells["seed"] = store.seed
                cells["deferred"] = cells["decision_id"] in undone
                cells["withdrawn"] = undone.get(cells["decision_id"])
                digest = cells_digest(cells, names)
                lines.append(cells)
            entries.append(entry_cells(entry, row, digest))
        beside.write(entries)
        yield lines


def _of_arms(
    blocks: Iterator[list[Cells]], arms: Sequence[str], by_time: Sequence[str]
) -> Iterator[list[Cells]]:
    """The decisions of some arms, a canary's as the policy's; of all where none is named.

    Args:
        blocks: of decisions.
        arms: their names.
        by_time: experiments in which an episode has decisions of several arms.
    """
    for block in blocks:
        found = [
            cells
            for cells in block
            if not arms or (ARM if cells["arm"].startswith(CANARY) else cells["arm"]) in arms
        ]
        if arms and (torn := {cells["experiment"] for cells in found} & set(by_time)):
            raise LogError(
                f"arms: experiment {', '.join(sorted(torn))} deals time, so an episode has "
                "decisions of several arms and is none without them; leave arms out, and learn "
                "from a log in which contacts or accounts are dealt"
            )
        yield found


def _event(row: rows.Row) -> Cells:
    event = rows.event_of(row)
    cells: Cells = {name: getattr(event, name) for name in event.__slots__}
    cells["occurred_at"] = cells.pop("occurred_us")
    cells["recorded_at"] = cells.pop("recorded_us")
    return cells


def _contact(row: rows.Row) -> Cells:
    names = TABLES[TableKind.CONTACTS].names
    return dict(zip(names, row[: len(names)], strict=True)) | {"consent": bool(row[4])}


def _decision(row: rows.Row) -> Cells:
    decision = rows.decision_of(row)
    cells: Cells = {name: getattr(decision, name) for name in DECISION_COLUMNS}
    cells["anchor"] = cells.pop("anchor_us")
    cells["decided_at"] = cells.pop("decided_us")
    cells["send_at"] = cells.pop("scheduled_us")
    cells["confirm_by"] = cells.pop("confirm_by_us")
    return cells


def _shadow(row: rows.Row) -> Cells:
    said = shadow_of(row)
    cells: Cells = {name: getattr(said, name) for name in said.__slots__}
    cells["said_at"] = cells.pop("at_us")
    return cells


def _ghost(row: rows.Row) -> Cells:
    said = ghost_of(row)
    return {name: getattr(said, name) for name in said.__slots__}


def _pass(row: rows.Row, spelled: Mapping[str, str]) -> Cells:
    one = EpisodeRow(*row)
    return {
        "episode_id": one.episode_id,
        "contact_id": spelled.get(one.contact_id, one.contact_id),
        "journey": one.journey,
        "number": one.number,
        "anchor": one.anchor_us,
        "began_at": one.began_us,
        "ended_at": one.ended_us,
        "reason": one.reason,
        "why": one.why,
        "paused_at": one.paused_us,
    }


_CELLS: Mapping[TableKind, Callable[[rows.Row], Cells]] = {
    TableKind.EVENTS: _event,
    TableKind.CONTACTS: _contact,
}


class _ChainFile:
    """The file of the chain, or none beside tables whose format loses what is vouched for."""

    def __init__(self, path: Path | None) -> None:
        self._writer = None if path is None else pq.ParquetWriter(path, CHAIN, compression="zstd")

    def __enter__(self) -> _ChainFile:
        return self

    def __exit__(self, *_: object) -> None:
        if self._writer is not None:
            self._writer.close()

    def write(self, entries: list[Cells]) -> None:
        """Add entries."""
        if self._writer is not None:
            self._writer.write_table(pa.Table.from_pylist(entries, schema=CHAIN))


def _write_parquet(path: Path, schema: pa.Schema, blocks: Iterator[list[Cells]]) -> int:
    count = 0
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for block in blocks:
            columns = {
                field.name: pa.array([cells[field.name] for cells in block], field.type)
                for field in schema
            }
            writer.write_table(pa.table(columns, schema=schema))
            count += len(block)
    return count


def _write_csv(path: Path, schema: pa.Schema, blocks: Iterator[list[Cells]]) -> int:
    count = 0
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(schema.names)
        for block in blocks:
            for cells in block:
                writer.writerow([_text(cells[field.name], field.type) for field in schema])
            count += len(block)
    return count


def _text(value: Any, kind: pa.DataType) -> str:
    if value is None:
        return ""
    if pa.types.is_timestamp(kind):
        text = iso(value) or ""
        return text if kind.tz else text.removesuffix("Z")
    if pa.types.is_list(kind) or pa.types.is_boolean(kind):
        return json.dumps(value)
    return repr(value) if pa.types.is_floating(kind) else str(value)
