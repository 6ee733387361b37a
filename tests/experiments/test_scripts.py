"""The experiments run from a checkout by their names."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# The fewest contacts that are drawn: the first draw imports numba.
CONFOUNDING = ["--contacts", "40", "--seeds", "1"]
RANKING = ["--journeys", "inbound_lead", "--contacts", "60", "--logs", "1", "--members", "1"]
RANKING += ["--truth-contacts", "40", "--played", "40", "--out"]


@pytest.mark.parametrize("name", ["confounding", "world_ranking"])
def test_an_experiment_runs_from_a_checkout(name: str, tmp_path: Path) -> None:
    given = {"confounding": CONFOUNDING, "world_ranking": [*RANKING, str(tmp_path)]}[name]
    done = subprocess.run(
        [sys.executable, "-m", f"experiments.{name}.run", *given],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    assert done.returncode == 0, done.stderr
    assert "|" in done.stdout
