"""What follows from a frozen record alone is worked out once and kept with the record."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TypeVar

Record = TypeVar("Record")
Answer = TypeVar("Answer")


def once(work: Callable[[Record], Answer]) -> Callable[[Record], Answer]:
    """A function of one frozen record that works for each record once.

    The answer is kept in the record's `__dict__`, so it goes when the record goes. Whoever asks
    again gets the same object and must not change it. A record that is made from another one, as by
    `replace`, begins without answers.

    Args:
        work: a pure function; its record has no `__slots__`.
    """
    name = f"{work.__module__}.{work.__qualname__}"

    @wraps(work)
    def kept(record: Record) -> Answer:
        answers = record.__dict__
        if name not in answers:
            answers[name] = work(record)
        return answers[name]  # type: ignore[no-any-return]

    return kept
