"""How often inferred time zones are right, on planted ones, by how many hours somebody was active.

python -m benchmarks.zone_accuracy
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nurture_envs.clock import DAY_US, HOUR_US, local_microseconds, utc_microseconds
from nurture_rl.logs.zone_inference import ActiveHours, infer_zones

ZONES = {
    "Europe/Berlin": ("DE", 0.35),
    "Europe/London": ("GB", 0.2),
    "America/New_York": ("US", 0.25),
    "America/Los_Angeles": ("US", 0.12),
    "Asia/Singapore": ("SG", 0.08),
}
BANDS = ((1, 2), (3, 5), (6, 10), (11, 20), (21, 40), (41, 100))
LEAST = 0.9
_BEGIN = int(np.datetime64("2026-02-02", "us").astype(np.int64))  # a Monday
_DAYS = 120


@dataclass(frozen=True, slots=True)
class Planted:
    """Contacts whose zone is known to the judge alone."""

    zone: NDArray[np.object_]  # [c]
    active: ActiveHours

    def country(self) -> list[str]:
        """The country of each."""
        return [ZONES[zone][0] for zone in self.zone]

    @property
    def hours(self) -> NDArray[np.int64]:
        """How many hours each was active in, [c]."""
        return np.bincount(self.active.contact, minlength=len(self.zone))


def planted(contacts: int, spread: float, rng: np.random.Generator) -> Planted:
    """Contacts who do things around an hour of their own, rarely at weekends.

    Args:
        contacts: how many.
        spread: standard deviation of the middle of people's days, hours.
        rng: draws everything.
    """
    names = np.array(list(ZONES), object)
    zone = rng.choice(names, contacts, p=[share for _, share in ZONES.values()])
    contact = np.repeat(np.arange(contacts), rng.choice([1, 3, 6, 12, 25, 60], contacts))
    day = rng.integers(0, _DAYS, contact.size)
    middle = rng.normal(13.0, spread, contacts)
    hour = np.clip(rng.normal(middle[contact], 3.0), 0.0, 23.9)
    kept = (day % 7 < 5) | (rng.random(day.size) < 0.3)
    local = (_BEGIN + day * DAY_US + (hour * HOUR_US).astype(np.int64))[kept]
    utc = utc_microseconds(local, zone[contact[kept]].astype(str))
    pairs = np.unique(np.stack([contact[kept], utc // HOUR_US], axis=1), axis=0)
    return Planted(zone, ActiveHours(pairs[:, 0], pairs[:, 1]))


def same_clock(found: str | None, true: str) -> bool:
    """Whether two zones show the same time in winter and in summer."""
    if found is None:
        return False
    days = _BEGIN + np.arange(0, 364, 7) * DAY_US
    one, other = (local_microseconds(days, np.full(52, zone)) for zone in (found, true))
    return bool((one == other).all())


def main() -> None:
    """Print the table of the page."""
    print("| people's days differ by | known | hours | right | mean probability | sure | right |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for spread in (1.0, 2.5):
        for known, stated, told in (
            ("nothing", 0.0, False),
            ("30 % of zones", 0.3, False),
            ("30 % of zones, countries", 0.3, True),
        ):
            _print_rows(spread, known, stated, told)


def _print_rows(spread: float, known: str, stated: float, told: bool) -> None:
    rng = np.random.default_rng(7)
    people = planted(6000, spread, rng)
    has = rng.random(len(people.zone)) < stated
    zones = [zone if one else None for zone, one in zip(people.zone, has, strict=True)]
    country = people.country() if told else [None] * len(zones)
    found = infer_zones(people.active, zones, country)
    pairs = zip(found.zone, people.zone, strict=True)
    same = {pair: same_clock(*pair) for pair in set(zip(found.zone, people.zone, strict=True))}
    right = np.array([same[pair] for pair in pairs])
    for low, high in BANDS:
        rows = ~has & (people.hours >= low) & (people.hours <= high)
        sure = rows & (found.confidence >= LEAST)
        of_sure = f"{right[sure].mean():.1%}" if sure.any() else "–"
        print(
            f"| {spread:g} h | {known} | {low} to {high} | {right[rows].mean():.0%} | "
            f"{found.confidence[rows].mean():.0%} | {sure.sum() / rows.sum():.0%} | {of_sure} |"
        )


if __name__ == "__main__":
    main()
