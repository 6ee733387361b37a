"""How a verb begins and ends: progress, one line for what it refuses, one exit code for a sweep."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from nurture_rl.errors import NurtureError
from nurture_rl.progress import shown_progress

FAILED = 1  # what a verb without codes of its own ends with where it refuses
WORST_FIRST = (1, 2, 4, 3, 5, 0)  # no answer at all before every verdict, "better" last
_CODES = "NURTURE_EXIT_CODES"  # environment: the file that the jobs of a sweep write to

Made = TypeVar("Made")


def job(
    verb: str,
    work: Callable[[], Made],
    code: Callable[[Made], int] = lambda made: 0,
    refused: int = FAILED,
) -> None:
    """Do one job of a verb; what it refuses is one line on stderr and ends no other job.

    Args:
        verb: what the lines on stderr begin with.
        work: the job.
        code: the exit code of what it made.
        refused: the exit code of a refusal.
    """
    try:
        with shown_progress(verb):
            found = code(work())
    except (NurtureError, OSError) as error:
        print(f"{verb}: {error}", file=sys.stderr, flush=True)
        found = refused
    # A launcher may have put the job into a process of its own: a file is what all of them share.
    with Path(os.environ[_CODES]).open("a", encoding="ascii") as file:
        file.write(f"{found}\n")


def exit_code(main: Callable[[], object]) -> int:
    """Run Hydra's entry point, with one job or many, and find the worst of their exit codes.

    `--multirun` may stand anywhere; Hydra itself refuses it between two settings.

    Raises:
        SystemExit: Hydra ends the program itself, for settings it cannot compose.
    """
    with tempfile.TemporaryDirectory() as folder:
        codes = Path(folder) / "codes"
        codes.touch()
        os.environ[_CODES] = str(codes)
        sys.argv[1:] = _sweep_first(sys.argv[1:])
        main()
        found = {int(line) for line in codes.read_text("ascii").split()}
    strange = sorted(found - set(WORST_FIRST))
    return next((one for one in (*strange, *WORST_FIRST) if one in found), 0)


def _sweep_first(words: list[str]) -> list[str]:
    """A command line with `--multirun` at its head."""
    return sorted(words, key=lambda word: word not in ("--multirun", "-m"))
