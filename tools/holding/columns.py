"""The features that offers ask for, worked out slowly from a contact's events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta

from nurture_envs.journey import Feature, Journey
from nurture_rl.serving.records import Event
from tests.unit.serving.mask_oracle import DAY_US, bin_at, is_of

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def asked_columns(
    journey: Journey,
    events: Sequence[Event],
    attributes: Mapping[str, float],
    anchor_us: int,
    now_us: int,
) -> dict[str, float]:
    """The columns that conditions of offers name, of a contact who lives in UTC."""
    wanted = {c.column for offer in journey.offers for c in offer.eligible}
    features = {feature.name: feature for feature in journey.features}
    known = [e for e in events if max(e.occurred_us, e.recorded_us) <= now_us]
    return {
        column: _column(journey, features[column.partition("=")[0]], column, known, attributes,
                        anchor_us, now_us)
        for column in wanted
    }  # fmt: skip


def _column(
    journey: Journey,
    feature: Feature,
    column: str,
    known: Sequence[Event],
    attributes: Mapping[str, float],
    anchor_us: int,
    now_us: int,
) -> float:
    now = bin_at(journey, now_us - anchor_us)
    if feature.kind == "attribute":
        return attributes.get(feature.attribute, feature.default)
    if feature.kind == "calendar":
        day = date(1970, 1, 1) + timedelta(days=now_us // DAY_US)
        return float(_DAYS[day.weekday()] == column.partition("=")[2])
    signals = [signal for signal in journey.signals if signal.name in feature.of]
    bins = [
        bin_at(journey, event.occurred_us - anchor_us)
        for event in known
        if any(is_of(event, signal) for signal in signals)
    ]
    over = [one for one in bins if one < now]  # of bins that are over
    if feature.kind == "count":
        return float(sum(now - one <= feature.window for one in over))
    assert feature.kind == "recency", feature
    return float(min([feature.window, *(now - one for one in over)]))
