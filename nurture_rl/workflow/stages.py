"""Stages: pieces of work in folders named by the hash of what went in, so that work is resumed."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from nurture_rl.logs.atomic import atomic_folder
from nurture_rl.progress import PROGRESS

Say = Callable[[str], None]
RECORD = "stage.json"


@dataclass(frozen=True, slots=True)
class Workshop:
    """Where stages lie and who is told about them."""

    root: Path
    say: Say

    def stage(self, name: str, inputs: Mapping[str, Any], build: Callable[[Path], None]) -> Path:
        """The folder of a finished stage: an earlier one with equal inputs, or a fresh one.

        Args:
            name: what the stage is.
            inputs: everything the result depends on, as JSON values; folders of earlier stages
                stand for their contents by their names.
            build: fills the folder it is given; an interruption leaves nothing behind.
        """
        known = {"stage": name, "code": code_hash(), **inputs}
        key = hashlib.sha256(json.dumps(known, sort_keys=True, default=str).encode()).hexdigest()
        folder = self.root / "stages" / f"{name}-{key[:12]}"
        if (folder / RECORD).is_file():
            self.say(f"{name}: unchanged, using {folder.name}")
            return folder
        self.say(f"{name}: working")
        PROGRESS.info("%s", name)
        began = time.monotonic()
        with atomic_folder(folder) as partial:
            build(partial)
            seconds = round(time.monotonic() - began, 2)
            record = {"inputs": known, "seconds": seconds}
            (partial / RECORD).write_text(json.dumps(record, indent=1, default=str) + "\n", "utf-8")
        self.say(f"{name}: done in {seconds} s")
        return folder


@lru_cache(maxsize=1)
def code_hash() -> str:
    """Hash of both packages' sources: results of other code are not reused."""
    digest = hashlib.sha256()
    for package in ("nurture_envs", "nurture_rl"):
        spec = find_spec(package)
        for folder in (spec.submodule_search_locations or []) if spec else []:
            for path in sorted(Path(folder).rglob("*")):
                if path.suffix in (".py", ".yaml", ".j2", ".css", ".html"):
                    digest.update(f"{package}/{path.relative_to(folder)}".encode())
                    digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def folder_hash(folder: Path) -> str:
    """Hash of the names and contents of a folder's files."""
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        digest.update(str(path.relative_to(folder)).encode())
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:16]
