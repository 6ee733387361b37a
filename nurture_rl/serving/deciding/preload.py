"""Loading a log into a store once, even if a server is started with it many times."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from nurture_rl.errors import LogError
from nurture_rl.logs.schema import TABLES, TableKind
from nurture_rl.serving.forbidding import Forbidding
from nurture_rl.serving.storage.store import Store

_KINDS = (TableKind.CONTACTS, TableKind.EVENTS)


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
        counts = store.load_log(folder, forbidding)
    except (pa.ArrowException, ValueError, TypeError) as error:
        first = str(error).splitlines()[0]
        raise LogError(f"{folder}: {first}; give a folder that ingest wrote") from error
    store.remember(mark)
    return counts


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
