"""`nurture rounds`: a programme that learns, is released and logs the next round."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from nurture_rl.codec import read_record
from nurture_rl.report.rounds_source import RoundsRecord
from nurture_rl.workflow.judges import read_evaluated
from nurture_rl.workflow.release import RELEASED, asked_gate
from nurture_rl.workflow.rounds import round_verdict
from tests.pipeline.in_process import TINY, nurture

LEARNER = ("~policies.cql", "+policy@policies.linear_thompson=linear_thompson")
WORDS = (*TINY, *LEARNER, "rounds.count=2", "rounds.contacts=80", "world.members=1")


def open_gate(*given: Any) -> Any:
    """The gate lets the learned policy through, for no log this small could."""
    record, asked = asked_gate(*given)
    name = "linear_thompson"
    return record | {"verdict": RELEASED, "exported": name, "candidate": name}, asked


def stage(runs: Path, name: str) -> list[Path]:
    found = (runs / "stages").glob(f"{name}-*")
    return sorted(found, key=lambda path: path.stat().st_mtime)


def page(runs: Path) -> dict[str, bytes]:
    (folder,) = stage(runs, "rounds")
    return {path.name: path.read_bytes() for path in folder.glob("rounds.*")}


@pytest.mark.timeout(600)
def test_what_is_released_logs_the_next_round_and_a_killed_run_ends_in_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(round_verdict, "asked_gate", open_gate)
    done = nurture("rounds", *WORDS, f"runs={tmp_path}")
    assert done.code == 0, done.stderr[-3000:]
    (folder,) = stage(tmp_path, "rounds")
    record = read_record(folder / "rounds.json", RoundsRecord)
    first, second = record.rounds
    assert (first.programme, first.next_programme) == ("drip", "linear_thompson of round 1")
    assert second.programme == "linear_thompson of round 1"
    assert second.next_programme == "linear_thompson of round 2"
    assert [one.pooled for one in record.rounds] == [80, 160]
    assert first.level == pytest.approx(1.0 - 0.05 / 2)  # both gates hold together
    assert first.truth is not None
    assert second.truth is not None
    assert first.truth.next_programme == second.truth.programme
    cost = first.truth.exploration_cost.value
    assert cost == pytest.approx(first.truth.programme.value - first.truth.explored.value)
    evaluated = read_evaluated(stage(tmp_path, "evaluation")[0])
    compared = evaluated.simulator.policies["champion"].value, evaluated.simulator.logged
    assert compared[1] is not None
    assert compared[0] == compared[1].value  # what is beaten is what ran, with its exploration
    learned = stage(tmp_path, "policy-linear_thompson")[0].name
    last = json.loads((stage(tmp_path, "round")[-1] / "next.json").read_text("utf-8"))
    assert last["spec"]["anchor"]["policy"]["policy"] == {"kind": "model", "name": learned}
    pooled = pq.read_table(stage(tmp_path, "pooled")[-1] / "decision_table.parquet")
    chances = np.array(pooled["probabilities"].to_pylist())
    assert chances.sum(axis=1) == pytest.approx(np.ones(len(pooled)))
    whole = page(tmp_path)
    assert b"linear_thompson of round 2" in whole["rounds.html"]
    for name in ("rounds", "round", "pooled"):  # as if it had been killed before these were made
        shutil.rmtree(stage(tmp_path, name)[-1])
    again = nurture("rounds", *WORDS, f"runs={tmp_path}")
    assert again.code == 0, again.stderr[-3000:]
    assert "evaluation: unchanged" in again.stdout
    assert page(tmp_path) == whole


@pytest.mark.timeout(600)
def test_what_is_refused_takes_a_share_of_the_next_exploration(tmp_path: Path) -> None:
    share = "rounds.challenger_share=0.5"
    done = nurture("rounds", *WORDS, "rounds.contacts=40", share, f"runs={tmp_path}")
    assert done.code == 0, done.stderr[-3000:]
    (folder,) = stage(tmp_path, "rounds")
    first, second = read_record(folder / "rounds.json", RoundsRecord).rounds
    assert (first.tried, first.next_programme) == (None, second.programme)
    assert second.tried == "linear_thompson of round 1"
    assert "50% of them to linear_thompson of round 1" in done.stdout
    evaluated = read_evaluated(stage(tmp_path, "evaluation")[-1])
    compared = evaluated.simulator.policies["champion"].value, evaluated.simulator.logged
    assert compared[1] is not None
    assert compared[0] == compared[1].value  # what is beaten is what ran, with what was tried in it


@pytest.mark.timeout(600)
def test_rounds_are_planned_in_a_world_fitted_to_a_log_of_ones_own(tmp_path: Path) -> None:
    made = nurture("ingest", *TINY, "data.contacts=300", f"runs={tmp_path}")
    assert made.code == 0, made.stderr[-3000:]
    (raw,) = stage(tmp_path, "raw")
    own = ("data=folder", f"data.path={raw / 'tables'}", f"runs={tmp_path}")
    done = nurture("rounds", *WORDS, *own, "rounds.count=1")
    assert done.code == 0, done.stderr[-3000:]
    assert "a plan and no proof" in done.stdout
    (folder,) = stage(tmp_path, "rounds")
    record = read_record(folder / "rounds.json", RoundsRecord)
    assert record.world is not None
    assert record.world.trust in ("do_not_trust", "trust_for_training_with_ensemble")
    assert record.world.causes
    assert record.start["policy"] == {"kind": "drip"}  # found in the log
    assert record.start["share"] == pytest.approx(0.35, abs=0.05)
    (only,) = record.rounds
    assert only.contacts == 80
    assert only.truth is not None  # in the fitted world
    told = (folder / "rounds.md").read_text("utf-8")
    assert "How far is the fitted world to be trusted?" in told
    assert "SYNTHETIC" not in told


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("data=folder", "data.path=somewhere"), "somewhere"),
        (("release.policy=rules",), "rounds say themselves what runs"),
        (("rounds.earlier=all",), "mixture, own, none"),
        (("data.logging.kind=drip",), "mixed with what explores"),
        (("rounds.challenger_share=1",), "some exploration must be left to chance"),
    ],
)
def test_settings_that_rounds_cannot_use_are_refused_in_a_line(
    tmp_path: Path, words: tuple[str, ...], says: str
) -> None:
    done = nurture("rounds", *WORDS, f"runs={tmp_path}", *words)
    assert done.code == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr
