"""True time zones of simulated contacts, and how far off a sender is that does not know them."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from functools import lru_cache

import torch
from torch import Tensor

from nurture_envs.clock import DAY_US, require_zone
from nurture_envs.worlds.draws import START, uniforms

ZONES = (
    "Europe/Berlin",
    "Europe/London",
    "America/New_York",
    "America/Los_Angeles",
    "Asia/Singapore",
)
ZONE_SHARES = (0.35, 0.2, 0.25, 0.12, 0.08)
DEFAULT_ZONE = "Europe/Berlin"  # the sender's guess where the zone is not known
_ZONE_STREAM = 12
_FIRST, _DAYS = date(2026, 1, 1), 1461  # days the table covers; days beyond take its nearest
_FIRST_DAY = (_FIRST - date(1970, 1, 1)).days
_NOON = time(12)  # clocks change at night


def drawn_zones(keys: Tensor) -> Tensor:
    """Position in `ZONES` of the true zone of each contact, [n] i64."""
    edges = torch.tensor(ZONE_SHARES, dtype=torch.float64).cumsum(0)[:-1].to(keys.device)
    u = uniforms(keys, START, _ZONE_STREAM, 1)[0].to(torch.float64)
    return torch.searchsorted(edges, u, right=True)


def hidden_zones(keys: Tensor, known: Tensor) -> Tensor:
    """The true zone where the sender does not know it, else the sender's own, [n] i64."""
    own = ZONES.index(DEFAULT_ZONE)
    return torch.where(known, own, drawn_zones(keys))


@lru_cache(maxsize=1)
def zone_gaps() -> Tensor:
    """Hours by which a zone's clocks are ahead of the default zone's, [zones, days] f32.

    Daylight saving included: zones that change their clocks on different days are closer to, or
    further from, each other in between.
    """
    days = [datetime.combine(_FIRST + timedelta(days=d), _NOON) for d in range(_DAYS)]
    offsets = [[_offset_hours(day, name) for day in days] for name in ZONES]
    table = torch.tensor(offsets)
    return table - table[ZONES.index(DEFAULT_ZONE)]


def _offset_hours(noon: datetime, name: str) -> float:
    offset = noon.replace(tzinfo=require_zone(name)).utcoffset()
    return (offset or timedelta()).total_seconds() / 3600.0


def table_day(local_us: Tensor) -> Tensor:
    """Column of per-day tables for local times, [n] i64; the nearest for days beyond them."""
    return torch.clamp(local_us // DAY_US - _FIRST_DAY, 0, _DAYS - 1)


def by_weekday(values: tuple[float, ...], device: torch.device | str) -> Tensor:
    """A value per weekday, Monday first, laid out by day of the tables, [days] f32."""
    first = _FIRST.weekday()
    return torch.tensor([values[(first + d) % 7] for d in range(_DAYS)], device=device)


def zone_gap(zone: Tensor, day: Tensor, gaps: Tensor) -> Tensor:
    """Hours by which the contact's own clock is ahead of the one the sender works with, [n] f32.

    Args:
        zone: see `hidden_zones`, [n] i64.
        day: see `table_day`, [n] i64.
        gaps: `zone_gaps`.
    """
    return gaps.view(-1).index_select(0, zone * _DAYS + day)
