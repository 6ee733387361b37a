"""Reading the limits of all contacts together, which servers keep."""

from __future__ import annotations

import re

from nurture_envs.crowd_limits import SellerCapacity, SlowDown, VolumeRamp
from nurture_envs.fields import Fields

_MOST_DAYS = 366  # that are looked back on


def read_sellers(guardrails: Fields) -> SellerCapacity | None:
    """The entry `seller_capacity`, if there is one; problems go to `guardrails`."""
    f = _entry(guardrails, "seller_capacity")
    if f is None:
        return None
    before = len(f.problems)
    per_day, at_once = (
        f.integer(name, low=0) if f.has(name) else None for name in ("per_day", "open")
    )
    days = f.integer("open_days", 14, low=1, high=_MOST_DAYS)
    closing = tuple(f.items("closed_by", []))
    if not all(isinstance(name, str) and name for name in closing):
        f.problem("closed_by", f"expected event types, got {list(closing)}")
    f.finish()
    if per_day is None and at_once is None and len(f.problems) == before:
        f.problem(
            "per_day", "expected per_day, open, or both; leave `seller_capacity` out for none"
        )
    return SellerCapacity(per_day, at_once, closing, days)


def read_volume(guardrails: Fields) -> VolumeRamp | None:
    """The entry `volume`, if there is one; problems go to `guardrails`."""
    f = _entry(guardrails, "volume")
    if f is None:
        return None
    before = len(f.problems)
    table = f.whole_numbers("warm_up", [])
    good = table == sorted(table) and all(mails >= 1 for mails in table)
    needed = f.has("growth") or not f.has("slow_down")  # a slow-down alone counts nothing up
    if (not good or (needed and not table)) and len(f.problems) == before:
        f.problem("warm_up", f"expected mails a day, each at least the one before, got {table}")
    ramp = VolumeRamp(
        tuple(table),
        f.number("growth", low=1.0) if f.has("growth") else None,
        f.integer("trailing_days", 7, low=1, high=_MOST_DAYS),
        f.number("carry_over", 0.0, low=0.0, high=1.0),
        f.integer("idle_days", 30, low=1, high=_MOST_DAYS),
        _families(f),
        _slow_down(f),
    )
    f.finish()
    return ramp


_DOMAIN = re.compile(r"[^\s@.]+(\.[^\s@.]+)+\.?")


def _families(volume: Fields) -> tuple[tuple[str, str], ...]:
    """The family of each domain that the journey names."""
    families: dict[str, str] = {}
    for name, domains in (
        volume.mapping("families").data if volume.has("families") else {}
    ).items():
        given = [domains] if isinstance(domains, str) else domains
        if not isinstance(given, list) or not all(
            isinstance(domain, str) and _DOMAIN.fullmatch(domain) for domain in given
        ):
            volume.problem("families", f"expected {name}: a list of domains, got {domains!r}")
            continue
        for domain in (domain.lower() for domain in given):
            if families.setdefault(domain, str(name)) != str(name):
                text = f"expected each domain in one family, got {domain!r} in two"
                volume.problem("families", text)
    return tuple(families.items())


def _slow_down(volume: Fields) -> SlowDown | None:
    f = _entry(volume, "slow_down")
    if f is None:
        return None
    lines = {name: _two(f, name, usual) for name, usual in _LINES.items()}
    found = SlowDown(
        **lines,
        days=f.integer("days", 7, low=1, high=_MOST_DAYS),
        minimum=f.integer("minimum", 200, low=1),
        factor=f.number("factor", 0.5, low=0.0, high=1.0),
    )
    f.finish()
    return found


# Mailbox providers ask for complaints below 0.1 %, never 0.3 %; 2 % bounces harm, 5 % stop mail.
_LINES = {"complaints": (0.001, 0.003), "bounces": (0.02, 0.05)}


def _two(f: Fields, name: str, usual: tuple[float, float]) -> tuple[float, float]:
    given = f.items(name, list(usual))
    good = len(given) == 2 and all(
        isinstance(share, int | float) and not isinstance(share, bool) for share in given
    )
    if not good or not 0.0 < given[0] <= given[1] <= 1.0:
        f.problem(name, f"expected [slowed from, stopped from], two shares up to 1, got {given}")
        return usual
    return float(given[0]), float(given[1])


def _entry(f: Fields, name: str) -> Fields | None:
    """A mapping that may be left out or empty."""
    return None if not f.has(name) or f.data[name] is None else f.mapping(name)
