"""Why deals were won or lost, in few words that signals can name."""

from __future__ import annotations

import re
from math import isfinite
from typing import Any

from nurture_rl.logs.reported.reported_cells import LONGEST, plain_word, told

# The closed vocabulary, and what free text says each of; the first that fits holds.
_REASONS = {
    "competitor": r"compet|rival|konkurren|wettbewerb|other vendor|another (vendor|provider|tool)",
    "no_budget": r"budget|funding|funds|no money|geld",
    "price": r"pric|expens|cost|preis|teuer|discount|roi\b",
    "timing": r"\btim(e|ing)|too early|not now|later|postpon|delay|zeitpunkt|verschoben",
    "missing_feature": r"feature|functional|integration|technical|capabilit|product (gap|fit)",
    "no_fit": r"\bfit\b|unqualified|disqualif|wrong (size|profile|company)|not qualified",
    "no_need": r"no (need|interest|pain)|not interested|kein (bedarf|interesse)|solved",
    "no_decision": r"no decision|status quo|indecis|internal|priorit|champion|reorgani",
    "no_answer": r"unrespons|no (response|answer|reply|contact)|ghost|went (dark|silent)|unreach",
    "trust": r"trust|security|complian|legal|reference|reputation|support|relationship|service",
    "wrong_person": r"wrong (person|contact)|no authority|left the company|duplicate",
}
REASONS = (*_REASONS, "other")
_PATTERNS = {word: re.compile(pattern) for word, pattern in _REASONS.items()}


def close_reason(text: object) -> str | None:
    """The word of the closed vocabulary for why a deal was closed.

    Args:
        text: as the CRM has it.

    Returns:
        One of `REASONS`, `other` for what none fits; None where the CRM says nothing.
    """
    plain = re.sub(r"[^a-z0-9äöüß]+", " ", plain_word(text)).strip()
    if not plain:
        return None
    if (own := plain.replace(" ", "_")) in REASONS:
        return own
    return next((word for word, pattern in _PATTERNS.items() if pattern.search(plain)), "other")


def closed_event(ended: str, reason: object, at: Any, amount: Any = None) -> dict[str, Any]:
    """Cells of the event that a deal was closed: its `topic` is why.

    Args:
        ended: `won` or `lost`.
        reason: as the CRM has it.
        at: when.
        amount: what the deal was worth; None where nobody says.
    """
    said = str(reason)[:LONGEST] if reason not in (None, "") else None
    return {
        "type": "opportunity_closed",
        "occurred_at": at,
        "stage": ended,
        "topic": close_reason(reason),
        "value": amount_of(amount),
        "properties": told({"reason": said}),
    }


def amount_of(cell: Any) -> Any:
    """An amount that may be written as text; what is no number stays, and is refused later."""
    try:
        number = float(cell) if isinstance(cell, str) and "_" not in cell else None
    except ValueError:
        return cell
    return number if number is not None and isfinite(number) else cell
