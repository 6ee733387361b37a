"""In continuous integration a test may skip only where the list says so."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.skips import SETTING, Skip, allowed_patterns, unlisted

ROOT = Path(__file__).resolve().parents[2]


def run(folder: Path, listed: str | None, *options: str) -> subprocess.CompletedProcess[str]:
    """One passing test, one that skips and a file that is never collected."""
    (folder / "test_one.py").write_text(
        "import pytest\ndef test_runs():\n    pass\ndef test_rests():\n    pytest.skip('tired')\n"
    )
    (folder / "test_whole.py").write_text("import pytest\npytest.importorskip('no_such_thing')\n")
    (folder / "skips.txt").write_text(listed or "")
    environment = dict(os.environ, PYTHONPATH=str(ROOT), PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")
    environment.pop(SETTING, None)
    if listed is not None:
        environment[SETTING] = str(folder / "skips.txt")
    command = [sys.executable, "-m", "pytest", "-p", "tests.skips", "-p", "no:cacheprovider"]
    return subprocess.run(
        [*command, *options, "--rootdir", str(folder), str(folder)],
        capture_output=True,
        text=True,
        env=environment,
        cwd=folder,
    )


@pytest.mark.parametrize("options", [[], ["-p", "xdist", "-n", "2"]])
def test_a_skip_outside_the_list_fails_the_run_and_is_named(
    tmp_path: Path, options: list[str]
) -> None:
    done = run(tmp_path, "test_whole.py - not installed here\n", *options)
    assert done.returncode == 1
    assert "test_one.py::test_rests (Skipped: tired)" in done.stdout
    assert "SKIPPED, and not in" in done.stdout
    assert "test_whole.py (" not in done.stdout


def test_listed_skips_pass(tmp_path: Path) -> None:
    assert run(tmp_path, "test_one.py::* - tired\ntest_whole.py - not here\n").returncode == 0


def test_without_a_list_every_skip_is_allowed(tmp_path: Path) -> None:
    assert run(tmp_path, None).returncode == 0


def test_brackets_of_parameters_are_no_classes_of_letters() -> None:
    patterns = allowed_patterns("# said\n\na.py::test[one] - why\n")
    assert unlisted([Skip("a.py::test[one]", "")], patterns) == []
    assert unlisted([Skip("a.py::testo", "")], patterns) == [Skip("a.py::testo", "")]


def test_a_line_without_a_reason_is_refused() -> None:
    with pytest.raises(ValueError, match=r"line 1: expected 'test id - reason', got 'a\.py'"):
        allowed_patterns("a.py\n")
