"""The studies run as scripts: no file beside them stands in the way of a package they import."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

STUDIES = Path(__file__).parents[2] / "experiments" / "studies"
# The fewest contacts that are drawn: the first draw imports numba.
CONFOUNDING = ["--contacts", "40", "--seeds", "1"]
RANKING = ["--journeys", "inbound_lead", "--contacts", "60", "--logs", "1", "--members", "1"]
RANKING += ["--truth-contacts", "40", "--played", "40", "--out"]


@pytest.mark.parametrize("script", ["confounding", "ranking"])
def test_a_study_runs_as_a_script(script: str, tmp_path: Path) -> None:
    given = {"confounding": CONFOUNDING, "ranking": [*RANKING, str(tmp_path)]}[script]
    done = subprocess.run(
        [sys.executable, str(STUDIES / f"{script}.py"), *given],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    assert done.returncode == 0, done.stderr
    assert "|" in done.stdout
