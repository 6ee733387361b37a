"""What each feature column means: its unit, its range, and how it is computed, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf

from nurture_envs.features.spec import FeatureSpec
from nurture_envs.journey import Feature

_MARK = "yes or no"
_APART = {  # what events are told apart by: one, several
    "topic": ("topic", "topics"),
    "page_category": ("page category", "page categories"),
    "reply_class": ("reply class", "reply classes"),
    "stage": ("stage", "stages"),
    "slot": ("slot", "slots"),
}
_CALENDAR = {
    "weekday": "1 on that local weekday",
    "slot": "1 in that slot of the period, the first is 0",
}


@dataclass(frozen=True, slots=True)
class Scale:
    """What a number that contacts bring along is counted in, and where it lies."""

    attribute: str
    unit: str
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Column:
    """One feature column, told to people."""

    name: str
    meaning: str
    unit: str
    low: float  # least value it can have
    high: float  # largest; infinite where nothing bounds it


def described_columns(spec: FeatureSpec, scales: Sequence[Scale] = ()) -> tuple[Column, ...]:
    """Every feature column in order, [d].

    Args:
        spec: the features of a journey.
        scales: of attributes that are numbers; where one is missing, its unit is the log's own
            and its range is not known.
    """
    known = {scale.attribute: scale for scale in scales}
    return tuple(
        Column(name, *_told(spec, feature, place, known))
        for feature in spec.features
        for place, name in enumerate(spec.names(feature))
    )


def _told(
    spec: FeatureSpec, feature: Feature, place: int, scales: Mapping[str, Scale]
) -> tuple[str, str, float, float]:
    """Meaning, unit, least and largest value of one column of a feature, at `place` among them."""
    if feature.kind == "attribute":
        return _attribute(feature, scales)
    if feature.kind == "stage":
        return "1 where that stage was entered last", _MARK, 0.0, 1.0
    if feature.kind == "calendar" and feature.part == "bin":
        return "number of the bin, the first is 0", "bins", 0.0, float(spec.clock.horizon)
    if feature.kind == "calendar":
        return _CALENDAR[feature.part], _MARK, 0.0, 1.0
    return _past(feature, place, spec.channels)


def _attribute(feature: Feature, scales: Mapping[str, Scale]) -> tuple[str, str, float, float]:
    if feature.levels:
        return f"1 where the attribute `{feature.attribute}` is that", _MARK, 0.0, 1.0
    unknown = Scale(feature.attribute, "as in the log", -inf, inf)
    scale = scales.get(feature.attribute, unknown)
    meaning = f"the attribute `{feature.attribute}`; {feature.default:g} where it is missing"
    low, high = min(scale.low, feature.default), max(scale.high, feature.default)
    return meaning, scale.unit, low, high


def _past(feature: Feature, place: int, channels: Sequence[str]) -> tuple[str, str, float, float]:
    of, within = _named(feature.of, channels), _within(feature.window)
    if feature.kind == "ever":
        return f"1 once there was any of {of}", _MARK, 0.0, 1.0
    if feature.kind == "recency":
        meaning = f"bins since the last of {of}; {feature.window} where it is longer ago, or never"
        return meaning, "bins", 1.0, float(feature.window)
    sums = any(channel.endswith(".value") for channel in feature.of)
    unit, least = ("sum of values", -inf) if sums else ("events", 0.0)
    if feature.kind == "memory":
        return f"{of} {_ago(place + 1)}", unit, least, inf
    if feature.kind in ("decayed", "trend", "distinct", "affinity"):
        return _weighed(feature, place, of, (unit, least))
    if feature.kind == "ratio":
        over = _named(feature.over, channels)
        meaning = f"{of} {within}, divided by {over}; 0 where there is none of these"
        return meaning, f"{unit} per event", least, inf
    if feature.kind == "streak":
        until = _named(feature.until, channels)
        return f"{of} {within}, since the last of {until}", unit, least, inf
    return f"{of} {within}", unit, least, inf


def _weighed(
    feature: Feature, place: int, of: str, summed: tuple[str, float]
) -> tuple[str, str, float, float]:
    """Of kinds that weigh bins, or tell events apart; `summed`: unit and least of sums of `of`."""
    (unit, least), within, window = summed, _within(feature.window), feature.window
    if feature.kind == "decayed":
        halves = f"half as much every {feature.half_life:g} bins"
        return f"{of} {within}; one in the last bin counts 1, {halves}", unit, least, inf
    if feature.kind == "trend":
        before = "the bin before" if window == 1 else f"the {window} bins before"
        return f"{of} {within}, less those in {before}", unit, -inf, inf
    one, several = _APART[feature.by]
    if feature.kind == "distinct":
        most = float(len(feature.groups))
        return f"different {several} among {of} {within}", several, 0.0, most
    own = f"`{feature.groups[place][0]}`" if feature.groups else str(place)
    more = "1 more event" if feature.prior == 1 else f"{feature.prior} more events"
    meaning = f"share of {one} {own} among {of} {within}, after {more} spread evenly"
    return meaning, "share", 0.0, 1.0


def _named(names: Sequence[str], channels: Sequence[str]) -> str:
    """Channels in words; `sent_*` stands for all that begin so."""
    shown: list[str] = []
    for name in names:
        kind = f"{name.partition('_')[0]}_"
        alike = [channel for channel in channels if channel.startswith(kind)]
        whole = len(alike) > 1 and set(alike) <= set(names)
        shown.append(f"`{kind}*`" if whole else f"`{name}`")
    return ", ".join(dict.fromkeys(shown))


def _within(bins: int) -> str:
    return "in the last bin" if bins == 1 else f"in the last {bins} bins"


def _ago(bins: int) -> str:
    return "in the last bin" if bins == 1 else f"in the bin {bins} bins ago"
