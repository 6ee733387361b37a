"""A folder of raw log files → checked tables in one folder, written whole or not at all."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from nurture_envs.journey import Journey
from nurture_rl.errors import LogError
from nurture_rl.logs.atomic import atomic_folder, atomic_write_bytes
from nurture_rl.logs.checks import check_contacts, check_decision_fields, check_events
from nurture_rl.logs.contacts import add_missing_contacts, fold_contacts
from nurture_rl.logs.decision_checks import check_decisions
from nurture_rl.logs.decision_defaults import complete_decisions, of_journey
from nurture_rl.logs.duplicates import drop_duplicates
from nurture_rl.logs.fingerprint import fingerprint
from nurture_rl.logs.kept_private import kept_private, without_content
from nurture_rl.logs.machine_marks import BY, mark_machines
from nurture_rl.logs.mapped.mapped_rows import read_mapped
from nurture_rl.logs.mapped.mapping_file import SUFFIX, mappings_in
from nurture_rl.logs.places import places
from nurture_rl.logs.privacy_rules import PRIVACY_FILE, PrivacyRules, load_privacy
from nurture_rl.logs.readers import SUFFIXES, RawTable, read_raw
from nurture_rl.logs.schema import (
    BESIDE,
    CHAIN_FILE,
    OF_EPISODE,
    OF_EXPERIMENT,
    OF_PROPENSITY,
    QUARANTINE,
    TABLES,
    TableKind,
    is_plan_file,
    raw_schema,
)
from nurture_rl.logs.stray import sift_strays
from nurture_rl.logs.summary import IngestSummary, TableCount, count_table
from nurture_rl.logs.unify import Unified, identity_table, unify
from nurture_rl.logs.vocabulary import words_of
from nurture_rl.wording import counted

MAX_KEY_DEGREE = 50  # distinct keys; people have a few devices, a kiosk has hundreds of visitors

_WITHOUT_CHANCE = ("usual", "holdout")  # arms of a server's experiment that draw nothing
_ORDER = {
    TableKind.EVENTS: ("contact_id", "occurred_at", "event_id"),
    TableKind.CONTACTS: ("contact_id",),
    TableKind.DECISIONS: ("contact_id", "decided_at", "decision_id"),
}


@dataclass(frozen=True, slots=True)
class Reading:
    """How a folder is read."""

    action_ids: tuple[str, ...] | None  # the catalogue in order; None: not checked against it
    catalog_hash: str | None  # None accepts any
    journey: Journey | None = None  # words, horizon and name; None: the shipped words alone
    now_us: int | None = None  # UTC instant of the reading; None: the log keeps its own time


@dataclass(frozen=True, slots=True)
class _Checked:
    """Every table's usable rows, and the quarantine of all tables."""

    rows: Mapping[TableKind, pa.Table]
    strays: pa.Table  # events that link keys and are none of the log's
    quarantine: pa.Table
    files: Mapping[TableKind, tuple[str, ...]]
    notes: tuple[str, ...]


def ingest_folder(
    folder: Path,
    out: Path,
    action_ids: tuple[str, ...] | None,
    catalog_hash: str | None,
    progress: Callable[[str], None],
    *,
    journey: Journey | None = None,
    now_us: int | None = None,
) -> IngestSummary:
    """Read, check, unify and write the log of a folder.

    Reads `events*`, `contacts*` and `decisions*` files (.parquet, .csv, .tsv, .jsonl, all but the
    first also .gz), and files of any name and columns that a mapping (`*.map.yaml`) beside them
    names; decisions may be absent, and every other file is named. Writes events,
    contacts, decisions, identity, places and quarantine as Parquet and `summary.json` into `out`,
    which replaces an older `out` only when all is written. The tables do not depend on the order
    of the input's rows, nor on rows delivered twice. Rules of privacy (`privacy.yaml` in the
    folder) say what of it may be written.

    Args:
        folder: where the raw files lie.
        out: the folder to make.
        action_ids: the catalogue's actions in order; None leaves decisions unchecked against it.
        catalog_hash: the catalogue's hash; None accepts any.
        progress: told one line per step.
        journey: whose log it is: its signals' words are known beside the shipped ones, its horizon
            says how long a log may be silent, its name fills what decisions leave out.
        now_us: UTC instant of the reading, microseconds, where events after it are impossible.

    Raises:
        LogError: a file cannot be read, or no usable event or contact is left; in the latter
            case the quarantine is written to `<out>.quarantine.parquet`.
    """
    reading = Reading(action_ids, catalog_hash, journey, now_us)
    rules = load_privacy(folder)
    checked = _read_and_check(folder, reading, progress)
    if rules is not None:
        checked = replace(checked, quarantine=without_content(checked.quarantine))
    _require_usable(checked, folder, out)
    unified, notes = _unified(checked, rules)
    quarantine = _sorted_quarantine([checked.quarantine, unified.quarantine])
    notes = (*checked.notes, *notes)
    checked = replace(checked, rows=unified.rows, quarantine=quarantine, notes=notes)
    _require_usable(checked, folder, out)
    tables, added = _final_tables(unified)
    summary = _summarise(checked, tables, unified, added)
    progress(
        f"{counted(len(tables[TableKind.EVENTS]), 'event')} and "
        f"{counted(len(tables[TableKind.DECISIONS]), 'decision')} of "
        f"{counted(summary.contacts, 'contact')}; {counted(len(quarantine), 'row')} in quarantine"
    )
    with atomic_folder(out) as partial:
        for kind, table in tables.items():
            pq.write_table(table, partial / f"{kind}.parquet", compression="zstd")
        pq.write_table(identity_table(unified.identities), partial / "identity.parquet")
        pq.write_table(places(unified.rows), partial / "places.parquet")
        pq.write_table(quarantine, partial / "quarantine.parquet")
        (partial / "summary.json").write_bytes(summary.to_json())
    return summary


