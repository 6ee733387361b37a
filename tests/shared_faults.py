"""Where the small faulty logs lie; tests that need them skip with a reason when they are absent."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(os.environ.get("NURTURE_FAULTS", Path(__file__).parents[2] / "shared" / "faults"))


def faulty_folder(name: str) -> Path:
    """The folder of one faulty journey log; skips the calling test when it is not there."""
    folder = ROOT / "folder" / name
    if not folder.is_dir():
        pytest.skip(f"faulty log {name!r} is not at {ROOT}; set NURTURE_FAULTS to its folder")
    return folder
