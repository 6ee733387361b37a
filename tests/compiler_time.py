"""How long numba has compiled in this process; importing it imports numba."""

from __future__ import annotations

import time

from numba.core import event


class CompilerTime(event.Listener):
    """Processor seconds from the outermost function's begin to its end; callees lie in between."""

    def __init__(self) -> None:
        self.seconds, self._began, self._depth = 0.0, 0.0, 0
        event.register("numba:compile", self)  # type: ignore[no-untyped-call]

    def on_start(self, event: event.Event) -> None:
        """A function begins to be compiled."""
        self._began = self._began if self._depth else time.process_time()
        self._depth += 1

    def on_end(self, event: event.Event) -> None:
        """It is compiled."""
        self._depth -= 1
        self.seconds += 0.0 if self._depth else time.process_time() - self._began
