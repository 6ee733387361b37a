"""What goes wrong with a store, whichever database keeps it."""

from __future__ import annotations

from nurture_rl.errors import NurtureError


class StoreError(NurtureError):
    """The store cannot be opened, or it is another version's."""


class StoreUnavailable(NurtureError):
    """The database cannot be read or written now; nothing is acknowledged."""


class StoreConflict(StoreUnavailable):
    """An id or a bin has its row already; nothing of what was asked took effect."""


class StoreLost(StoreUnavailable):
    """The store's file is gone from its path: what is written now would be lost."""
