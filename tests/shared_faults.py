"""Where the small faulty logs lie; tests that need them skip with a reason when they are absent."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.shared_data import ROOT as DATA

ROOT = Path(os.environ.get("NURTURE_FAULTS", DATA.parent / "faults"))


def faulty_log(name: str) -> Path:
    """One faulty table of decisions; skips the calling test when it is not there."""
    file = ROOT / "ope" / name
    if not file.is_file():
        pytest.skip(f"faulty log {name!r} is not at {ROOT}; set NURTURE_FAULTS to its folder")
    return file


def faulty_folder(name: str) -> Path:
    """The folder of one faulty journey log; skips the calling test when it is not there."""
    folder = ROOT / "folder" / name
    if not folder.is_dir():
        pytest.skip(f"faulty log {name!r} is not at {ROOT}; set NURTURE_FAULTS to its folder")
    return folder
