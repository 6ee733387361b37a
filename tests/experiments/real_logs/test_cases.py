"""Real logs: what policies are known to have earned is recovered, or the log cannot tell."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from experiments.real_logs import run
from experiments.real_logs.study import CANNOT_TELL, RECOVERED, RealResult, ask
from nurture_rl.ope.named_estimators import ESTIMATORS
from tests.shared_data import ROOT, shared_data

WEIGHTED = ("ips", "snips", "dr")


def asked(source: str, folder: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, RealResult]:
    shared_data(folder)
    monkeypatch.setenv("NURTURE_DATA", str(ROOT))
    monkeypatch.setattr(run, "DATA", ROOT)
    rng = np.random.default_rng(0)
    estimators = {name: ESTIMATORS[name] for name in (*WEIGHTED, "dm")}
    found = [ask(case, rng, estimators) for case in run.cases(source, 0)]
    return {f"{one.data}: {one.target}": one for one in found}


@pytest.mark.parametrize(
    ("source", "folder", "n"),
    [
        ("hillstrom", "hillstrom", 4),
        ("heartsteps", "heartsteps_v1", 3),
        ("starbucks", "starbucks_offers", 3),
        ("upworthy", "upworthy_headlines", 3),
        ("new_haven", "gerber_green_1998", 12),
    ],
)
def test_a_randomised_log_recovers_what_is_known(
    source: str, folder: str, n: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = asked(source, folder, monkeypatch)
    assert len(found) == n
    assert {name: one.verdict for name, one in found.items()} == dict.fromkeys(found, RECOVERED)


def test_each_open_bandit_policy_is_recovered_where_the_other_log_carries_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = asked("open_bandit", "open_bandit_sample", monkeypatch)
    lost = found.pop("Open Bandit, women: random")
    assert len(found) == 5
    assert {one.verdict for one in found.values()} == {RECOVERED}
    assert lost.ess == pytest.approx(2.08, abs=0.01)
    assert lost.verdict == CANNOT_TELL
    assert "effective sample size 2.1 is below 100" in lost.reason


def test_the_script_prints_every_case_and_draws_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shared_data("gerber_green_1998")
    monkeypatch.setattr(run, "DATA", ROOT)
    run.main(["--sources", "new_haven", "--figure", str(tmp_path / "known.png")])
    out = capsys.readouterr().out
    assert "| New Haven | shares → visit | 7,387 |" in out
    assert "### New Haven: shares → no mail, earlier vote" in out
    assert (tmp_path / "known.png").read_bytes()[:4] == b"\x89PNG"
