"""Claims: what messages hold out as proof, where it comes from, who approved it, for whom it is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True, slots=True)
class Audience:
    """Contacts by one attribute: some of its levels, or a range of its numbers."""

    attribute: str
    levels: tuple[str, ...] = ()  # of an attribute with levels
    low: float = 0.0  # of a number, in the log's own unit
    high: float = 0.0  # of a number, >= low; included


@dataclass(frozen=True, slots=True)
class Claim:
    """What a message names as its `proof`: what it says, who stands for it, and until when."""

    name: str  # as messages name it
    says: str
    source: str  # where anybody can look it up
    approver: str  # who allowed it to be said
    expires: date | None  # last day it may be said
    fits: tuple[Audience, ...] = ()  # contacts that it is about, all must hold; empty: everybody
