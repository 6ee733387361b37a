"""The benchmark of off-policy evaluation runs at a tiny size and compares what is comparable."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import ope
from benchmarks.ope_data import logged, write_table
from benchmarks.ope_stream import JOBS, Passed, bare, ours
from benchmarks.ope_tables import Found, Side, markdown
from benchmarks.peer_runs import Skipped

TINY = ["--rounds", "400", "--actions", "4", "--runs", "2", "--resamples", "50", "--threads", "1"]


@pytest.mark.slow
def test_a_tiny_run_prints_every_table_writes_json_and_leaves_no_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, scratch = tmp_path / "deep" / "found.json", tmp_path / "scratch"
    scratch.mkdir()
    more = ["--no-peers", "--stream", "3000", "--passes", "1"]
    ope.main(ope.arguments([*TINY, *more, "--scratch", str(scratch), "--out", str(out)]))
    printed = capsys.readouterr().out
    found = json.loads(out.read_text("utf-8"))
    assert len(found["sides"]) == 2
    assert found["passes"]["ours"][0]["rows"] == 3000
    for heading in ("| six estimators, two tuned |", "| Parquet |", "of the bare loop's rate"):
        assert heading in printed
    assert list(scratch.iterdir()) == []


def test_a_library_that_cannot_be_installed_is_skipped_with_its_reason(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(ope, "peer_json", lambda *_: Skipped("no such wheel"))
    ope.main(ope.arguments([*TINY, "--stream", "0"]))
    assert "| obp | skipped: no such wheel |" in capsys.readouterr().out


def test_values_that_differ_are_not_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    def printed(*_: object) -> tuple[dict[str, object], float]:
        return {"suite": [[1.0, 1.0]], "intervals": [[2.0, 2.0]], "values": {"ips": 0.5}}, 0.0

    monkeypatch.setattr(ope, "peer_json", printed)
    with pytest.raises(AssertionError, match=r"ips is .* here and 0\.5 there"):
        ope.main(ope.arguments([*TINY, "--stream", "0"]))


def test_the_bare_loop_reads_what_ours_reads(tmp_path: Path) -> None:
    write_table(tmp_path / "t.parquet", 5000, lambda _: None)
    assert bare(tmp_path / "t.parquet", 1) == pytest.approx(ours(tmp_path / "t.parquet", 1))


def test_a_full_disk_is_refused_before_it_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 10}))
    with pytest.raises(OSError, match="10 free"):
        write_table(tmp_path / "t.parquet", 1000, lambda _: None)
    assert not (tmp_path / "t.parquet").exists()


def test_logged_decisions_are_distributions_with_their_propensities() -> None:
    data = logged(500, 4, seed=1)
    assert data.target.sum(axis=1) == pytest.approx(1.0)
    assert ((data.propensity > 0) & (data.propensity < 1)).all()
    assert np.bincount(data.contact).max() == 4
    weight = data.target[np.arange(500), data.action] / data.propensity
    assert abs(weight.mean() - 1.0) < 4 * weight.std() / np.sqrt(500)


def test_rates_and_ratios_by_hand() -> None:
    found = Found({"size": "small"})
    found.sides["ours"] = Side([[1.0, 2.0], [3.0, 2.0]], 0.25)
    found.sides["theirs"] = Side([[20.0, 10.0]], 0.0)
    found.passes = {
        job: [Passed(6_000_000, seconds, cpu, 2**21, 0.0, 0.0, 0.0)]
        for job, seconds, cpu in zip(JOBS, (2.0, 3.0), (4.0, 5.0), strict=True)
    }
    printed = markdown(found)
    assert "| theirs | 20 (20-20) | 10 (10-10) | 0% | 10x (5x) |" in printed
    assert "| ours | 2 (1-3) | 2 (2-2) | 25% | 1x (1x) |" in printed
    assert "| ours | 2.0 | 1.2 | 2 | 0% |" in printed
    assert "67% of the bare loop's rate by the clock, 80% by" in printed