def _unified(checked: _Checked, rules: PrivacyRules | None) -> tuple[Unified, tuple[str, ...]]:
    """The rows of each contact, as they may be written, and what to know of them."""
    unified = unify(checked.rows, checked.strays, MAX_KEY_DEGREE)
    marked = mark_machines(unified.rows[TableKind.EVENTS])
    unified = replace(unified, rows={**unified.rows, TableKind.EVENTS: marked.rows})
    if rules is not None:
        unified = kept_private(unified, rules)
    if not marked.reasons:
        return unified, ()
    reasons = ", ".join(f"{rows} {reason}" for reason, rows in marked.reasons.items())
    many = counted(sum(marked.reasons.values()), "click or open", "clicks and opens")
    said = f"{many} marked as a machine's, by their looks: {reasons}; the property {BY} says which"
    return unified, (said,)


def _read_and_check(folder: Path, reading: Reading, progress: Callable[[str], None]) -> _Checked:
    rows: dict[TableKind, pa.Table] = {}
    files: dict[TableKind, tuple[str, ...]] = {}
    refused: dict[TableKind, list[pa.Table]] = {}
    notes: list[str] = []
    mapped = _mapped_tables(folder)
    by_mapping = {name for by_file in mapped.values() for name in by_file}
    for kind in TableKind:
        paths = [path for path in _files_of(folder, kind) if path.name not in by_mapping]
        files[kind] = tuple(sorted([*(path.name for path in paths), *mapped[kind]]))
        raw = [read_raw(path, kind, reading.action_ids) for path in paths]
        raw += mapped[kind].values()
        read = pa.concat_tables([raw_schema(kind).empty_table(), *(part.rows for part in raw)])
        read = read.combine_chunks()
        if kind is TableKind.DECISIONS:
            own = of_journey(read, reading.journey)
            completed = complete_decisions(own.rows, reading.journey, reading.catalog_hash)
            read = completed.rows
            notes += [*own.notes, *completed.notes, *_without_chance(read)]
        steps = _check(read, kind, reading)
        rows[kind] = steps[-1].rows
        refused[kind] = [part.quarantine for part in (*raw, *steps)]
    near = sift_strays(
        rows[TableKind.EVENTS], rows[TableKind.DECISIONS], reading.journey, reading.now_us
    )
    rows[TableKind.EVENTS] = near.events.rows
    refused[TableKind.EVENTS].append(near.events.quarantine)
    for kind in TableKind:
        count = sum(map(len, refused[kind]))
        progress(
            f"{kind}: {counted(len(rows[kind]) + count, 'row')} in "
            f"{counted(len(files[kind]), 'file')}, {count} refused"
        )
    unread = _unread(folder, files)
    if unread:
        notes.append(f"not read, as no table's file is called so: {', '.join(unread)}")
    for note in notes:
        progress(note)
    everything = [part for parts in refused.values() for part in parts]
    return _Checked(rows, near.strays, _sorted_quarantine(everything), files, tuple(notes))


def _mapped_tables(folder: Path) -> dict[TableKind, dict[str, RawTable]]:
    """What mappings of the folder give, by table and name of the file.

    Raises:
        LogError: a mapping, or a file that one names, cannot be read.
    """
    found: dict[TableKind, dict[str, RawTable]] = {kind: {} for kind in TableKind}
    for mapping in mappings_in(folder):
        for path in mapping.files():
            for kind, table in read_mapped(mapping, path).items():
                found[kind][path.name] = table
    return found


def _without_chance(decisions: pa.Table) -> list[str]:
    """What to know of a log in which arms of an experiment left nothing to chance."""
    few = pc.sum(pc.is_in(decisions["arm"], pa.array(_WITHOUT_CHANCE))).as_py() or 0
    if few in (0, len(decisions)):
        return []
    return [
        f"{counted(few, 'decision')} of the arms {' and '.join(_WITHOUT_CHANCE)}, whose "
        "propensities say nothing of other actions: to train or evaluate policies give the arms "
        "that explore alone (nurture export_log arms=[policy,random])"
    ]


