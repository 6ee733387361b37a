"""Where stages lie."""

from __future__ import annotations

from pathlib import Path


def stages_of(runs: str | Path) -> Path:
    """The folder of all stages in a folder of runs."""
    return Path(runs).resolve() / "stages"
