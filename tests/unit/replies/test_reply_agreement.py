"""Agreement against a table that was worked out by hand."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from nurture_rl.replies.labelled_replies import read_labelled
from nurture_rl.replies.reply_agreement import agreement


def test_kappa_of_a_known_table() -> None:
    true = ["yes"] * 25 + ["no"] * 25
    given = ["yes"] * 20 + ["no"] * 5 + ["yes"] * 10 + ["no"] * 15
    found = agreement(true, given)
    assert found.same == pytest.approx(0.7)
    assert found.kappa == pytest.approx(0.4)  # (0.7 - 0.5) / (1 - 0.5)
    yes = found.of("yes")
    assert yes.recall == pytest.approx(0.8)
    assert yes.precision == pytest.approx(2 / 3)
    assert yes.recall_interval == pytest.approx((0.6087, 0.9114), abs=1e-4)


def test_what_was_never_said_and_what_was_never_found() -> None:
    found = agreement(["a", "a"], ["a", "b"])
    assert found.of("b").recall is None
    assert found.of("b").recall_interval == (0.0, 1.0)
    with pytest.raises(ValueError, match="at least one reply"):
        agreement([], [])


def test_reading_labelled_replies_narrows_no_other_table(tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("label,subject,text\nother,,Ok\n", "utf-8")
    before = csv.field_size_limit(200_000)
    try:
        assert len(read_labelled(tmp_path / "mine.csv")) == 1
        assert csv.field_size_limit() == 200_000
    finally:
        csv.field_size_limit(before)
