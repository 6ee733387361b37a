"""One lock per name, so that work on a contact or an account never overlaps."""

from __future__ import annotations

import threading
import zlib
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager

from nurture_rl.serving.names import contact_key

_STRIPES = 64


class Locks:
    """Locks by name; some names share one."""

    def __init__(self) -> None:
        self._locks = [threading.Lock() for _ in range(_STRIPES)]

    @contextmanager
    def held(self, names: Iterable[str]) -> Iterator[None]:
        """Hold the locks of all these names, always taken in one order to avoid a deadlock."""
        keys = {contact_key(name) for name in names}
        stripes = sorted({zlib.crc32(key.encode()) % _STRIPES for key in keys})
        with ExitStack() as stack:
            for stripe in stripes:
                stack.enter_context(self._locks[stripe])
            yield
