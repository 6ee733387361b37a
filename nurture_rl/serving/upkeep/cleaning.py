"""Taking a contact out of logs on disk: exported and ingested tables, each rewritten whole or not.

Rows of the contact go. An export's chain keeps the digests of the decisions, so that `nurture
verify` still passes.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from nurture_rl.errors import LogError
from nurture_rl.logs.atomic import sync
from nurture_rl.logs.schema import CHAIN_FILE
from nurture_rl.serving.names import contact_key
from nurture_rl.serving.storage.chain_walk import ERASED_HERE
from nurture_rl.serving.upkeep.mentions import mentions

KEYS_FILE = "identity.parquet"  # of a folder of ingested tables: whose key is whose
_BLOCK = 50_000  # rows read at a time
_BYTES = 1 << 20  # of another file, read at a time


@dataclass(slots=True)
class Cleaned:
    """What was done in folders of logs."""

    rows: dict[str, int] = field(default_factory=dict)  # taken out, by file
    left: list[str] = field(
        default_factory=list
    )  # files that name the contact and stay as they are

    def add(self, other: Cleaned) -> None:
        """Count what was done under another name of the contact."""
        for path, rows in other.rows.items():
            self.rows[path] = self.rows.get(path, 0) + rows
        self.left += [path for path in other.left if path not in self.left]


def clean_folder(folder: Path, key: str) -> Cleaned:
    """Take a contact out of every Parquet file of a folder and of those inside it.

    Other files stay; those that name the contact are told.

    Args:
        folder: with tables of a log.
        key: the contact's, by `contact_key`.

    Raises:
        LogError: there is no such folder, or a Parquet file of it cannot be read.
        OSError: the disk refuses; the file at hand is as it was.
    """
    if not folder.is_dir():
        raise LogError(f"expected a folder of logs at {folder}; give one that is there")
    done, files = Cleaned(), [path for path in sorted(folder.rglob("*")) if path.is_file()]
    tables = [path for path in files if path.suffix == ".parquet"]
    tables.sort(
        key=lambda path: path.name == KEYS_FILE
    )  # last: an erasure that ends early needs it
    try:
        decisions = {place: _decisions_of(place, key) for place in {path.parent for path in tables}}
        for path in tables:
            if taken := _clean(path, key, decisions[path.parent]):
                done.rows[str(path)] = taken
    except pa.ArrowException as error:
        raise LogError(f"{path}: {error}; mend or remove it, and erase again") from error
    done.left += [str(path) for path in files if path not in tables and _names(path, key)]
    return done


def is_in(folder: Path, key: str) -> bool:
    """Whether a row of a folder's Parquet files is a contact's.

    Args:
        folder: of one log's tables.
        key: the contact's, by `contact_key`.
    """
    for path in sorted(folder.glob("*.parquet")):
        if "contact_id" in (file := pq.ParquetFile(path)).schema_arrow.names:
            for block in file.iter_batches(_BLOCK, columns=["contact_id"]):
                if any(_equal(block.column(0), key)):
                    return True
    return False


def _decisions_of(folder: Path, key: str) -> set[str]:
    """Ids of the contact's decisions in a folder's tables."""
    found: set[str] = set()
    for path in folder.glob("decision*.parquet"):
        file = pq.ParquetFile(path)
        if {"decision_id", "contact_id"} <= set(file.schema_arrow.names):
            for block in file.iter_batches(_BLOCK, columns=["decision_id", "contact_id"]):
                theirs = _equal(block.column("contact_id"), key)
                names = block.column("decision_id").filter(pa.array(theirs, pa.bool_()))
                found.update(names.to_pylist())
    return found


def _clean(path: Path, key: str, decisions: Collection[str]) -> int:
    """Rewrite a file without the contact; returns the rows that changed, 0 where it stays."""
    if not any(any(gone) or any(named) for _, gone, named in _looked_at(path, key, decisions)):
        return 0
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".partial", dir=path.parent)
    os.close(handle)
    partial, taken = Path(name), 0
    try:
        with pq.ParquetWriter(partial, pq.read_schema(path), compression="zstd") as writer:
            for block, gone, named in _looked_at(path, key, decisions):
                taken += sum(gone) + sum(named)
                if path.name == CHAIN_FILE:
                    writer.write_batch(_without_rows(block, gone))
                else:
                    left = _without_names(block, named)
                    writer.write_batch(left.filter(pa.array([not one for one in gone])))
        partial.chmod(path.stat().st_mode & 0o777)
        sync(partial)
        partial.replace(path)
        sync(path.parent)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    return taken


def _looked_at(
    path: Path, key: str, decisions: Collection[str]
) -> Iterator[tuple[pa.RecordBatch, list[bool], list[bool]]]:
    """The blocks of a file, which rows are the contact's, and which others name a decision."""
    for block in pq.ParquetFile(path).iter_batches(_BLOCK):
        gone = _theirs(block, path.name == CHAIN_FILE, key, decisions)
        named = [False] * len(block)
        if "decision_id" in block.schema.names:
            names = block.column("decision_id").to_pylist()
            pairs = zip(names, gone, strict=True)
            named = [name in decisions and not theirs for name, theirs in pairs]
        yield block, gone, named


