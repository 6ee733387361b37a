"""Jobs of a verb: a refusal is one line, ends nothing else, and shows in the exit code."""

from __future__ import annotations

import io
import logging
import sys
import time
from collections.abc import Callable

import pytest
from nurture_rl.workflow.app import exit_code, job

from nurture_rl.errors import LogError
from nurture_rl.progress import PROGRESS, shown_progress


def sweep(*jobs: Callable[[], int]) -> int:
    """The exit code of a sweep over jobs that end with a code of their own."""

    def main() -> None:
        for one in jobs:
            job("ope", one, lambda code: code, refused=2)

    return exit_code(main)


def refuse() -> int:
    raise LogError("expected rows, got none")


@pytest.mark.parametrize(
    ("codes", "worst"),
    [((0, 0), 0), ((0, 3), 3), ((5, 0), 5), ((5, 3), 3), ((4, 3), 4), ((4, 2, 0), 2), ((), 0)],
)
def test_a_sweep_ends_with_the_worst_code_of_its_jobs(codes: tuple[int, ...], worst: int) -> None:
    assert sweep(*(lambda code=code: code for code in codes)) == worst


def test_a_refused_job_is_one_line_and_the_others_are_done(
    capsys: pytest.CaptureFixture[str],
) -> None:
    done: list[int] = []

    def work() -> int:
        done.append(1)
        return 0

    assert sweep(refuse, work, work) == 2
    assert done == [1, 1]
    assert capsys.readouterr().err == "ope: expected rows, got none\n"


def test_codes_of_one_sweep_do_not_reach_the_next() -> None:
    assert sweep(refuse) == 2
    assert sweep(lambda: 0) == 0


def test_a_verb_without_codes_ends_with_1_where_it_refuses() -> None:
    assert exit_code(lambda: job("train", refuse)) == 1
    assert exit_code(lambda: job("train", lambda: {"made": "much"})) == 0


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


def test_multirun_may_stand_between_two_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["ope.py", "a=1", "b=2", "--multirun", "seed=0,1"])
    seen: list[list[str]] = []
    assert exit_code(lambda: seen.append(list(sys.argv))) == 0
    assert seen == [["ope.py", "--multirun", "a=1", "b=2", "seed=0,1"]]
