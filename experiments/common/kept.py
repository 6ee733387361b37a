"""Finished work, kept as one JSON file a piece and named by the hash of what went into it."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nurture_rl.logs.atomic import atomic_write_bytes
from nurture_rl.workflow.stages import Say, code_hash


@dataclass(frozen=True, slots=True)
class Kept:
    """The finished work of one world."""

    folder: Path
    world: str  # begins every file's name
    fixed: Mapping[str, Any]  # what all pieces depend on, as JSON values
    say: Say

    def piece(
        self, kind: str, inputs: Mapping[str, Any], make: Callable[[], dict[str, Any]]
    ) -> dict[str, Any]:
        """The result of finished work with equal inputs, or of work done now.

        Args:
            kind: what the piece is.
            inputs: everything else that the result depends on, as JSON values.
            make: does the work; its result is JSON values.
        """
        known = {**inputs, **self.fixed}
        key = hashlib.sha256(json.dumps(known, sort_keys=True, default=str).encode()).hexdigest()
        name = f"{self.world}-{kind}-{key[:8]}"
        path = self.folder / f"{name}.json"
        if not path.is_file():
            self.say(f"{name}: working")
            began = time.monotonic()
            result = make()
            seconds = round(time.monotonic() - began, 1)
            record = {"inputs": inputs, "code": code_hash(), "seconds": seconds, "result": result}
            self.folder.mkdir(parents=True, exist_ok=True)
            atomic_write_bytes(path, (json.dumps(record) + "\n").encode())
            self.say(f"{name}: done in {seconds} s")
        found: dict[str, Any] = json.loads(path.read_text("utf-8"))["result"]
        return found


def sources_hash(folder: Path) -> str:
    """Hash of the modules under a folder: results of other code are not reused."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        digest.update(str(path.relative_to(folder)).encode() + path.read_bytes())
    return digest.hexdigest()[:16]
