"""Reading the claims of a journey file, and holding them against its messages and attributes."""

from __future__ import annotations

from datetime import date

from nurture_envs.claims import Audience, Claim
from nurture_envs.fields import Fields, hint
from nurture_envs.journey import Journey


def read_claim(name: str, f: Fields) -> Claim:
    """One entry of `claims`; problems go to `f`."""
    fits = f.mapping("fits", {})
    claim = Claim(
        name=name,
        says=f.name_text("says"),
        source=f.name_text("source"),
        approver=f.name_text("approver"),
        expires=f.day("expires"),
        fits=tuple(_audience(fits, name) for name in fits.data),
    )
    if f.data.get("expires") is None:
        f.problem("expires", "expected the last day it may be said, such as 2027-12-31")
    f.finish()
    return claim


def _audience(f: Fields, name: str) -> Audience:
    """Levels, or `[low, high]` of a number."""
    values = f.items(name)
    numbers = [v for v in values if isinstance(v, (int, float)) and not isinstance(v, bool)]
    if len(numbers) == len(values) == 2 and numbers[0] <= numbers[1]:
        return Audience(name, low=float(numbers[0]), high=float(numbers[1]))
    if not values or not all(isinstance(value, str) and value for value in values):
        f.problem(name, f"expected levels of the attribute, or [low, high], got {values}")
    return Audience(name, tuple(map(str, values)))


def claim_problems(journey: Journey) -> list[str]:
    """Claims that no message makes, and segments by attributes that the journey does not have."""
    made = [message.proof for message in journey.messages if message.proof != "none"]
    problems = [
        f"claims.{claim.name}: no message makes this claim{hint(claim.name, made)}; write "
        f"`proof: {claim.name}` in a message, or take it out"
        for claim in journey.claims
        if claim.name not in made
    ]
    levels = {f.attribute: f.levels for f in journey.features if f.kind == "attribute"}
    for claim in journey.claims:
        for part in claim.fits:
            key = f"claims.{claim.name}.fits.{part.attribute}"
            if part.attribute not in levels:
                near = hint(part.attribute, levels)
                problems.append(f"{key}: no feature reads an attribute of that name{near}")
                continue
            known = levels[part.attribute]
            strange = [level for level in part.levels if level not in known]
            if strange and known:
                problems.append(f"{key}: expected levels of {list(known)}, got {strange[0]!r}")
            elif bool(part.levels) != bool(known):
                want = f"levels of {list(known)}" if known else "[low, high] of a number"
                problems.append(f"{key}: expected {want}")
    return problems


def expired_claims(journey: Journey, day: date) -> list[str]:
    """What is wrong with claims of approved messages on a day: one sentence each.

    Args:
        journey: of the messages.
        day: on which they would be sent.
    """
    said = {m.proof for m in journey.messages if m.approval == "approved"}
    return [
        f"claims.{claim.name}: its last day was {claim.expires}, and approved messages still make "
        f"it; ask {claim.approver} for a new date, or withdraw the messages"
        for claim in journey.claims
        if claim.name in said and claim.expires is not None and claim.expires < day
    ]
