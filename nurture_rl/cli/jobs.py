"""How a job begins and ends: progress, one line for what it refuses, one exit code for a sweep."""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, redirect_stdout
from pathlib import Path
from typing import Any

from nurture_envs.errors import NurtureError
from nurture_rl.cli.verb_record import DONE, FAILED, REFUSED
from nurture_rl.progress import shown_progress
from nurture_rl.verb_result import VerbResult

WORST_FIRST = (FAILED, REFUSED, 4, 3, 5, DONE)  # no answer before every answer, the best last
_ENDINGS = "NURTURE_ENDINGS"  # environment: the file that jobs note their endings in
_JSON = "NURTURE_JSON"  # environment: set where stdout is for JSON alone


def job(verb: str, work: Callable[[], VerbResult], progress: bool = True) -> VerbResult:
    """Do one job of a verb and note how it ended; see `done`."""
    result = done(verb, work, progress)
    note_ending(verb, result.code, result.made)
    return result


def done(verb: str, work: Callable[[], VerbResult], progress: bool = True) -> VerbResult:
    """Do one job of a verb; what it refuses is one line on stderr and ends no other job.

    Args:
        verb: what the lines on stderr begin with.
        work: the job.
        progress: say every few seconds what is being done.
    """
    quiet = redirect_stdout(sys.stderr) if _JSON in os.environ else nullcontext()
    try:
        with quiet, shown_progress(verb) if progress else nullcontext():
            return work()
    except (NurtureError, OSError) as error:
        print(f"{verb}: {error}", file=sys.stderr, flush=True)
        return VerbResult({"refused": str(error)}, REFUSED)


def note_ending(verb: str, code: int, made: Mapping[str, Any]) -> None:
    """Note how a job ended, for `exit_code`, which runs it."""
    ending = {"verb": verb, "exit_code": code, **made}
    with Path(os.environ[_ENDINGS]).open("a", encoding="utf-8") as file:
        file.write(json.dumps(ending, default=str) + "\n")


def exit_code(main: Callable[[], object], as_json: bool = False) -> int:
    """Run what runs jobs, one or many, and find the worst of their exit codes.

    Args:
        main: runs them, here or in other processes.
        as_json: keep stdout for one line of JSON per job, which says what it made.
    """
    with _asked_to_end_in_order(), tempfile.TemporaryDirectory() as folder:
        endings = Path(folder) / "endings"
        endings.touch()
        os.environ[_ENDINGS] = str(endings)
        if as_json:
            os.environ[_JSON] = "1"
        try:
            with redirect_stdout(sys.stderr) if as_json else nullcontext():
                main()
        finally:
            os.environ.pop(_JSON, None)
        lines = endings.read_text("utf-8").splitlines()
    if as_json:
        print(*lines, sep="\n", flush=True)
    codes = {int(json.loads(line)["exit_code"]) for line in lines}
    strange = sorted(codes - set(WORST_FIRST))
    return next((one for one in (*strange, *WORST_FIRST) if one in codes), DONE)


@contextmanager
def _asked_to_end_in_order() -> Iterator[None]:
    """End by an exception when the system asks this process to, so that no partial file stays."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
