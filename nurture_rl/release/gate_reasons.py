"""Reasons against a release, gathered by what causes them: one line a cause, nothing lost.

A policy that the log does not carry fails several checks at once, and then everything that is read
off the log. All of it is one thing to mend, so people read it once; programs find every reason.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class GateReason:
    """One thing that speaks against a release."""

    text: str  # a sentence of its own
    check: str = ""  # what found it, such as a check's code; empty where nothing of that kind did
    cause: str = ""  # what reasons of one cause share, in words; empty where it stands alone
    brief: str = ""  # what it adds to the cause; empty where that is nothing
    advice: str = ""  # what to do


@dataclass(frozen=True, slots=True)
class GateCause:
    """Reasons that go back to one thing, as people read them."""

    sentence: str
    checks: tuple[str, ...]  # what found it
    reasons: tuple[str, ...]  # each in full


def causes_of(reasons: Iterable[GateReason]) -> tuple[GateCause, ...]:
    """Gather reasons by cause, in the order in which the causes come up first."""
    gathered: dict[str, list[GateReason]] = {}
    for one in reasons:
        gathered.setdefault(one.cause or one.text, []).append(one)
    return tuple(_cause(found) for found in gathered.values())


def _cause(reasons: list[GateReason]) -> GateCause:
    texts = tuple(dict.fromkeys(one.text for one in reasons))
    checks = tuple(dict.fromkeys(one.check for one in reasons if one.check))
    told = [one.brief for one in reasons] + [one.advice for one in reasons]
    parts = "; ".join(dict.fromkeys(part.rstrip(".") for part in told if part))
    if not (reasons[0].cause and parts):
        return GateCause(" ".join(texts), checks, texts)
    found_by = f" (found by: {', '.join(checks)})" if checks else ""
    return GateCause(f"{reasons[0].cause}: {parts}{found_by}.", checks, texts)
