"""Jobs of a verb: a refusal is one line, ends nothing else, and shows in the exit code."""

from __future__ import annotations

import io
import json
import logging
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from nurture_rl.cli.jobs import exit_code, job
from nurture_rl.errors import LogError
from nurture_rl.logs.atomic import atomic_file
from nurture_rl.progress import PROGRESS, shown_progress
from nurture_rl.verb_result import VerbResult


def ends(code: int) -> Callable[[], VerbResult]:
    """A job that ends with a code."""
    return lambda: VerbResult({"seed": 7}, code)


def sweep(*jobs: Callable[[], VerbResult], as_json: bool = False) -> int:
    """The exit code of a sweep over jobs that end with a code of their own."""

    def main() -> None:
        for one in jobs:
            job("ope", one)

    return exit_code(main, as_json)


def refuse() -> VerbResult:
    raise LogError("expected rows, got none")


@pytest.mark.parametrize(
    ("codes", "worst"),
    [((0, 0), 0), ((0, 3), 3), ((5, 0), 5), ((5, 3), 3), ((4, 3), 4), ((4, 2, 0), 2), ((), 0)],
)
def test_a_sweep_ends_with_the_worst_code_of_its_jobs(codes: tuple[int, ...], worst: int) -> None:
    assert sweep(*map(ends, codes)) == worst


def test_a_refused_job_is_one_line_and_the_others_are_done(
    capsys: pytest.CaptureFixture[str],
) -> None:
    done: list[int] = []

    def work() -> VerbResult:
        done.append(1)
        return VerbResult()

    assert sweep(refuse, work, work) == 2
    assert done == [1, 1]
    assert capsys.readouterr().err == "ope: expected rows, got none\n"


def test_codes_of_one_sweep_do_not_reach_the_next() -> None:
    assert sweep(refuse) == 2
    assert sweep(ends(0)) == 0


def test_json_is_alone_on_stdout_a_line_for_each_job(capsys: pytest.CaptureFixture[str]) -> None:
    def chatty() -> VerbResult:
        print("working")
        return VerbResult({"report": Path("a") / "b"})

    assert sweep(chatty, ends(4), refuse, as_json=True) == 2
    told = capsys.readouterr()
    assert [json.loads(line) for line in told.out.splitlines()] == [
        {"verb": "ope", "exit_code": 0, "report": "a/b"},
        {"verb": "ope", "exit_code": 4, "seed": 7},
        {"verb": "ope", "exit_code": 2, "refused": "expected rows, got none"},
    ]
    assert "working" in told.err
    assert sweep(chatty) == 0  # and nothing of it reaches the next
    assert capsys.readouterr().out == "working\n"


def test_long_work_says_what_it_does_in_plain_lines() -> None:
    out = io.StringIO()
    with shown_progress("ope", every=0.02, out=out):
        PROGRESS.info("policy %r", "new")
        time.sleep(0.2)
    lines = out.getvalue().splitlines()
    assert lines[0].startswith("ope: 0 s, ")
    assert lines[-1] == "ope: 0 s, policy 'new'"
    assert 2 <= len(lines) <= 10


def test_short_work_says_nothing_and_leaves_no_listener() -> None:
    out, before = io.StringIO(), list(PROGRESS.handlers)
    with shown_progress("ope", every=5.0, out=out):
        PROGRESS.info("quick")
    assert out.getvalue() == ""
    assert PROGRESS.handlers == before
    assert PROGRESS.propagate
    assert PROGRESS.level == logging.NOTSET


def test_a_job_that_the_system_ends_leaves_no_partial_file(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)

    def work() -> VerbResult:
        with atomic_file(tmp_path / "features.parquet"):
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(10.0)
        return VerbResult()

    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # where nothing is done, these tests go on
    try:
        with pytest.raises(SystemExit) as ended:
            sweep(work)
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, before)
    assert ended.value.code == 128 + signal.SIGTERM
    assert list(tmp_path.iterdir()) == []
