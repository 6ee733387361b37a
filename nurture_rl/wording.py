"""Counts in sentences: one contact, two contacts."""

from __future__ import annotations


def plural(count: float, one: str, many: str | None = None) -> str:
    """The word that goes with a count.

    Args:
        count: how many there are.
        one: the word for 1, such as "contact" or "is".
        many: the word for any other count; `one` with an s where it is left out.
    """
    return one if count == 1 else many or f"{one}s"


def counted(count: int, one: str, many: str | None = None) -> str:
    """The count and its word, such as "1 contact" or "2 policies"; arguments as in `plural`."""
    return f"{count} {plural(count, one, many)}"
