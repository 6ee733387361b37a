"""The benchmark of off-policy evaluation runs at a tiny size and compares what is comparable."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import ope
from benchmarks.ope_data import logged
from benchmarks.ope_tables import Found, Side, markdown
from benchmarks.peer_runs import Skipped

TINY = ["--rounds", "400", "--actions", "4", "--runs", "2", "--resamples", "50"]


def test_a_tiny_run_prints_its_table_and_writes_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "deep" / "found.json"
    ope.main(ope.arguments([*TINY, "--no-peers", "--out", str(out)]))
    found = json.loads(out.read_text("utf-8"))
    assert list(found["sides"]) == ["ours, values, clustered errors and tuning"]
    assert len(found["sides"]["ours, values, clustered errors and tuning"]["runs"]) == 2
    assert "| six estimators, two tuned |" in capsys.readouterr().out


def test_a_library_that_cannot_be_installed_is_skipped_with_its_reason(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(ope, "peer_json", lambda *_: Skipped("no such wheel"))
    ope.main(ope.arguments(TINY))
    assert "| obp | skipped: no such wheel |" in capsys.readouterr().out


def test_values_that_differ_are_not_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    def printed(*_: object) -> tuple[dict[str, object], float]:
        return {"suite": [[1.0, 1.0]], "intervals": [[2.0, 2.0]], "values": {"ips": 0.5}}, 0.0

    monkeypatch.setattr(ope, "peer_json", printed)
    with pytest.raises(AssertionError, match=r"ips is .* here and 0\.5 there"):
        ope.main(ope.arguments(TINY))


def test_logged_decisions_are_distributions_with_their_propensities() -> None:
    data = logged(500, 4, seed=1)
    assert data.target.sum(axis=1) == pytest.approx(1.0)
    assert ((data.propensity > 0) & (data.propensity < 1)).all()
    assert np.bincount(data.contact).max() == 4
    weight = data.target[np.arange(500), data.action] / data.propensity
    assert abs(weight.mean() - 1.0) < 4 * weight.std() / np.sqrt(500)


def test_values_defined_alike_are_compared_and_no_arrays_are_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def printed(*asked: object) -> tuple[dict[str, object], float]:
        """The formulas once more, on the arrays that the other library is handed."""
        paths = asked[2]
        assert isinstance(paths, tuple)
        with np.load(paths[0]) as given:
            rows = np.arange(given["action"].size)
            target, q, reward = given["target"], given["q"], given["reward"]
            weight = target[rows, given["action"]] / given["propensity"]
            modelled = (target * q).sum(axis=1)
            correction = weight * (reward - q[rows, given["action"]])
            found = {
                "ips": (weight * reward).mean(),
                "snips": (weight @ reward) / weight.sum(),
                "dm": modelled.mean(),
                "dr": (modelled + correction).mean(),
                "switch_dr": [
                    (modelled + correction * (weight <= tau)).mean() for tau in given["taus"]
                ],
                "dros": [
                    (modelled + correction / (1.0 + weight**2 / lam)).mean()
                    for lam in given["lams"]
                ],
            }
        return {"suite": [[1.0, 1.0]], "intervals": [[2.0, 2.0]], "values": found}, 0.0

    monkeypatch.setattr(ope, "peer_json", printed)
    ope.main(ope.arguments([*TINY, "--scratch", str(tmp_path)]))
    assert "Values that are defined alike differ by at most" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


def test_ratios_by_hand() -> None:
    found = Found({"size": "small"})
    found.sides["ours"] = Side([[1.0, 2.0], [3.0, 2.0]], 0.25)
    found.sides["theirs"] = Side([[20.0, 10.0]], 0.0)
    printed = markdown(found)
    assert "| theirs | 20 (20-20) | 10 (10-10) | 0% | 10x (5x) |" in printed
    assert "| ours | 2 (1-3) | 2 (2-2) | 25% | 1x (1x) |" in printed
