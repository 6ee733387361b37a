"""In which time zone contacts live, inferred from the hours at which they do something.

The answer is a probability. Zones whose clocks agree all year cannot be told apart by hours, and
need not be: their probabilities are added up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from importlib import resources
from itertools import product
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from nurture_envs.clock import DAY_US, HOUR_US, local_microseconds, weekday_of

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]

# One for each clock that many people live by; told apart where their clocks ever differ.
WORLD_ZONES = (
    *("Pacific/Honolulu", "America/Los_Angeles", "America/Denver", "America/Chicago"),
    *("America/New_York", "America/Sao_Paulo", "Europe/London", "Europe/Berlin", "Europe/Athens"),
    *("Europe/Moscow", "Asia/Dubai", "Asia/Karachi", "Asia/Kolkata", "Asia/Dhaka", "Asia/Bangkok"),
    *("Asia/Shanghai", "Asia/Tokyo", "Australia/Sydney", "Pacific/Auckland"),
)
IN_COUNTRY = 0.95  # prior chance that a contact lives by a clock of the country that is stated
_KNOWN_PRIOR = 0.8  # weight of the zones that are stated against all alike: who says may differ
_WEIGHTS = (0.2, 0.35, 0.6, 1.0)  # of an hour, as hours of one person are not independent
_SPREADS = (0.5, 1.0, 1.5, 2.0, 3.0)  # hours by which people's days differ, standard deviation
_UNFITTED = (3.0, 0.35)  # spread and weight without enough contacts whose zone is stated
_SHIFTS = np.arange(-5, 6)  # hours by which a day may be earlier or later
_TO_FIT, _TO_SHAPE = (
    200,
    50,
)  # contacts with a stated zone, to choose the weight and the day's shape
_FEW_HOURS = 3  # of activity, to have a say in the weight
_SMOOTHING = 48.0  # hours of the assumed day that every learned day has in it
# How active people are in each hour of a working day by their own clock, and at weekends.
_DAY = (*[0.1] * 6, 0.3, 0.6, *[1.2] * 10, 0.9, 0.7, 0.6, 0.6, 0.4, 0.2)
_WEEKEND = 0.3


@dataclass(frozen=True, slots=True)
class ActiveHours:
    """In which hours contacts did something: each hour of each contact once."""

    contact: IntArray  # position of the contact, [h]
    hour: IntArray  # hours since 1970 UTC, [h]


@dataclass(frozen=True, slots=True)
class InferredZones:
    """The most probable clock of each contact, [c] each."""

    zone: NDArray[np.object_]  # IANA name; None where nothing speaks for any
    confidence: FloatArray  # probability of that clock, in [0, 1]
    spread: float  # hours by which people's days were taken to differ
    weight: float  # of an hour; 1: hours of one person are independent


def infer_zones(
    active: ActiveHours,
    stated: Sequence[str | None],
    country: Sequence[str | None],
    candidates: Sequence[str] = WORLD_ZONES,
) -> InferredZones:
    """The posterior over clocks of every contact.

        p(z | hours, country) ~ p(z | country) sum_s q(s) prod_h p(local hour of h in z, less s)^w

    s is by how many hours a person's day is later than others', q a normal distribution on whole
    hours. The day's shape p, the spread of q and the weight w come from contacts whose zone is
    stated, where there are enough of them; the last two are those under which their own zones are
    most probable.

    Args:
        active: hours in which people did something themselves.
        stated: the zone that the log has, [c]; None: none.
        country: code of two letters, [c]; None, or one that is none: unknown.
        candidates: zones that are possible beside the stated ones and those of the countries.

    Returns:
        Of all contacts, whose zone is stated too: what would be inferred of them.
    """
    clocks = _clocks(stated, country, candidates)
    prior = _prior(stated, country, clocks)
    hours, place = np.unique(active.hour, return_inverse=True)
    cells = np.stack([_cells(hours, zone) for zone in clocks.names], axis=1)
    own = np.array([clocks.of.get(zone, -1) if zone else -1 for zone in stated], np.int64)
    shape = np.log(_shape(active, place, cells, own))
    spoken = _spoken(active, place, cells, shape, len(stated))
    many = np.bincount(active.contact, minlength=len(stated))
    fit = _fit(spoken, prior, own, many)
    chance = _posterior(spoken, prior, *fit)
    best = chance.argmax(axis=1)
    told = (many > 0) | np.array([one in _countries() for one in country], bool)
    names = np.array(clocks.names, object)[best]
    zone = np.array([name if one else None for name, one in zip(names, told, strict=True)], object)
    return InferredZones(zone, np.where(told, chance.max(axis=1), 0.0), *fit)


@dataclass(frozen=True, slots=True)
class _Clocks:
    """Clocks that are possible, each under the name of one of its zones."""

    names: tuple[str, ...]
    of: Mapping[str, int]  # the clock of every zone that was looked at


def _clocks(
    stated: Sequence[str | None], country: Sequence[str | None], candidates: Sequence[str]
) -> _Clocks:
    known = sorted({zone for zone in stated if zone})
    there = [z for code in sorted({c for c in country if c}) for z in _countries().get(code, ())]
    first: dict[tuple[int, ...], int] = {}
    of: dict[str, int] = {}
    names: list[str] = []
    for zone in dict.fromkeys([*known, *candidates, *there]):
        year = _year(zone)
        if year not in first:
            first[year] = len(names)
            names.append(zone)
        of[zone] = first[year]
    return _Clocks(tuple(names), of)


@lru_cache(maxsize=1024)
def _year(zone: str) -> tuple[int, ...]:
    """Minutes ahead of UTC in every week of a year."""
    info, begin = ZoneInfo(zone), datetime(2026, 1, 1, 12, tzinfo=UTC)
    shifts = ((begin + timedelta(weeks=w)).astimezone(info).utcoffset() for w in range(52))
    return tuple(round((one or timedelta()).total_seconds() / 60) for one in shifts)


def _prior(
    stated: Sequence[str | None], country: Sequence[str | None], clocks: _Clocks
) -> FloatArray:
    """Chance of each clock before any hour is looked at, [c, z]."""
    z = len(clocks.names)
    seen = np.bincount([clocks.of[one] for one in stated if one], minlength=z).astype(float)
    alike = np.full(z, 1.0 / z)
    usual = alike
    if seen.sum():
        usual = _KNOWN_PRIOR * seen / seen.sum() + (1.0 - _KNOWN_PRIOR) * alike
    prior = np.tile(usual, (len(country), 1))
    codes = np.array([one or "" for one in country])
    for code in set(codes.tolist()) & _countries().keys():
        inside = np.zeros(z, bool)
        inside[[clocks.of[zone] for zone in _countries()[code]]] = True
        here = usual * inside / usual[inside].sum()
        prior[codes == code] = IN_COUNTRY * here + (1.0 - IN_COUNTRY) * usual
    return prior


@lru_cache(maxsize=1)
def _countries() -> Mapping[str, tuple[str, ...]]:
    """Zones of each country by its code, from the tables of the time zone database."""
    found: dict[str, list[str]] = {}
    text = (resources.files("tzdata.zoneinfo") / "zone.tab").read_text("utf-8")
    for line in text.splitlines():
        if not line.startswith("#"):
            code, _, zone, *_ = line.split("\t")
            found.setdefault(code, []).append(zone)
    return {code: tuple(zones) for code, zones in found.items()}


def _cells(hours: IntArray, zone: str) -> IntArray:
    """Hour of the day by a clock, those of weekends after those of other days, [u]."""
    local = local_microseconds(hours * HOUR_US, np.full(len(hours), zone))
    return np.asarray(local % DAY_US // HOUR_US + 24 * (weekday_of(local) >= 5), np.int64)


def _shape(active: ActiveHours, place: IntArray, cells: IntArray, own: IntArray) -> FloatArray:
    """Chance that an act falls into each hour of the week's two kinds of day, [48]."""
    assumed = np.concatenate([np.array(_DAY) * 5.0, np.array(_DAY) * 2.0 * _WEEKEND])
    assumed /= assumed.sum()
    known = own[active.contact] >= 0
    if len(np.unique(active.contact[known])) < _TO_SHAPE:
        return assumed
    seen = np.bincount(cells[place[known], own[active.contact[known]]], minlength=48)
    return np.asarray((seen + _SMOOTHING * assumed) / (seen.sum() + _SMOOTHING))


