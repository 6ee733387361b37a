"""Whoever does the work, its result, its lines and its errors are the same."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch

from nurture_rl.errors import FitError, NurtureError
from nurture_rl.progress import PROGRESS
from nurture_rl.workflow.side_by_side import Begun, Crew, workers_of
from tests.unit.workflow import side_work

pytestmark = pytest.mark.slow  # a helper imports what stages need

LINES: list[str] = []


@pytest.fixture(scope="module")
def pair() -> Iterator[Crew]:
    """The caller and one helper, which is there."""
    with Crew(2, LINES.append) as crew:
        there(crew.begin("first", side_work.squared, 1))
        yield crew


def there(begun: Begun[Any]) -> None:
    """Wait for a helper, and do nothing meanwhile."""
    begun._outcome.exception(timeout=120)


def test_both_take_what_is_begun_and_every_result_is_its_own(pair: Crew) -> None:
    begun = [pair.begin("square", side_work.squared, number) for number in range(40)]
    found = [one.result() for one in begun]
    assert [square for square, _ in found] == [number**2 for number in range(40)]
    assert os.getpid() in {who for _, who in found}
    assert len({who for _, who in found}) == 2


def test_alone_nothing_is_done_before_it_is_asked_for() -> None:
    said: list[str] = []
    with Crew(1, said.append) as crew:
        begun = crew.begin("stage", side_work.telling, crew.say)
        assert said == []
        begun.result()
    assert said == ["stage: working", "  iteration 10: value 3.5", "stage: done in 1 s"]


def test_lines_of_a_helper_come_in_order_with_the_name_of_their_work(pair: Crew) -> None:
    heard: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: heard.append(record.getMessage())  # type: ignore[method-assign]
    LINES.clear()
    PROGRESS.addHandler(handler)
    PROGRESS.setLevel(logging.INFO)
    try:
        there(pair.begin("policy-ppo", side_work.telling, pair.say))
    finally:
        PROGRESS.removeHandler(handler)
        PROGRESS.setLevel(logging.NOTSET)
    assert LINES == ["stage: working", "  policy-ppo: iteration 10: value 3.5",
                     "stage: done in 1 s"]  # fmt: skip
    assert heard == ["half done"]


def test_an_error_is_the_same_wherever_it_comes_from(pair: Crew) -> None:
    begun = pair.begin("fit", side_work.refusing, "too few contacts, got 3; log more")
    there(begun)
    with pytest.raises(FitError) as caught:
        begun.result()
    assert str(caught.value) == "too few contacts, got 3; log more"
    assert "side_work.py" in caught.value.__notes__[0]
    begun = pair.begin("fit", side_work.refusing_a_journey)
    there(begun)
    with pytest.raises(NurtureError, match="journey mine: 1 problem"):
        begun.result()
    begun = pair.begin("fit", side_work.breaking)
    there(begun)
    with pytest.raises(ZeroDivisionError, match="by nought"):
        begun.result()


def test_a_helper_gets_copies_and_no_memory_is_shared(pair: Crew) -> None:
    given = torch.zeros(3)
    begun = pair.begin("raise", side_work.raised, given)
    there(begun)
    assert begun.result().tolist() == [1.0, 1.0, 1.0]
    assert given.tolist() == [0.0, 0.0, 0.0]
    assert not given.is_shared()  # type: ignore[no-untyped-call]  # each shared tensor would hold a file open


def test_a_killed_helper_is_an_error_and_so_is_all_that_it_would_have_done() -> None:
    with Crew(2) as crew:
        for _ in range(2):
            begun = crew.begin("gap", side_work.killed)
            there(begun)
            with pytest.raises(ChildProcessError, match=r"^gap: .* code -9; .* workers=1$"):
                begun.result()


def test_helpers_are_gone_after_an_error_of_the_caller(tmp_path: Path) -> None:
    with suppress(FitError), Crew(2) as crew:
        crew.begin("forever", side_work.unfinished, str(tmp_path / "made"))
        pid = int(when_there(tmp_path).read_text("utf-8"))
        raise FitError("of the caller")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def when_there(folder: Path) -> Path:
    """The file that unfinished work begins with."""
    while True:
        found = [path for path in folder.glob("*/begun") if path.read_text("utf-8")]
        if found:
            return found[0]
        time.sleep(0.05)


def test_an_interrupt_from_the_keyboard_stops_all_and_leaves_nothing(tmp_path: Path) -> None:
    code = "import sys; from tests.unit.workflow import side_work as s; s.interrupted(sys.argv[1])"
    program = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "x")],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        start_new_session=True, text=True,
    )  # fmt: skip
    pid = int(when_there(tmp_path).read_text("utf-8"))
    assert program.stdout is not None
    assert program.stdout.readline() == "working\n"
    os.killpg(program.pid, signal.SIGINT)  # as a terminal does: to all of them
    _, told = program.communicate(timeout=60)
    assert told.count("KeyboardInterrupt") == 1
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_as_many_work_as_there_are_cores_but_few(monkeypatch: pytest.MonkeyPatch) -> None:
    for cores, workers in ((1, 1), (3, 3), (64, 4)):
        used = set(range(cores))
        monkeypatch.setattr(os, "sched_getaffinity", lambda _, used=used: used)
        assert workers_of(None) == workers
    assert workers_of(9) == 9
