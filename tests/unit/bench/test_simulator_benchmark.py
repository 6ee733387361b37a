"""The simulator's benchmark runs at a tiny size and says what it left out."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from benchmarks import contacts
from benchmarks.peer_runs import Peer, Skipped, peer_rates
from benchmarks.simulator import about_run, arguments, main
from benchmarks.tables import Findings, markdown
from benchmarks.timing import Rate, Work, rate

TINY = [
    "--contacts",
    "64",
    "--steps",
    "2",
    "--runs",
    "2",
    "--threads",
    "1",
    "--learned",
    "0",
    "--no-peers",
    "--flat",
    "32",
    "64",
]


@pytest.mark.slow
def test_a_tiny_run_prints_every_table_and_writes_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "deep" / "found.json"
    main(arguments([*TINY, "--journey", "inbound_lead", "--out", str(out)]))
    printed = capsys.readouterr().out
    found = json.loads(out.read_text("utf-8"))
    assert found["about"]["contacts"] == 64
    assert found["ours"]["reference world"]["median"] > 0
    assert sorted(found["flat"]) == ["32", "64"]
    assert found["memory"]["state"] > 4 * 27  # a float per channel at the very least
    for heading in ("| environment |", "| contacts |", "| per contact |", "| limit |"):
        assert heading in printed


def test_a_rate_is_the_median_of_what_the_runs_say_of_themselves() -> None:
    seconds = iter([2.0, 1.0, 4.0])
    found = rate(lambda: Work(8.0, next(seconds)), 3)
    assert (found.median, found.low, found.high, found.runs) == (4.0, 2.0, 8.0, 3)


def test_actions_are_legal_and_every_legal_one_comes() -> None:
    mask = np.array([[True, False, True], [False, True, False]])
    luck = np.random.default_rng(0)
    drawn = np.stack([contacts.legal_actions(mask, luck) for _ in range(200)])
    assert set(drawn[:, 0]) == {0, 2}
    assert set(drawn[:, 1]) == {1}


def test_the_loop_without_an_environment_plays_the_same_number_of_steps() -> None:
    world = contacts.known_world("inbound_lead")
    assert contacts.device_steps(world, 16, 3, "cpu")().units == 48


@pytest.mark.slow
def test_a_library_that_cannot_be_installed_is_skipped_with_pips_reason(tmp_path: Path) -> None:
    peer = Peer("nobody", "recsim_steps.py", (("--no-index", "a-library-nobody-wrote"),))
    (figure,) = peer_rates(peer, tmp_path, 1, 1, lambda line: None).values()
    assert isinstance(figure, Skipped)
    assert "No matching distribution found" in figure.reason


def test_a_ratio_says_how_many_times_faster_ours_is() -> None:
    found = Findings({}, ours={"ours": Rate(3e6, 2e6, 4e6, 3, 0.0)})
    found.others = {"slow": Rate(1e5, 1e5, 1e5, 3, 0.5), "absent": Skipped("no wheel")}
    lines = markdown(found).splitlines()
    assert "| slow | 100 k (100 k–100 k) | 50% | 30 |" in lines
    assert "| absent | skipped: no wheel |  | |" in lines


def test_the_benchmark_states_the_blas_setting() -> None:
    world = contacts.known_world("inbound_lead")
    about = about_run(arguments(TINY), world)
    assert about["OPENBLAS_CORETYPE"] == os.environ.get("OPENBLAS_CORETYPE", "not set")
