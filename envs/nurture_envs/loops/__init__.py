"""Whole bins of many contacts as loops that numba compiles; nothing here loads without numba.

Worlds are written once, in torch. `tracing` records what a world does for one contact, `emitting`
writes that down as loops, `play` puts them between the loops of guardrails, features and restarts.
"""

from contextlib import suppress
from os import utime
from pathlib import Path


def _same_age(files: list[Path]) -> None:
    """Let the files be as old as the newest.

    numba keeps compiled loops until their own file changes, with what they call from other files
    compiled in; so that they are made anew, no file may look older than one that it calls.
    """
    newest = max(file.stat().st_mtime_ns for file in files)
    for file in files:
        if file.stat().st_mtime_ns < newest:
            with suppress(OSError):
                utime(file, ns=(newest, newest))


_COMPILED = (
    *("beginning", "deciding", "draws", "limits", "maths"),
    *("network", "past", "play", "records", "rules"),
)
_same_age([Path(__file__).with_name(f"{name}.py") for name in _COMPILED])
