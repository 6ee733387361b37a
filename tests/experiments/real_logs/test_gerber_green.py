"""The turnout experiment: what was tried, how people voted, and what was known before."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from experiments.real_logs.gerber_green import FILE, read_voters
from nurture_rl.errors import LogError
from tests.data.adapted import without, write_csv
from tests.shared_data import shared_data

VOTERS: dict[str, Sequence[object]] = {
    "voted98": [1, 0, 1],
    "persngrp": [1, 0, 0],
    "phnscrpt": [0, 6, 2],
    "mailings": [0, 3, 0],
    "age": [20, 30, 40],
    "majorpty": [1, 0, 1],
    "vote96.1": [0, 1, 1],
    "vote96.0": [1, 0, 0],
}


def test_three_voters_by_hand(tmp_path: Path) -> None:
    write_csv(tmp_path / FILE, VOTERS)
    voters = read_voters(tmp_path)
    assert {name: one.tolist() for name, one in voters.treated.items()} == {
        "visit": [True, False, False],
        "call": [False, True, True],
        "mail": [False, True, False],
    }
    assert voters.voted.tolist() == [True, False, True]
    assert voters.voted_before.tolist() == [False, True, True]
    np.testing.assert_array_equal(voters.features, [[20, 1], [30, 0], [40, 1]])


def test_missing_columns_and_strange_outcomes_are_refused(tmp_path: Path) -> None:
    write_csv(tmp_path / FILE, without(VOTERS, "mailings"))
    with pytest.raises(LogError, match="mailings missing"):
        read_voters(tmp_path)
    write_csv(tmp_path / FILE, {**VOTERS, "voted98": [1, 2, 0]})
    with pytest.raises(LogError, match="0 or 1"):
        read_voters(tmp_path)


def test_the_file_has_the_published_turnout() -> None:
    voters = read_voters(shared_data("gerber_green_1998"))
    visit = voters.treated["visit"]
    assert int(visit.sum()) == 2_956
    assert voters.voted[visit].mean() == pytest.approx(0.419, abs=5e-4)
    assert voters.voted[~visit].mean() == pytest.approx(0.393, abs=5e-4)
