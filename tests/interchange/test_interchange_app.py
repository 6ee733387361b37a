"""The interchange app as users type it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.pipeline.in_process import nurture


def test_an_unknown_format_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    done = nurture("interchange", "format=csv", f"runs={tmp_path}")
    assert done.code == 2
    assert "format: expected one of minari, d3rlpy, got 'csv'" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_program_is_played_without_any_log(tmp_path: Path) -> None:
    pytest.importorskip("h5py", reason='h5py is not installed; pip install "nurture-rl[interop]"')
    played = ["episodes=reference", "policy=drip", "played=12", "format=d3rlpy"]
    done = nurture("interchange", *played, f"runs={tmp_path}", f"out={tmp_path / 'out'}")
    assert done.code == 0, done.stderr[-2000:]
    assert "12 episodes of" in done.stdout
    assert (tmp_path / "out" / "inbound_lead.h5").is_file()
    assert not (tmp_path / "stages").exists()
