"""The benchmark of compiled play runs at a tiny size, and refuses two ways that differ."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.training import arguments, gain, main
from nurture_envs.worlds.reference import reference_world

TINY = ["--contacts", "40", "--iterations", "1", "--runs", "2", "--learned", "0"]


@pytest.mark.slow
def test_a_tiny_run_prints_a_table_and_writes_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "deep" / "found.json"
    main(arguments([*TINY, "--out", str(out)]))
    found = json.loads(out.read_text("utf-8"))
    assert [name.split(",")[0] for name in found] == [
        "PPO end to end",
        "PPO's contacts alone",
        "play",
        "replay of the reality gap",
    ]
    assert all(one["low"] <= one["times"] <= one["high"] for one in found.values())
    assert "| PPO's contacts alone, reference world |" in capsys.readouterr().out


def test_ways_that_differ_are_no_gain() -> None:
    with pytest.raises(AssertionError, match="Mismatched"):
        gain(reference_world("inbound_lead"), lambda s: np.array([s.compiled]), 1)
