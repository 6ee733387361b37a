"""The study of prices in small: its truth, and what one run finds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from experiments.prices import study
from experiments.prices.run import main
from experiments.prices.study import Limits, one_run, true_prices
from experiments.prices.world import best, crowd, of_sends


@pytest.fixture
def _few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study, "FRESH", 3000)


def test_the_best_within_a_budget_mails_who_gains_most() -> None:
    contacts = crowd(1000, np.random.default_rng(0))
    first = np.argsort(-contacts.gain)[:300]
    sent = np.zeros(1000)
    sent[first] = 1.0
    assert best(contacts, 0.3, None) == pytest.approx(of_sends(sent, contacts).value)
    assert best(contacts, 0.3, 0.001) < best(contacts, 0.3, None)


@pytest.mark.usefixtures("_few")
def test_a_run_keeps_to_its_limits_and_ranks_by_what_a_mail_adds() -> None:
    found, true = one_run(1, 20_000, Limits()), true_prices(Limits())
    assert found["truth"]["sends"] <= 0.4
    assert found["truth"]["opt_outs"] <= 0.003
    assert 0.5 < found["truth"]["value"] / true["best"] <= 1.0
    ranked = found["ranking"]
    assert ranked["chance to meet"] < ranked["incremental value"] <= ranked["truth"]
    assert all(slope > 0.0 for slope in true["slopes"])


@pytest.mark.usefixtures("_few")
def test_a_tiny_study_prints_its_table_and_is_resumed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--contacts", "2000", "--seeds", "2", "--kept", str(tmp_path)]
    main(words)
    first = capsys.readouterr()
    assert "both limits kept in" in first.out
    main(words)
    again = capsys.readouterr()
    assert again.out == first.out
    assert again.err == ""
