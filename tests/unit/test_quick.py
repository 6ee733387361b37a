"""`make quick` leaves out what is marked slow, and what is slow must be marked."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TESTS = """
import pytest, time
from numba.core import event
import tests.quick
tests.quick.LIMIT = 0.5

@pytest.mark.slow
def test_marked():
    pass

def test_fast():
    pass

def test_waits():
    time.sleep(1.0)

def test_works():
    end = time.process_time() + 1.0
    while time.process_time() < end:
        pass

def test_compiles():
    event.start_event("numba:compile")
    event.start_event("numba:compile")  # what it calls
    event.end_event("numba:compile")
    test_works()
    event.end_event("numba:compile")
"""


def run(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    (folder / "test_one.py").write_text(TESTS)
    command = [sys.executable, "-m", "pytest", "-p", "tests.quick", "-p", "no:cacheprovider"]
    return subprocess.run(
        [*command, *options, "--rootdir", str(folder), str(folder)],
        capture_output=True,
        text=True,
        env=dict(os.environ, PYTHONPATH=str(ROOT), PYTEST_DISABLE_PLUGIN_AUTOLOAD="1"),
        cwd=folder,
    )


def test_in_quick_mode_a_slow_test_is_left_out_and_one_without_the_mark_fails(
    tmp_path: Path,
) -> None:
    done = run(tmp_path, "--quick")
    assert "4 passed, 1 deselected, 1 error" in done.stdout, done.stdout
    assert "test_works took 1" in done.stdout
    assert done.returncode == 1


def test_without_quick_mode_everything_runs_and_nothing_is_timed(tmp_path: Path) -> None:
    done = run(tmp_path)
    assert "5 passed" in done.stdout, done.stdout
    assert done.returncode == 0
