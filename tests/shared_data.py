"""Where the real data sets lie; tests that need them skip with a reason when they are absent."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(os.environ.get("NURTURE_DATA", Path(__file__).parents[2] / "shared" / "data"))


def shared_data(name: str) -> Path:
    """The folder of one real data set; skips the calling test when it is not there."""
    folder = ROOT / name
    if not folder.is_dir():
        pytest.skip(f"real data set {name!r} is not at {ROOT}; set NURTURE_DATA to its folder")
    return folder
