"""How often Python looks for cycles of objects, which work on many contacts makes hardly any of."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

_NEW = 200_000  # objects that are made before the new ones are looked at; 700 is the default


@contextmanager
def rare_collections() -> Iterator[None]:
    """Look for cycles less often in the block, and not among what is there before it.

    A batch makes and drops millions of records, each of which would be looked at several times.
    """
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(_NEW, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
