"""Files as people have them, with their mappings, for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from nurture_rl.logs.ingest import ingest_folder
from nurture_rl.logs.mapped.drafting import Draft, GivenAnswers, draft
from nurture_rl.logs.mapped.looking import look_at
from nurture_rl.logs.schema import EVENT_TYPES


def drafted(path: Path, text: str | bytes, **answers: Any) -> Draft:
    """The mapping that is drafted of a file with this content."""
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return draft(look_at(path), sorted(EVENT_TYPES), ["mql", "sql"], GivenAnswers(**answers))


def written(folder: Path, name: str, text: str | bytes, mapping: str) -> None:
    """Put a file and its mapping into a folder."""
    (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    (folder / f"{name.split('.')[0]}.map.yaml").write_text(f"file: {name}\n{mapping}", "utf-8")


def ingested(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """The rows of every table, and of the quarantine, that a folder gives."""
    out = folder.with_name(f"{folder.name}-tables")
    ingest_folder(folder, out, None, None, lambda line: None)
    names = ("events", "contacts", "quarantine")
    return {name: pq.read_table(out / f"{name}.parquet").to_pylist() for name in names}


def reasons(rows: list[dict[str, Any]]) -> list[tuple[int, str]]:
    """Lines that were set aside, and the kind of their reason."""
    return sorted((row["line"], row["reason"].split(":")[0]) for row in rows)
