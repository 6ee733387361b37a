"""For how many contacts of each segment there is a proof that was made for such as them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from nurture_envs.claims import Audience, Claim
from nurture_envs.journey import Journey

Attributes = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SegmentCoverage:
    """Contacts of one segment, and what can be proved to them."""

    segment: str
    contacts: int
    covered: int  # contacts about whom some claim of an approved message is
    claims: tuple[str, ...]  # that are about some of them


def proof_coverage(journey: Journey, contacts: Sequence[Attributes]) -> tuple[SegmentCoverage, ...]:
    """Coverage by each attribute that some claim names; none where no claim names any.

    Args:
        journey: with claims.
        contacts: the attributes of each contact, by name.
    """
    said = {m.proof for m in journey.messages if m.approval == "approved"}
    claims = [claim for claim in journey.claims if claim.name in said]
    names = dict.fromkeys(part.attribute for claim in journey.claims for part in claim.fits)
    return tuple(
        one for name in names for one in _by_attribute(name, _cuts(name, journey), claims, contacts)
    )


def _cuts(name: str, journey: Journey) -> tuple[list[str], list[float]]:
    """Levels that the journey knows, and ends of ranges that claims name."""
    levels = [level for f in journey.features if f.attribute == name for level in f.levels]
    parts = [part for claim in journey.claims for part in claim.fits if part.attribute == name]
    ends = {end for part in parts if not part.levels for end in (part.low, part.high)}
    return levels, sorted(ends)


def _by_attribute(
    name: str,
    cuts: tuple[list[str], list[float]],
    claims: Sequence[Claim],
    contacts: Sequence[Attributes],
) -> Iterator[SegmentCoverage]:
    segments: dict[str, list[Attributes]] = {
        segment: [] for segment in (*cuts[0], *_bands(cuts[1]), "not known")
    }
    for contact in contacts:
        segments[_segment(contact.get(name), cuts)].append(contact)
    for segment, few in segments.items():
        if not few:
            continue
        about = [[claim.name for claim in claims if _is_about(claim, one)] for one in few]
        named = tuple(dict.fromkeys(claim for each in about for claim in each))
        covered = sum(bool(each) for each in about)
        yield SegmentCoverage(f"{name} {segment}", len(few), covered, named)


def _bands(ends: Sequence[float]) -> list[str]:
    if not ends:
        return []
    inner = [f"{a:g} to {b:g}" for a, b in pairwise(ends)]
    return [f"below {ends[0]:g}", *inner, f"above {ends[-1]:g}"]


def _segment(value: Any, cuts: tuple[list[str], list[float]]) -> str:
    levels, ends = cuts
    if levels:
        return str(value) if str(value) in levels else "not known"
    number = _number(value)
    if number is None:
        return "not known"
    # A band holds its lower end, the last one its upper end too.
    below = sum(end <= number for end in ends)
    return _bands(ends)[below - (number == ends[-1] and len(ends) > 1)]


def _is_about(claim: Claim, contact: Attributes) -> bool:
    return all(_holds(part, contact.get(part.attribute)) for part in claim.fits)


def _holds(part: Audience, value: Any) -> bool:
    if part.levels:
        return str(value) in part.levels
    number = _number(value)
    return number is not None and part.low <= number <= part.high


def _number(value: Any) -> float | None:
    try:
        return None if value is None or isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        return None
