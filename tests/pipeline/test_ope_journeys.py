"""Journeys in blocks of contacts: the numbers of the engine in memory, whatever the blocks."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from nurture_rl.appraisal.record import Appraisal
from nurture_rl.errors import LogError
from nurture_rl.ope.streaming import contact_blocks
from nurture_rl.workflow.ope_blocks import keep_block
from nurture_rl.workflow.ope_log import OpenedLog
from nurture_rl.workflow.ope_sample import streams
from tests.checks import finding_of
from tests.pipeline.stream_logs import (
    ROOT,
    differing,
    differing_estimates,
    journey_rows,
    journey_settings,
    judged,
    rows,
    run_of,
    settings,
)

KEEP = "nurture_rl.workflow.ope_journeys.keep_block"
LOGGED = "data.columns.logged_probabilities=[l0,l1,l2]"


@pytest.mark.parametrize(
    ("made", "overrides"),
    [
        pytest.param({}, (), id="several bins"),
        pytest.param({}, (LOGGED,), id="whole distributions"),
        pytest.param({"paying": 0.004}, (), id="rare outcomes"),
        pytest.param({"bins": 1}, (), id="one bin"),
        pytest.param({"steep": 1.5, "bins": 9}, (), id="large weights"),
        pytest.param({}, ("ask.reference=even", "ask.rules=new"), id="policies against each other"),
    ],
)
def test_blocks_say_what_the_engine_in_memory_says_to_nine_digits(
    tmp_path: Path, made: dict[str, Any], overrides: tuple[str, ...]
) -> None:
    given = journey_settings(tmp_path, journey_rows(**made), *overrides)
    memory = judged([*given, "stream.engine=memory"])[1]
    small = ("stream.batch_rows=300", "stream.sample_rows=600")
    blocks = judged([*given, "stream.engine=streaming", *small])[1]
    assert differing_estimates(memory, blocks) == []
    assert blocks.verdict is memory.verdict
    whole = judged([*given, "stream.engine=streaming"])[1]
    assert differing(memory, whole, ("drl",)) == []


def test_contacts_too_many_to_be_kept_apart_are_grouped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nurture_rl.workflow.ope_journeys.KEPT_APART", 2 * 100)
    given = journey_settings(tmp_path, journey_rows())
    memory = judged([*given, "stream.engine=memory", "data.columns.contact=who"])[1]
    asked = [*given, "stream.engine=streaming", "stream.batch_rows=300"]
    opened, blocks = judged(asked)
    assert differing_estimates(memory, blocks) == []
    assert "by 64 groups of contacts rest on" in opened.facts["notes"][0]
    assert "621 episodes and 400 contacts" in opened.facts["notes"][0]


def test_the_report_says_what_rests_on_what(tmp_path: Path) -> None:
    given = journey_settings(tmp_path, journey_rows(), "stream.engine=streaming")
    opened, found = judged([*given, "stream.batch_rows=300", "stream.sample_rows=600"])
    line = opened.facts["notes"][0]
    assert line.startswith("engine: streaming, 2,492 rows in 16 blocks of whole contacts;")
    assert "errors by contact rest on all 2,492 decisions of 621 episodes and 400 contacts" in line
    balance = finding_of(found.checks, "balance")
    assert balance is not None
    assert "of 2,492 decisions" in balance.sentence
    assert "in memory" in found.evaluation.policies["new"].refusals["magic"]


def test_size_chooses_blocks_for_journeys(tmp_path: Path) -> None:
    given = journey_settings(tmp_path, journey_rows())
    assert not streams(run_of(given))
    assert streams(run_of([*given, "stream.rows=1000"]))


def test_bad_rows_and_copies_are_set_aside_with_the_same_reasons(tmp_path: Path) -> None:
    columns = journey_rows()
    columns["p"][[100, 1100]] = np.nan
    columns["t0"][700] += 0.2
    columns = {name: np.append(values, values[40]) for name, values in columns.items()}
    given = journey_settings(tmp_path, columns)
    memory, first = judged([*given, "stream.engine=memory"])
    blocks, second = judged([*given, "stream.engine=streaming", "stream.batch_rows=300"])
    assert memory.facts["refused"] > 4
    assert blocks.refused == memory.refused
    assert blocks.facts["reasons"] == memory.facts["reasons"]
    assert differing_estimates(first, second) == []


def test_single_decisions_by_contact_are_told_exactly(tmp_path: Path) -> None:
    columns = rows(3000)
    columns["number"] += 10_000
    columns["id"] += 10_000
    columns = {name: np.append(values, values[:7]) for name, values in columns.items()}
    given = settings(tmp_path, columns, "data.columns.decision=id", "stream.batch_rows=500")
    memory, first = judged([*given, "stream.engine=memory"])
    asked = [*given, "stream.engine=streaming", "stream.sample_rows=1000"]
    blocks, second = judged([*asked, "stream.errors=contacts"])
    assert differing_estimates(first, second) == []
    assert blocks.refused == memory.refused
    assert [row.reason.split(":")[0] for row in blocks.refused] == ["duplicate"] * 7
    _, grouped = judged(asked)
    by_contact = second.evaluation.policies["new"].estimates["ips"].estimate
    by_group = grouped.evaluation.policies["new"].estimates["ips"].estimate
    assert by_contact.n_clusters == np.unique(columns["number"]).size
    assert by_contact.stderr != by_group.stderr


@pytest.mark.parametrize("at_a_time", [1 << 24, 100])
def test_a_decision_id_of_two_contacts_is_refused(
    tmp_path: Path, at_a_time: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contact_blocks, "IDS_AT_A_TIME", at_a_time)
    columns = rows(1000)
    columns["id"][:2] = columns["id"][600:602]
    given = settings(tmp_path, columns, "data.columns.decision=id", "stream.batch_rows=100")
    with pytest.raises(LogError, match=r"2 episodes have decisions of several contacts"):
        judged([*given, "stream.engine=streaming", "stream.errors=contacts"])


def test_an_episode_of_two_contacts_is_refused(tmp_path: Path) -> None:
    columns = journey_rows()
    columns["number"][7] = 5000
    given = journey_settings(tmp_path, columns, "stream.engine=streaming", "stream.batch_rows=300")
    with pytest.raises(LogError, match=r"1 episode has decisions of several contacts"):
        judged(given)


def test_weights_beyond_all_numbers_are_no_overlap(tmp_path: Path) -> None:
    columns = journey_rows(bins=12)
    columns["p"] = np.full_like(columns["p"], 1e-40)
    given = journey_settings(tmp_path, columns)
    memory = judged([*given, "stream.engine=memory"])[1]
    blocks = judged([*given, "stream.engine=streaming", "stream.batch_rows=300"])[1]
    own = memory.evaluation.policies["new"].estimates["dm"].estimate
    same = blocks.evaluation.policies["new"].estimates["dm"].estimate
    assert same.value == pytest.approx(own.value, rel=1e-9)
    assert same.stderr == pytest.approx(own.stderr, rel=1e-9)
    for found in (memory, blocks):
        policy = found.evaluation.policies["new"]
        assert not policy.estimates.keys() & {"ips", "snips", "dr", "wdr", "dros"}
        assert "exceed floating point" in policy.refusals["dr"]
        assert policy.overlap.ess == 0.0


def test_a_killed_run_goes_on_where_it_was(tmp_path: Path) -> None:
    given = journey_settings(tmp_path, journey_rows(4000), "stream.engine=streaming")
    given += ["stream.batch_rows=1000", "stream.sample_rows=2000"]
    whole, expected = judged(given)
    script = "import sys; from tests.pipeline.test_ope_journeys import slowly; slowly(sys.argv[1:])"
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'envs'}"}
    child = subprocess.Popen([sys.executable, "-c", script, *given], cwd=ROOT, env=environment)
    kept = tmp_path / "runs" / "ope" / "streams"
    deadline = time.monotonic() + 300.0
    while len(list(kept.glob("*/block-*.npz"))) < 3 and time.monotonic() < deadline:
        time.sleep(0.05)
    child.send_signal(signal.SIGKILL)
    child.wait()
    done = {file.name for file in kept.glob("*/block-*.npz")}
    assert 3 <= len(done) < 32
    read: list[int] = []
    resumed, found = judged_with(given, read)
    assert not {f"block-{number:06d}.npz" for number in read} & done
    assert len(read) == 32 - len(done)
    assert resumed.facts["fingerprint"] == whole.facts["fingerprint"]
    assert found.to_dict() == expected.to_dict()
    assert not list(kept.iterdir())


def slowly(overrides: list[str]) -> None:
    """A run that takes its time between blocks, to be killed."""

    def late(*given: Any) -> Any:
        time.sleep(0.3)
        return keep_block(*given)

    pytest.MonkeyPatch().setattr(KEEP, late)
    judged(overrides)


def judged_with(overrides: list[str], made: list[int]) -> tuple[OpenedLog, Appraisal]:
    """The same run, with the numbers of the blocks it makes."""

    def noted(path: Path, *given: Any) -> Any:
        made.append(int(path.stem.removeprefix("block-")))
        return keep_block(path, *given)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(KEEP, noted)
        return judged(overrides)


def test_threads_change_nothing(tmp_path: Path) -> None:
    given = journey_settings(tmp_path, journey_rows(), "stream.engine=streaming")
    given.append("stream.batch_rows=300")
    first, second = (judged([*given, f"threads={n}"])[1] for n in (1, 3))
    assert second.to_dict() == first.to_dict()


def test_a_full_disk_is_named_before_work_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = journey_settings(tmp_path, journey_rows(), "stream.engine=streaming")
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=1000))
    with pytest.raises(LogError, match=r"GiB of room"):
        judged(given)
