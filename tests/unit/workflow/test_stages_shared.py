"""Two runs in one folder at a time: one works, the other waits and uses the result."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nurture_rl.logs.alone import alone
from nurture_rl.workflow.stages import Workshop

WORKER = """
import sys, time
from functools import partial
from pathlib import Path
from nurture_rl.workflow.stages import Workshop

root, who = Path(sys.argv[1]), sys.argv[2]

def build(out):
    with (root / "built").open("a") as file:
        file.write(who + "\\n")
    (out / "half.txt").write_text(who)
    while not (root / "go").exists():
        time.sleep(0.01)
    (out / "result.txt").write_text(who)

print(Workshop(root, partial(print, flush=True)).stage("sum", {"a": 1}, build).name)
"""
WAITING = "sum: another process works on it, waiting for it\n"
DEADLINE = 60.0  # seconds

Process = subprocess.Popen[str]
Worker = Callable[[str], Process]


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Worker]:
    """Starts processes that are at the stage until there is a file `go`."""
    running: list[Process] = []

    def start(who: str) -> Process:
        command = [sys.executable, "-c", WORKER, str(tmp_path), who]
        pipe = subprocess.PIPE
        running.append(subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True))
        return running[-1]

    yield start
    for process in running:
        process.kill()
        process.communicate()


def first_line(process: Process) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def lines(process: Process) -> list[str]:
    printed, errors = process.communicate(timeout=DEADLINE)
    assert process.returncode == 0, errors
    return printed.splitlines()


def in_the_middle(process: Process, root: Path) -> Process:
    """Wait until the process has begun to work."""
    end = time.monotonic() + DEADLINE
    while not (root / "built").is_file():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.01)
    return process


def stages(root: Path) -> list[str]:
    return [path.name for path in (root / "stages").iterdir() if path.suffix != ".lock"]


def test_the_second_process_waits_says_so_once_and_uses_the_result(
    tmp_path: Path, worker: Worker
) -> None:
    first = in_the_middle(worker("first"), tmp_path)
    second = worker("second")
    assert first_line(second) == WAITING
    (tmp_path / "go").touch()
    name = lines(first)[-1]
    assert lines(second) == [f"sum: unchanged, using {name}", name]
    assert (tmp_path / "built").read_text() == "first\n"
    assert (tmp_path / "stages" / name / "result.txt").read_text() == "first"
    assert stages(tmp_path) == [name]


def test_the_work_of_a_killed_process_is_taken_over_and_its_leavings_removed(
    tmp_path: Path, worker: Worker
) -> None:
    first = in_the_middle(worker("first"), tmp_path)
    second = worker("second")
    assert first_line(second) == WAITING
    first.kill()
    (tmp_path / "go").touch()
    said = lines(second)
    assert said[0] == "sum: working"
    assert (tmp_path / "stages" / said[-1] / "result.txt").read_text() == "second"
    assert stages(tmp_path) == [said[-1]]


def test_work_that_failed_leaves_the_lock_free(tmp_path: Path) -> None:
    shop = Workshop(tmp_path, lambda line: None)

    def fails(out: Path) -> None:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        shop.stage("sum", {"a": 1}, fails)
    assert shop.stage("sum", {"a": 1}, lambda out: None).is_dir()


def test_a_lock_that_is_no_file_is_told_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "a.lock").mkdir()
    refusal = pytest.raises(OSError, match=r"expected a lock file at .*a\.lock")
    with refusal, alone(tmp_path / "a.lock"):
        pass
