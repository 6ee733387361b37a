"""Lines of progress."""

from __future__ import annotations

import sys


def say(told: str, line: str) -> None:
    """A line on stderr, behind what it belongs to.

    Args:
        told: such as "[1 of 10]".
        line: what is done.
    """
    print(told, line, file=sys.stderr, flush=True)
