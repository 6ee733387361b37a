"""The features of a journey file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from nurture_envs.fields import Fields, channels_of
from nurture_envs.journey import (
    CALENDAR_PARTS,
    FEATURE_KINDS,
    PAST_KINDS,
    SLOT,
    TOLD_APART,
    Feature,
    Signal,
)

_EVENTS_ALONE = ("recency", "ever", "streak", "distinct", "affinity")  # kinds that read no values
_MOST_PRIOR = 1000  # shares stay exact: whole numbers far below 2**24
_PRIOR = 2  # events


@dataclass(frozen=True, slots=True)
class Nameable:
    """What features of a journey may name."""

    signals: tuple[Signal, ...]
    channels: tuple[str, ...]
    stages: tuple[tuple[str, str], ...]
    slots: int  # of a period of the clock


def read_feature(name: str, f: Fields, known: Nameable) -> Feature:
    """One declared feature."""
    kind = f.text("kind", among=FEATURE_KINDS)
    feature = Feature(name=name, kind=kind)
    if kind in PAST_KINDS:
        feature = _of_past(feature, f, known)
    elif kind == "attribute":
        feature = replace(
            feature,
            attribute=f.text("attribute", name),
            levels=tuple(str(v) for v in f.items("levels", [])),
            default=f.number("default", 0.0),
        )
    elif kind == "calendar":
        feature = replace(feature, part=f.text("part", among=CALENDAR_PARTS))
    elif kind == "stage":
        feature = replace(feature, stages=known.stages)
    if kind in FEATURE_KINDS:  # of an unknown kind no key can be judged
        f.finish()
    return feature


def _of_past(feature: Feature, f: Fields, known: Nameable) -> Feature:
    kind, channels = feature.kind, list(known.channels)
    feature = replace(
        feature,
        of=channels_of(f, "of", channels),
        over=channels_of(f, "over", channels) if kind == "ratio" else (),
        until=channels_of(f, "until", channels) if kind == "streak" else (),
        window=f.integer("window", low=1) if kind != "ever" else 1,
        half_life=f.number("half_life", low=0.01) if kind == "decayed" else 0.0,
        prior=f.integer("prior", _PRIOR, 1, _MOST_PRIOR) if kind == "affinity" else 0,
    )
    read = (*feature.of, *feature.until)
    values = kind in _EVENTS_ALONE and any(".value" in channel for channel in read)
    if values:
        *others, last = _EVENTS_ALONE
        named = ", ".join(others)
        f.problem("of", f"values can be counted or divided, not used for {named} or {last}")
    if kind not in ("distinct", "affinity"):
        return feature
    by = f.text("by", among=(*TOLD_APART, SLOT) if kind == "affinity" else TOLD_APART)
    return feature if values else _told_apart(replace(feature, by=by), f, known)


def _told_apart(feature: Feature, f: Fields, known: Nameable) -> Feature:
    """The feature with the groups that its events fall into."""
    slots = known.slots
    if feature.by in TOLD_APART:
        without, feature = _grouped(feature, known.signals)
        if without:
            f.problem(
                "of",
                f"expected signals that each pin one {feature.by}, got {', '.join(without)} "
                f"without; name others, or write a signal for each {feature.by}",
            )
    elif (
        feature.by == SLOT and feature.kind == "affinity" and (slots < 2 or feature.window % slots)
    ):
        f.problem(
            "window",
            "expected whole periods for `by: slot`, so that each slot of the clock counts as "
            f"often: a clock of several slots (this one has {slots}) and a multiple of their "
            f"number, got {feature.window}",
        )
    return feature


def _grouped(feature: Feature, signals: Sequence[Signal]) -> tuple[list[str], Feature]:
    """The signals that pin no value of the column, and the feature with its groups."""
    pinned = {signal.name: signal.filters().get(feature.by) for signal in signals}
    groups: dict[str, tuple[str, ...]] = {}
    for channel in feature.of:
        value = str(pinned.get(channel))
        groups[value] = (*groups.get(value, ()), channel)
    without = [channel for channel in feature.of if pinned.get(channel) is None]
    return without, replace(feature, groups=tuple(groups.items()))
