"""A source's own folder: where its raw tables lie, and whether it is still what was looked at."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nurture_rl.errors import LogError
from nurture_rl.logs.privacy_rules import privacy_digest

if TYPE_CHECKING:
    from nurture_rl.workflow.run_config import DataConfig


def raw_tables(data: DataConfig, raw: Path) -> Path:
    """Where the raw tables of a source lie: a folder is read where it is now, adapted ones here."""
    return Path(str(data.path)).resolve() if data.source == "folder" else raw / "tables"


def note_source(content: str, notes: Mapping[str, Any], out: Path) -> None:
    """Write what a source can show, and the hash of what it held when it was read."""
    write_json(out / "notes.json", notes)
    write_json(out / "source.json", {"content": content})


def require_unchanged(source: Path, content: str) -> None:
    """Guard a stage that is named by what its source held when it was looked at.

    Raises:
        LogError: it holds something else by now.
    """
    if folder_hash(source) != content:
        raise LogError(f"{source} changed while it was read; run again when it is whole")


def folder_hash(folder: Path) -> str:
    """Hash of the names and contents of a folder's files, and of the key of its pseudonyms.

    Raises:
        LogError: its rules of privacy cannot be used.
    """
    digest = hashlib.sha256(privacy_digest(folder).encode())
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        digest.update(str(path.relative_to(folder)).encode())
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:16]


def write_json(path: Path, content: Any) -> None:
    """Write plain data, indented."""
    path.write_text(json.dumps(content, indent=1) + "\n", "utf-8")
