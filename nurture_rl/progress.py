"""What long work is doing, on stderr: a plain line every few seconds, nothing for short work.

Whoever works says so by `PROGRESS.info(...)`, which nobody hears outside `shown_progress`.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

PROGRESS = logging.getLogger("nurture_rl.progress")
EVERY = 10.0  # seconds between two lines, and before the first


class _Latest(logging.Handler):
    """Keeps what was said last."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.text = "reading"

    def emit(self, record: logging.LogRecord) -> None:
        self.text = record.getMessage()


@contextmanager
def shown_progress(verb: str, every: float = EVERY, out: TextIO | None = None) -> Iterator[None]:
    """Write what is being done, and for how long already, while the block works.

    Args:
        verb: what each line begins with.
        every: seconds between two lines.
        out: where to; None: stderr.
    """
    latest, done, began = _Latest(), threading.Event(), time.monotonic()

    def tell() -> None:
        while not done.wait(every):
            seconds = time.monotonic() - began
            print(f"{verb}: {seconds:.0f} s, {latest.text}", file=out or sys.stderr, flush=True)

    level, upward = PROGRESS.level, PROGRESS.propagate
    PROGRESS.addHandler(latest)
    PROGRESS.setLevel(logging.INFO)
    PROGRESS.propagate = False  # Hydra's handlers would write every step
    teller = threading.Thread(target=tell, name="progress", daemon=True)
    teller.start()
    try:
        yield
    finally:
        done.set()
        teller.join()
        PROGRESS.removeHandler(latest)
        PROGRESS.setLevel(level)
        PROGRESS.propagate = upward