def _unread(folder: Path, files: Mapping[TableKind, tuple[str, ...]]) -> list[str]:
    """What else lies in the folder, hidden files and what stands beside an export apart."""
    read = {CHAIN_FILE, PRIVACY_FILE, *BESIDE}.union(*files.values())
    paths = sorted(folder.iterdir()) if folder.is_dir() else []
    return [
        f"{path.name}/" if path.is_dir() else path.name
        for path in paths
        if path.name not in read
        and not (path.name.startswith(".") or path.name.endswith(SUFFIX))
        and not is_plan_file(path.name)
    ]


def _files_of(folder: Path, kind: TableKind) -> list[Path]:
    paths = folder.iterdir() if folder.is_dir() else iter(())
    return sorted(
        path for path in paths if path.name.startswith(kind) and path.name.endswith(SUFFIXES)
    )


def _check(rows: pa.Table, kind: TableKind, reading: Reading) -> list[RawTable]:
    """Each check's result in order; the last holds the usable rows."""
    if kind is TableKind.CONTACTS:
        return [check_contacts(rows)]
    if kind is TableKind.EVENTS:
        steps = [check_events(rows, words_of(reading.journey))]
    else:
        steps = [check_decision_fields(rows)]
        steps.append(check_decisions(steps[-1].rows, reading.action_ids, reading.catalog_hash))
    return [*steps, drop_duplicates(steps[-1].rows, kind)]


def _require_usable(checked: _Checked, folder: Path, out: Path) -> None:
    """Refuse an empty log, leaving its quarantine where the message says.

    Files that have mappings may name contacts in their events alone.

    Raises:
        LogError: there is no usable event or no usable contact.
    """
    counts = _counts(checked)
    needed = [TableKind.EVENTS]
    if checked.files[TableKind.CONTACTS] or not any(folder.glob(f"*{SUFFIX}")):
        needed.append(TableKind.CONTACTS)
    if all(len(checked.rows[kind]) for kind in needed):
        return
    path = out.with_name(out.name + ".quarantine.parquet")
    out.parent.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    pq.write_table(checked.quarantine, buffer)
    atomic_write_bytes(path, buffer.getvalue())
    usable = "; ".join(_told(count, checked.quarantine) for count in counts)
    raise LogError(
        f"expected at least one usable event and one usable contact in {folder}, got {usable}; "
        f"the refused rows and their reasons are in {path}"
    )


def _told(count: TableCount, quarantine: pa.Table) -> str:
    """How much of a table is usable, and why the rest is not, with one example."""
    where = ", ".join(count.files) or "no file"
    told = f"{count.kept} of {count.read} {count.table} ({where}"
    if count.reasons:
        own = quarantine.filter(pc.equal(quarantine["table"], count.table))
        reasons = ", ".join(f"{rows} × {reason}" for reason, rows in count.reasons.items())
        told += f": {reasons}; the first: {own['reason'][0].as_py()}"
    return f"{told})"


def _counts(checked: _Checked) -> tuple[TableCount, ...]:
    return tuple(
        count_table(kind, checked.files[kind], len(checked.rows[kind]), checked.quarantine)
        for kind in TableKind
    )


def _sorted_quarantine(parts: Sequence[pa.Table]) -> pa.Table:
    whole = pa.concat_tables([QUARANTINE.empty_table(), *parts])
    return whole.sort_by([(name, "ascending") for name in ("table", "file", "line", "reason")])


def _final_tables(unified: Unified) -> tuple[dict[TableKind, pa.Table], int]:
    """The tables in the contract's columns and order, and how many contacts were added."""
    rows = dict(unified.rows)
    folded = fold_contacts(rows[TableKind.CONTACTS])
    seen = [rows[kind]["contact_id"] for kind in (TableKind.EVENTS, TableKind.DECISIONS)]
    rows[TableKind.CONTACTS] = add_missing_contacts(folded, seen)
    tables: dict[TableKind, pa.Table] = {}
    for kind, schema in TABLES.items():
        if kind is TableKind.DECISIONS:
            may = (*OF_EPISODE, *OF_EXPERIMENT, *OF_PROPENSITY)
            said = [one for one in may if rows[kind][one.name].null_count < len(rows[kind])]
            schema = pa.schema([*schema, *said])
        table = rows[kind].select(schema.names).cast(schema)
        ordered = table.sort_by([(name, "ascending") for name in _ORDER[kind]])
        tables[kind] = ordered.combine_chunks()
    return tables, len(tables[TableKind.CONTACTS]) - len(folded)


def _summarise(
    checked: _Checked, tables: Mapping[TableKind, pa.Table], unified: Unified, added: int
) -> IngestSummary:
    span = pc.min_max(tables[TableKind.EVENTS]["occurred_at"])
    return IngestSummary(
        tables=_counts(checked),
        contacts=len(tables[TableKind.CONTACTS]),
        contacts_added=added,
        contacts_merged=unified.identities.merged,
        shared_keys=int(unified.identities.shared.sum()),
        missing_propensity=tables[TableKind.DECISIONS]["propensity"].null_count,
        first_at=span["min"].as_py().isoformat(),
        last_at=span["max"].as_py().isoformat(),
        notes=checked.notes,
        fingerprint=fingerprint({kind.value: table for kind, table in tables.items()}),
    )
