"""A file of what was held so far: one line for each stretch, summed up over all runs."""

from __future__ import annotations

import json
import os
import subprocess
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class Record:
    """Stretches of rounds, each played once by one state of the code with one seed."""

    def __init__(self, path: Path | None, how: str, seed: int, code: str) -> None:
        """Go on with a file.

        Args:
            path: of JSON lines; None: nothing is kept.
            how: what is played; stretches of the same code and seed go on from each other.
            seed: of the rounds.
            code: commit that is held.
        """
        self._path, self._own = path, {"how": how, "code": code, "seed": seed}

    def played(self) -> int:
        """Rounds of this code and seed that lie behind."""
        mine = [int(line["to"]) for line in self._lines() if self._own.items() <= line.items()]
        return max([0, *mine])

    def add(self, first: int, to: int, counts: Mapping[str, int], parted: int) -> None:
        """Write down rounds `[first, to)`; they are on the disk when this returns."""
        if self._path is None:
            return
        line = {**self._own, "from": first, "to": to, "parted": parted, "counts": dict(counts)}
        with self._path.open("a") as file:
            file.write(json.dumps(line) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def total(self) -> Counter[str]:
        """Counts over all lines of this way of playing, whatever code and seed."""
        counts: Counter[str] = Counter()
        for line in self._lines():
            if line["how"] == self._own["how"]:
                counts.update(line["counts"] | {"parted": line["parted"]})
        return counts

    def _lines(self) -> list[dict[str, Any]]:
        if self._path is None or not self._path.exists():
            return []
        return [json.loads(line) for line in self._path.read_text().splitlines()]


def code_here(root: Path) -> str:
    """The commit of a checkout, with a `+` where files differ from it."""

    def git(*words: str) -> str:
        return subprocess.run(
            ["git", "-C", str(root), *words], capture_output=True, text=True, check=True
        ).stdout.strip()

    changed = git("status", "--porcelain", "--untracked-files=no")
    return git("rev-parse", "--short=12", "HEAD") + ("+" if changed else "")