def _theirs(block: pa.RecordBatch, chain: bool, key: str, decisions: Collection[str]) -> list[bool]:
    names, gone = set(block.schema.names), [False] * len(block)
    if "contact_id" in names:
        gone = _equal(block.column("contact_id"), key)
    elif "decision_id" in names:  # what is said of decisions
        gone = [one in decisions for one in block.column("decision_id").to_pylist()]
    if chain or {"table", "id"} <= names:  # an export's chain, or where rows stood in raw files
        ids = block.column("id").to_pylist()
        contacts = [False] * len(ids) if chain else _equal(block.column("id"), key)
        pairs = zip(ids, contacts, strict=True)
        gone = [contact or one in decisions for one, contact in pairs]
    for name in names & {"keys", "key"}:
        keys = [one if isinstance(one, list) else [one] for one in block.column(name).to_pylist()]
        named = [any(_is_id(each, key) for each in some if each is not None) for some in keys]
        gone = [one or other for one, other in zip(gone, named, strict=True)]
    if {"raw", "reason"} <= names:  # a quarantine
        raw = block.column("raw").to_pylist()
        gone = [one or mentions(text, {key}) for one, text in zip(gone, raw, strict=True)]
    return gone


def _is_id(text: str, key: str) -> bool:
    return text.startswith("id:") and contact_key(text.removeprefix("id:")) == key


def _equal(names: pa.Array, key: str) -> list[bool]:
    return [name is not None and contact_key(str(name)) == key for name in names.to_pylist()]


def _without_names(block: pa.RecordBatch, named: list[bool]) -> pa.RecordBatch:
    """Events of others, that do not name the contact's decisions any more."""
    if not any(named):
        return block
    place = block.schema.get_field_index("decision_id")
    names = pc.if_else(pa.array(named), None, block.column(place))
    return block.set_column(place, block.schema.field(place), names)


def _without_rows(block: pa.RecordBatch, gone: list[bool]) -> pa.RecordBatch:
    """Entries of a chain, those of the contact with their digests alone."""
    rows = block.to_pylist()
    for row, erased in zip(rows, gone, strict=True):
        if erased:
            row |= {"id": None, "erasure": ERASED_HERE, "row": None}
    return pa.RecordBatch.from_pylist(rows, schema=block.schema)


def _names(path: Path, key: str) -> bool:
    """Whether a file holds a contact's key as a word."""
    word = re.compile(rb"(?<![\w-])" + re.escape(key.encode()) + rb"(?![\w-])")
    before = b""
    with path.open("rb") as file:
        while block := file.read(_BYTES):
            if word.search(part := before + block.lower()):
                return True
            before = part[-(len(key.encode()) + 2) :]
    return False
