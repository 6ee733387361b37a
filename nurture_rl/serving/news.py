"""Contacts of whom something arrived that may forbid mail, told to whoever answers meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager

from nurture_rl.serving.names import EVERYBODY, contact_key


class News:
    """Tells every request that is being answered. Any thread may tell and ask."""

    def __init__(self) -> None:
        """Nobody is answered yet."""
        self._watching: list[set[str]] = []
        self._watch = threading.Lock()

    @property
    def wanted(self) -> bool:
        """Whether anybody is answered."""
        return bool(self._watching)

    @contextmanager
    def watched(self) -> Iterator[Callable[[], set[str]]]:
        """Yield a function that gives the keys of contacts with news that may forbid mail.

        Each call gives those since the last call. A caller that decides asks again until
        nothing is new, and then answers: its first decisions may be out of date.
        """
        told: set[str] = set()

        def news() -> set[str]:
            with self._watch:
                found = set(told)
                told.clear()
            return found

        with self._watch:
            self._watching.append(told)
        try:
            yield news
        finally:
            with self._watch:
                self._watching = [other for other in self._watching if other is not told]

    def tell(self, names: set[str]) -> None:
        """Add keys of contacts."""
        with self._watch:
            for told in self._watching:
                told |= names


def is_told(told: Collection[str], contact_id: str) -> bool:
    """Whether news are of a contact: by the key, or of everybody."""
    return EVERYBODY in told or contact_key(contact_id) in told
