"""Caps and gaps count the hours that pass, where clocks are set in between too."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from nurture_envs.clock import HOUR_US, local_microseconds, set_forward_hours
from nurture_envs.features import FeatureSpec
from nurture_envs.guardrails import legal_actions, reason_names
from nurture_rl.release.bundle import Bundle
from nurture_rl.serving.contacts.facts import known
from nurture_rl.serving.records import Episode, Planned
from tests.unit.release.bundles import journey
from tests.unit.serving.contacts import contact, event, view

JOURNEY = journey()
CHANGES = {  # day on which clocks are set, and by how many hours forward
    ("Europe/Berlin", "spring"): ("2026-03-29", 1),
    ("Europe/Berlin", "autumn"): ("2026-10-25", -1),
    ("America/New_York", "spring"): ("2026-03-08", 1),
    ("America/New_York", "autumn"): ("2026-11-01", -1),
}
GAP, CAP = timedelta(hours=40), timedelta(hours=168)


def utc_us(wall: datetime) -> int:
    return round(wall.timestamp()) * 1_000_000


def day_of(change: tuple[str, str]) -> datetime:
    """Local midnight of the day on which clocks are set."""
    return datetime.fromisoformat(CHANGES[change][0]).replace(tzinfo=ZoneInfo(change[0]))


def reasons_against(
    bundle: Bundle, zone: str, now: datetime, sends: list[datetime], slot: str, planned: bool
) -> list[str]:
    """Why a message may not go at a slot of today, given earlier sends."""
    at = [utc_us(send) for send in sends]
    start = int(local_microseconds(np.array([min(at)]), np.array([zone]))[0])
    events = [event("sent", us, topic="product") for us in at] if not planned else []
    known_of = view(
        *events,
        contact=contact(time_zone=zone),
        episode=Episode("e-1", start - start % (24 * HOUR_US)),
        sends=tuple(Planned(f"d-{us}", us) for us in at) if planned else (),
    )
    found = known(
        JOURNEY, FeatureSpec.of(JOURNEY), [known_of], np.array([utc_us(now)]), "Europe/Berlin"
    )
    _, reasons = legal_actions(found.facts, bundle.catalog, JOURNEY.guardrails)
    return reason_names(int(reasons[0, bundle.catalog.index(f"send:welcome@{slot}")]))


@pytest.mark.parametrize("planned", [False, True], ids=["sent", "planned"])
@pytest.mark.parametrize("decided", [0, 8], ids=["before the change", "after it"])
@pytest.mark.parametrize("change", CHANGES, ids="-".join)
def test_the_minimum_gap_is_over_when_its_hours_have_passed(
    change: tuple[str, str], decided: int, planned: bool, bundle: Bundle
) -> None:
    midnight = day_of(change)
    now, nine = (midnight.replace(hour=hour, minute=0) for hour in (decided, 9))
    for minutes, wanted in ((30, True), (-30, False)):  # before the gap is over, and after it
        over = utc_us(nine) + minutes * 60_000_000
        sent = datetime.fromtimestamp(over / 1e6, midnight.tzinfo)
        sent = (sent.astimezone(ZoneInfo("UTC")) - GAP).astimezone(midnight.tzinfo)
        found = reasons_against(bundle, change[0], now, [sent], "09", planned)
        assert ("minimum_gap" in found) is wanted


@pytest.mark.parametrize("change", CHANGES, ids="-".join)
def test_a_cap_is_full_until_its_hours_have_passed(change: tuple[str, str], bundle: Bundle) -> None:
    midnight = day_of(change)
    nine = midnight.replace(hour=9).astimezone(ZoneInfo("UTC"))
    later = nine - timedelta(hours=100)
    for minutes, wanted in ((30, True), (-30, False)):
        sends = [nine + timedelta(minutes=minutes) - CAP, later]
        found = reasons_against(bundle, change[0], midnight, sends, "09", planned=False)
        assert ("frequency_cap" in found) is wanted


@pytest.mark.parametrize("change", CHANGES, ids="-".join)
def test_clocks_are_set_at_night_for_the_hours_after(change: tuple[str, str]) -> None:
    zone, forward, midnight = np.array([change[0]]), CHANGES[change][1], day_of(change)

    def seen(hour: int) -> list[float] | None:
        now = np.array([utc_us(midnight.replace(hour=hour))])
        found = set_forward_hours(now, local_microseconds(now, zone), zone)
        return None if found is None else found[0].tolist()

    before, after = seen(0), seen(12)
    assert before is not None
    assert before[0] == before[1] == 0.0
    assert before[3:] == [forward] * 21
    assert after is not None
    assert after[12:] == [0.0] * 12
    next_day = np.array([utc_us(midnight + timedelta(days=1, hours=12))])
    assert set_forward_hours(next_day, local_microseconds(next_day, zone), zone) is None
