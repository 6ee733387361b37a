"""Limits side by side: which of two forbids less, in the words of the paper."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from math import inf
from typing import Any, Literal

from nurture_rl.papers.sentences import label, span_in_words

# `changed`: neither can be told to forbid less; it counts as loosened.
Effect = Literal["loosened", "changed", "tightened"]
EFFECTS: tuple[Effect, ...] = ("loosened", "changed", "tightened")

Changes = Iterator["GuardrailChange"]


@dataclass(frozen=True, slots=True)
class GuardrailChange:
    """One guardrail that is another one in the later journey."""

    effect: Effect
    guardrail: str
    says: str


def told(about: str, shown: Iterable[object], effect: Effect | None) -> Changes:
    """One change, or none; `shown` is what was and what is, as of every pair here."""
    was, now = shown
    if effect is not None:
        yield GuardrailChange(effect, about, f"was {was}, is {now}")


def flag(about: str, flags: Iterable[bool]) -> Changes:
    was, now = flags
    words = {True: "on", False: "off"}
    yield from told(about, (words[was], words[now]), by_size((was, now)))


def by_size(sizes: Iterable[float]) -> Effect | None:
    """Where a larger number forbids more."""
    was, now = sizes
    return None if was == now else "tightened" if now > was else "loosened"


def most(about: str, limits: Iterable[float | None]) -> Changes:
    """Where a smaller number forbids more, and none forbids nothing."""
    both = list(limits)
    shown = ["no limit" if one is None else f"{one:g} at most" for one in both]
    yield from told(about, shown, by_size(-inf if one is None else -one for one in both))


def members(about: str, sets: Iterable[Collection[Any]]) -> Changes:
    """Where each member forbids something."""
    was, now = sets
    lost, added = ([one for one in a if one not in b] for a, b in ((was, now), (now, was)))
    if lost:
        yield GuardrailChange("loosened", about, f"no longer: {named(lost)}")
    if added:
        yield GuardrailChange("tightened", about, f"new: {named(added)}")


def span(about: str, hours: Iterable[float], none: str) -> Changes:
    """Where a longer time forbids more; `none` tells of no time."""
    both = list(hours)
    shown = ["no end" if one == inf else span_in_words(one) if one else none for one in both]
    yield from told(about, shown, by_size(both))


def opposite(changes: Changes) -> Changes:
    """The same where more allows more."""
    turned: dict[Effect, Effect] = {"loosened": "tightened", "tightened": "loosened"}
    for one in changes:
        effect = turned.get(one.effect, one.effect)
        yield GuardrailChange(effect, one.guardrail, one.says)


def named(values: Collection[Any]) -> str:
    return ", ".join(label(str(one)) for one in values)