def _spoken(
    active: ActiveHours, place: IntArray, cells: IntArray, shape: FloatArray, contacts: int
) -> FloatArray:
    """How well the hours of each contact fit each clock, its day shifted, [s, c, z] nats."""
    day, kind = cells % 24, cells // 24
    found = np.zeros((len(_SHIFTS), contacts, cells.shape[1]))
    for s, shift in enumerate(_SHIFTS):
        each = shape[(day - shift) % 24 + 24 * kind]
        for z in range(cells.shape[1]):
            found[s, :, z] = np.bincount(active.contact, each[place, z], minlength=contacts)
    return found


def _fit(
    spoken: FloatArray, prior: FloatArray, own: IntArray, many: IntArray
) -> tuple[float, float]:
    """Spread of people's days, and weight of an hour."""
    asked = (own >= 0) & (many >= _FEW_HOURS)
    if asked.sum() < _TO_FIT or len(np.unique(own[asked])) < 2:
        return _UNFITTED
    rows = np.flatnonzero(asked)

    def worth(fit: tuple[float, float]) -> float:
        chance = _posterior(spoken[:, rows], prior[rows], *fit)
        return float(np.log(chance[np.arange(rows.size), own[rows]] + 1e-12).sum())

    return max(product(_SPREADS, _WEIGHTS), key=worth)


def _posterior(spoken: FloatArray, prior: FloatArray, spread: float, weight: float) -> FloatArray:
    earlier = np.exp(-0.5 * (_SHIFTS / spread) ** 2)
    of_shift = np.log(earlier / earlier.sum())
    told = np.logaddexp.reduce(weight * spoken + of_shift[:, None, None], axis=0) + np.log(prior)
    told -= told.max(axis=1, keepdims=True)
    chance = np.exp(told)
    return np.asarray(chance / chance.sum(axis=1, keepdims=True))
