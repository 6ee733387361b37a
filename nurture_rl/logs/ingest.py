"""A folder of raw log files → checked tables in one folder, written whole or not at all."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from nurture_envs.journey import Journey
from nurture_rl.errors import LogError
from nurture_rl.logs.atomic import atomic_folder, atomic_write_bytes, require_apart
from nurture_rl.logs.checks import check_contacts, check_decision_fields
from nurture_rl.logs.contact_buckets import ContactBuckets
from nurture_rl.logs.contact_hints import HINT_FILES, ContactHints, HintRules, load_hint_rules
from nurture_rl.logs.contacts import add_missing_contacts, fold_contacts
from nurture_rl.logs.decision_checks import check_decisions
from nurture_rl.logs.decision_defaults import complete_decisions, of_journey
from nurture_rl.logs.derived_events import DerivedEvents
from nurture_rl.logs.duplicates import drop_duplicates
from nurture_rl.logs.event_changes import EventChanges
from nurture_rl.logs.fingerprint import fingerprint
from nurture_rl.logs.identity_rules import IDENTITY_FILE, IdentityRules, load_identity
from nurture_rl.logs.kept_private import PrivateLog, without_content, written_names
from nurture_rl.logs.mapped.mapped_rows import mapped_tables
from nurture_rl.logs.mapped.mapping_file import SUFFIX
from nurture_rl.logs.page_rules import PAGES_FILE, PageRules, load_page_rules
from nurture_rl.logs.places import places
from nurture_rl.logs.privacy_rules import PRIVACY_FILE, PrivacyRules, load_privacy
from nurture_rl.logs.readers import SUFFIXES, RawTable, read_cells, read_raw, typed
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
from nurture_rl.logs.spilled_events import SpilledEvents
from nurture_rl.logs.stray import find_strays
from nurture_rl.logs.summary import IngestSummary, TableCount, count_table, told
from nurture_rl.logs.unify import Unified, identity_table, unify
from nurture_rl.logs.vocabulary import words_of
from nurture_rl.logs.written_events import WrittenEvents, write_events
from nurture_rl.wording import counted

MAX_KEY_DEGREE = 50  # distinct keys; people have a few devices, a kiosk has hundreds of visitors

_WITHOUT_CHANCE = ("usual", "holdout")  # arms of a server's experiment that draw nothing
_ORDER = {
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
    rules: PrivacyRules | None = None  # what may be written; None: all
    pages: PageRules | None = None  # what addresses are about; None: what the log says itself
    people: IdentityRules | None = None  # who is whom beyond shared keys; None: keys alone say it
    hints: HintRules | None = None  # what is inferred of contacts; None: nothing is


@dataclass(frozen=True, slots=True)
class _Checked:
    """Every table's usable rows, and what is refused."""

    events: SpilledEvents
    rows: Mapping[TableKind, pa.Table]  # of the other tables
    strays: pa.Table  # namings of events that link keys and are none of the log's
    refused: pa.Table  # of the other tables
    files: Mapping[TableKind, tuple[str, ...]]
    notes: tuple[str, ...]
    rules: PrivacyRules | None
    unnamed: pa.Table  # refused rows of the other tables that name nobody, or may not be written
    left_out: tuple[pa.Table, ...] = ()  # events that may not be written

    def quarantine(self) -> pa.Table:
        """The refused rows of all tables, in order, with what may be written of them."""
        parts = [*self.events.quarantine, *self.left_out, self.refused, self.unnamed]
        whole = pa.concat_tables(parts)
        if self.rules is not None:
            whole = without_content(whole)
        return whole.sort_by([(name, "ascending") for name in ("table", "file", "line", "reason")])

    def kept(self, kind: TableKind) -> int:
        """How many rows of a table are usable."""
        if kind is TableKind.EVENTS:
            return len(self.events) - sum(map(len, self.left_out))
        return len(self.rows[kind])


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
    names; decisions may be absent, and every other file is named. Writes events, contacts,
    decisions, identity, merges, places and quarantine as Parquet and `summary.json` into `out`,
    which replaces an older `out` only when all is written. The tables depend neither on the order
    of the input's rows nor on rows delivered twice. Events may be more than fit into memory: they
    wait on disk beside `out` until all are read. Rules of privacy (`privacy.yaml` in the folder)
    say what of the log may be written. Rules of pages (`pages.yaml`) say what addresses are about,
    rules of identity (`identity.yaml`) who is whom beyond shared keys; every merge is a row of
    `merges.parquet`.

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
        ConfigError: `out` would replace the folder.
    """
    require_apart(out, folder)
    rules, pages, people = load_privacy(folder), load_page_rules(folder), load_identity(folder)
    hints = load_hint_rules(folder, rules)
    reading = Reading(action_ids, catalog_hash, journey, now_us, rules, pages, people, hints)
    out.parent.mkdir(parents=True, exist_ok=True)
    beside = tempfile.TemporaryDirectory(
        prefix=f".{out.name}.", suffix=".partial", dir=out.parent, ignore_cleanup_errors=True
    )
    with beside as room:
        return _ingest(folder, out, reading, Path(room), progress)


def _ingest(
    folder: Path, out: Path, reading: Reading, room: Path, progress: Callable[[str], None]
) -> IngestSummary:
    checked = _read_and_check(folder, reading, room, progress)
    _require_usable(checked, folder, out)
    namings = checked.events.namings()
    unified = unify(checked.rows, namings, checked.strays, MAX_KEY_DEGREE, reading.people)
    named = checked.events.name(namings, unified.events)
    checked = _with(checked, unified)
    _require_usable(checked, folder, out)
    rules = reading.rules
    names = named.contacts if rules is None else written_names(named.contacts, rules)
    buckets = ContactBuckets(named, names, room)
    private = None if rules is None else PrivateLog(rules, unified, buckets.last_us)
    derived = DerivedEvents(reading.journey, rules)
    exact = checked.events.tells_seconds
    changes = EventChanges(exact, reading.pages, private, derived)
    hints = ContactHints(reading.hints)
    with atomic_folder(out) as made:
        events = made / f"{TableKind.EVENTS}.parquet"
        written = write_events(map(hints.see, map(changes.changed, buckets.parts())), events)
        unified = unified if private is None else private.others(unified)
        checked = _with(replace(checked, left_out=tuple(changes.left_out)), unified)
        quarantine = checked.quarantine()
        _require_usable(checked, folder, out)
        tables, added = _final_tables(unified.rows, written.contacts)
        decided = tables[TableKind.DECISIONS]["contact_id"]
        tables[TableKind.CONTACTS] = hints.filled(tables[TableKind.CONTACTS], decided)
        progress(
            f"{counted(checked.kept(TableKind.EVENTS), 'event')} and "
            f"{counted(len(tables[TableKind.DECISIONS]), 'decision')} of "
            f"{counted(len(tables[TableKind.CONTACTS]), 'contact')}; "
            f"{counted(len(quarantine), 'row')} in quarantine"
        )
        for kind, table in tables.items():
            pq.write_table(table, made / f"{kind}.parquet", compression="zstd")
        notes = (*checked.notes, *unified.notes, *changes.notes(), *hints.notes())
        checked = replace(checked, notes=notes)
        pq.write_table(identity_table(unified.identities), made / "identity.parquet")
        pq.write_table(unified.merges, made / "merges.parquet")
        if unified.accounts is not None:
            pq.write_table(unified.accounts, made / "accounts.parquet")
        pq.write_table(places(unified.rows), made / "places.parquet")
        pq.write_table(quarantine, made / "quarantine.parquet")
        summary = _summarise(checked, quarantine, tables, unified, added, written)
        (made / "summary.json").write_bytes(summary.to_json())
    return summary


def _with(checked: _Checked, unified: Unified) -> _Checked:
    """The tables after `unified`, which refuses rows too."""
    return replace(checked, rows=unified.rows, unnamed=unified.quarantine)


def _read_and_check(
    folder: Path, reading: Reading, room: Path, progress: Callable[[str], None]
) -> _Checked:
    of_mappings = mapped_tables(folder, reading.rules)
    mapped = of_mappings.tables
    by_mapping = {name for by_file in mapped.values() for name in by_file}
    paths = {
        kind: [path for path in _files_of(folder, kind) if path.name not in by_mapping]
        for kind in TableKind
    }
    files = {
        kind: tuple(sorted([*(path.name for path in paths[kind]), *mapped[kind]]))
        for kind in TableKind
    }
    events = SpilledEvents(
        _parts(paths[TableKind.EVENTS], mapped[TableKind.EVENTS].values()),
        words_of(reading.journey),
        room,
        progress,
    )
    rows: dict[TableKind, pa.Table] = {}
    refused: dict[TableKind, list[pa.Table]] = {}
    notes = list(of_mappings.notes)
    for kind in (TableKind.CONTACTS, TableKind.DECISIONS):
        raw = [read_raw(path, kind, reading.action_ids) for path in paths[kind]]
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
    found = find_strays(events.known_us, rows[TableKind.DECISIONS], reading.journey, reading.now_us)
    strays = events.namings(found.rows, found.end_us)
    events.set_aside(found.rows, found.reasons)
    refused[TableKind.EVENTS] = events.quarantine
    for kind in TableKind:
        count = sum(map(len, refused[kind]))
        kept = len(events) if kind is TableKind.EVENTS else len(rows[kind])
        progress(
            f"{kind}: {counted(kept + count, 'row')} in "
            f"{counted(len(files[kind]), 'file')}, {count} refused"
        )
    unread = _unread(folder, files)
    if unread:
        notes.append(f"not read, as no table's file is called so: {', '.join(unread)}")
    for note in notes:
        progress(note)
    others = [part for kind in rows for part in refused[kind]]
    quarantine = pa.concat_tables([QUARANTINE.empty_table(), *others])
    none = QUARANTINE.empty_table()
    return _Checked(events, rows, strays, quarantine, files, tuple(notes), reading.rules, none)


def _parts(paths: Sequence[Path], mapped: Iterable[RawTable]) -> Iterator[Callable[[], RawTable]]:
    """What reads the events, some consecutive rows each.

    Raises:
        LogError: a file cannot be read.
    """
    for path in paths:
        for cells in read_cells(path, TableKind.EVENTS):
            yield partial(typed, cells, path.name, TableKind.EVENTS)
    for table in mapped:
        yield partial(replace, table)


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
    read = {CHAIN_FILE, PRIVACY_FILE, PAGES_FILE, IDENTITY_FILE, *HINT_FILES, *BESIDE}
    read |= set().union(*files.values())
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
    fields = check_decision_fields(rows)
    whole = check_decisions(fields.rows, reading.action_ids, reading.catalog_hash)
    return [fields, whole, drop_duplicates(whole.rows, kind)]


def _require_usable(checked: _Checked, folder: Path, out: Path) -> None:
    """Refuse an empty log, leaving its quarantine where the message says.

    Files that have mappings may name contacts in their events alone.

    Raises:
        LogError: there is no usable event or no usable contact.
    """
    needed = [TableKind.EVENTS]
    if checked.files[TableKind.CONTACTS] or not any(folder.glob(f"*{SUFFIX}")):
        needed.append(TableKind.CONTACTS)
    if all(checked.kept(kind) for kind in needed):
        return
    quarantine = checked.quarantine()
    path = out.with_name(out.name + ".quarantine.parquet")
    out.parent.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    pq.write_table(quarantine, buffer)
    atomic_write_bytes(path, buffer.getvalue())
    usable = "; ".join(told(count, quarantine) for count in _counts(checked, quarantine))
    raise LogError(
        f"expected at least one usable event and one usable contact in {folder}, got {usable}; "
        f"the refused rows and their reasons are in {path}"
    )


def _counts(checked: _Checked, quarantine: pa.Table) -> tuple[TableCount, ...]:
    return tuple(
        count_table(kind, checked.files[kind], checked.kept(kind), quarantine) for kind in TableKind
    )


def _final_tables(
    rows: Mapping[TableKind, pa.Table], seen: pa.Array
) -> tuple[dict[TableKind, pa.Table], int]:
    """Contacts and decisions in the contract's columns and order, and how many contacts are new."""
    folded = fold_contacts(rows[TableKind.CONTACTS])
    named = [pa.chunked_array([seen]), rows[TableKind.DECISIONS]["contact_id"]]
    rows = {**rows, TableKind.CONTACTS: add_missing_contacts(folded, named)}
    tables: dict[TableKind, pa.Table] = {}
    for kind in (TableKind.CONTACTS, TableKind.DECISIONS):
        schema = TABLES[kind]
        if kind is TableKind.DECISIONS:
            may = (*OF_EPISODE, *OF_EXPERIMENT, *OF_PROPENSITY)
            said = [one for one in may if rows[kind][one.name].null_count < len(rows[kind])]
            schema = pa.schema([*schema, *said])
        table = rows[kind].select(schema.names).cast(schema)
        ordered = table.sort_by([(name, "ascending") for name in _ORDER[kind]])
        tables[kind] = ordered.combine_chunks()
    return tables, len(tables[TableKind.CONTACTS]) - len(folded)


def _summarise(
    checked: _Checked,
    quarantine: pa.Table,
    tables: Mapping[TableKind, pa.Table],
    unified: Unified,
    added: int,
    written: WrittenEvents,
) -> IngestSummary:
    contents = {TableKind.EVENTS: written.path, **tables}
    return IngestSummary(
        tables=_counts(checked, quarantine),
        contacts=len(tables[TableKind.CONTACTS]),
        contacts_added=added,
        contacts_merged=unified.identities.merged,
        shared_keys=int(unified.identities.shared.sum()),
        missing_propensity=tables[TableKind.DECISIONS]["propensity"].null_count,
        first_at=written.first_at,
        last_at=written.last_at,
        notes=checked.notes,
        fingerprint=fingerprint({kind.value: content for kind, content in contents.items()}),
    )
