"""Loading a log into a store; once, even if a server is started with it many times."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from nurture_rl.errors import LogError
from nurture_rl.logs.schema import TABLES, TableKind
from nurture_rl.serving.forbidding import Forbidding
from nurture_rl.serving.names import contact_key
from nurture_rl.serving.records import Contact, Event
from nurture_rl.serving.storage.ledger import settle
from nurture_rl.serving.storage.store import Store

_KINDS = (TableKind.CONTACTS, TableKind.EVENTS)
_BLOCK = 1_000  # rows read from a log at a time, while nobody else works on their contacts


def load_once(store: Store, folder: Path, forbidding: Forbidding) -> tuple[int, int] | None:
    """Load the contacts and events of an ingested log, unless the store has loaded it before.

    The store remembers a hash of the content, and only after all of it was stored: a log that
    changed, or whose loading was interrupted, is read again. So is a log that is served under
    another journey, which may have other words against mail.

    Args:
        store: where they are stored.
        folder: what ingest wrote.
        forbidding: which events the served journey must not lose.

    Returns:
        New contacts and new events, or None where this very log was loaded before.

    Raises:
        LogError: the folder is not what ingest writes; names the file.
    """
    mark = f"log {_fingerprint(folder, forbidding)}"
    if store.remembers(mark):
        return None
    try:
        for kind in _KINDS:
            _require_columns(folder / f"{kind}.parquet", TABLES[kind])
        counts = load_log(store, folder, forbidding)
    except (pa.ArrowException, ValueError, TypeError) as error:
        first = str(error).splitlines()[0]
        raise LogError(f"{folder}: {first}; give a folder that ingest wrote") from error
    store.remember(mark)
    return counts


def load_log(store: Store, folder: Path, forbidding: Forbidding) -> tuple[int, int]:
    """Take in the contacts and events of an ingested log; what is already there stays.

    Consent alone is taken wherever it is gone: what was withdrawn over the API outlives an older
    log, and who has none in the log loses what was put. Nobody who was erased is taken in again.

    Args:
        store: where they are stored.
        folder: what ingest wrote.
        forbidding: which events count under an id that is taken by another.

    Returns:
        New contacts and new events.

    Raises:
        LogError: the folder is not what ingest writes, or two contacts of it would be one.
    """
    for name in ("contacts.parquet", "events.parquet"):
        if not (folder / name).is_file():
            raise LogError(f"expected {name} in {folder}; give a folder that ingest wrote")
    contacts = events = 0
    for block in pq.ParquetFile(folder / "contacts.parquet").iter_batches(_BLOCK):
        batch = block.to_pylist()
        known = [Contact(**{**row, "attributes": json.loads(row["attributes"])}) for row in batch]
        _require_told_apart(store, known, folder)
        with store.held([contact.contact_id for contact in known]):
            contacts += store.add_loaded(known, [c.contact_id for c in known if not c.consent])
    for block in pq.ParquetFile(folder / "events.parquet").iter_batches(_BLOCK):
        columns = {name: block.column(name) for name in block.schema.names}
        for name in ("occurred_at", "recorded_at"):
            columns[f"{name[:-3]}_us"] = columns.pop(name).cast("int64")
        cells = [columns[name].to_pylist() for name in Event.__slots__]
        told = [Event(*row) for row in zip(*cells, strict=True)]
        with store.held({name for event in told for name in (event.contact_id, event.event_id)}):
            erased = store.erased([event.contact_id for event in told])
            told = [event for event in told if contact_key(event.contact_id) not in erased]
            stored = store.events_of_ids([event.event_id for event in told])
            fresh = settle(told, stored, forbidding, store.sent_of(told)).fresh
            events += store.append_events(fresh)
    return contacts, events


def _require_told_apart(store: Store, contacts: Sequence[Contact], folder: Path) -> None:
    ids = [contact.contact_id for contact in contacts]
    known = {key: stored.spelling or key for key, stored in store.contacts(ids).items()}
    for name in ids:
        other = known.setdefault(contact_key(name), name)
        if other != name:
            raise LogError(
                f"expected contact ids that differ in more than case and space, got {other!r} "
                f"and {name!r}, in {folder} or loaded before: the server would take them for "
                "one person; use ids that differ, such as a CRM's long form"
            )


def _fingerprint(folder: Path, forbidding: Forbidding) -> str:
    digest = hashlib.sha256(" ".join(sorted(forbidding.types)).encode())
    for kind in _KINDS:
        path = folder / f"{kind}.parquet"
        if not path.is_file():
            raise LogError(f"expected {path.name} in {folder}; give a folder that ingest wrote")
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def _require_columns(path: Path, schema: pa.Schema) -> None:
    given = pq.read_schema(path)
    wrong = [
        f"{field.name} {given.field(field.name).type if field.name in given.names else 'missing'}"
        for field in schema
        if field.name not in given.names or given.field(field.name).type != field.type
    ]
    if wrong:
        raise LogError(
            f"{path}: expected the columns that ingest writes, got {', '.join(wrong)}; "
            "ingest the log first"
        )
