"""Every notebook runs from top to bottom."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.py"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_notebook_runs(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = runpy.run_path(str(path))
    assert set(made["played"]) == {"no_contact", "random", "drip", "rules"}
    assert "EUR a lead" in capsys.readouterr().out
