"""The pass of the streaming engine: on threads, killed, resumed, and never for another run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nurture_rl.appraisal.record import Appraisal
from nurture_rl.errors import LogError
from nurture_rl.workflow import ope_pass
from nurture_rl.workflow.ope_log import OpenedLog
from nurture_rl.workflow.ope_pass import pass_file
from nurture_rl.workflow.ope_sample import sampled_log
from tests.pipeline.stream_logs import ROOT, differing, judged, rows, run_of, settings


def test_a_killed_pass_goes_on_where_it_was(tmp_path: Path) -> None:
    given = settings(tmp_path, rows(60_000), "stream.engine=streaming", "stream.sample_rows=2000")
    given.append("stream.batch_rows=1000")
    whole, _ = judged(given)
    script = "import sys; from tests.pipeline.test_ope_pass import slowly; slowly(sys.argv[1:])"
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'envs'}"}
    child = subprocess.Popen([sys.executable, "-c", script, *given], cwd=ROOT, env=environment)
    kept = tmp_path / "runs" / "ope" / "streams"
    deadline = time.monotonic() + 300.0
    while not list(kept.glob("*.npz")) and child.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    child.send_signal(signal.SIGKILL)
    child.wait()
    (file,) = kept.glob("*.npz")
    with np.load(file) as stored:
        done = json.loads(stored["head"].tobytes())["groups"]
    assert 0 < done < 60
    read: list[int] = []
    resumed, _ = judged_with(given, read)
    assert len(read) == 60 - done
    assert resumed.facts["fingerprint"] == whole.facts["fingerprint"]
    assert not list(kept.glob("*.npz"))


def slowly(overrides: list[str]) -> None:
    """A run that takes its time between row groups, to be killed."""
    group = ope_pass._group

    def late(*given: Any) -> Any:
        time.sleep(0.2)
        return group(*given)

    pytest.MonkeyPatch().setattr(ope_pass, "_group", late)
    judged(overrides)


def judged_with(overrides: list[str], read: list[int]) -> tuple[OpenedLog, Appraisal]:
    """The same run, with the row groups it reads."""
    group = ope_pass._group

    def noted(*given: Any) -> Any:
        read.extend(given[-1].numbers)
        return group(*given)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ope_pass, "_group", noted)
        return judged(overrides)


def test_threads_and_the_size_of_batches_change_nothing(tmp_path: Path) -> None:
    given = settings(tmp_path, rows(), "stream.engine=streaming", "stream.sample_rows=2000")
    given.append("stream.batch_rows=1000")
    alone, first = judged([*given, "threads=1"])
    beside, second = judged([*given, "threads=3"])
    assert beside.facts["fingerprint"] == alone.facts["fingerprint"]
    assert second.to_dict() == first.to_dict()
    _, third = judged([*given[:-1], "stream.batch_rows=300"])
    assert differing(first, third) == []


@pytest.mark.parametrize(
    "other",
    ["targets.new.columns=[t0,t2,t1]", "data.max_refused=0.2", "stream.batch_rows=300", "seed=9"],
)
def test_progress_of_other_settings_is_another_file(tmp_path: Path, other: str) -> None:
    given = settings(tmp_path, rows(), "stream.engine=streaming", "stream.sample_rows=2000")
    own = kept_in(given)
    assert kept_in(given) == own
    assert kept_in([*given, other]) != own


def test_progress_of_another_table_is_another_file(tmp_path: Path) -> None:
    given = settings(tmp_path, rows(), "stream.engine=streaming", "stream.sample_rows=2000")
    own = kept_in(given)
    settings(tmp_path, rows(seed=1))
    assert kept_in(given) != own


def kept_in(overrides: list[str]) -> Path:
    """Where a run keeps its progress."""
    run = run_of(overrides)
    return pass_file(sampled_log(run), run)


def test_progress_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    given = settings(tmp_path, rows(), "stream.engine=streaming", "stream.sample_rows=2000")
    file = kept_in(given)
    file.parent.mkdir(parents=True)
    file.write_bytes(b"nothing of ours")
    with pytest.raises(LogError, match=r"expected the progress of an interrupted pass"):
        judged(given)
