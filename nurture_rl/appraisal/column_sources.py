"""Which feature columns each source of events brings."""

from __future__ import annotations

from collections.abc import Mapping

from nurture_envs.features import FeatureSpec
from nurture_envs.journey import Feature, Journey
from nurture_rl.appraisal.first_look import SOURCES

ATTRIBUTES = "attributes"  # what is known of contacts beside events, as from a form or a CRM


def column_sources(journey: Journey) -> Mapping[str, tuple[str, ...]]:
    """Feature columns by source, those of `SOURCES` and the attributes; none that has none.

    A column is brought by every source one of whose signals it reads: it is gone with any of
    them. What the journey does itself (a send, an escalation) and the calendar are no source's.

    Args:
        journey: whose features.
    """
    spec = FeatureSpec.of(journey)
    found: dict[str, list[str]] = {source: [] for source in (*SOURCES, ATTRIBUTES)}
    for feature, columns in zip(journey.features, spec.names_of_each, strict=True):
        for source in _sources_of(feature, journey):
            found[source] += columns
    return {source: tuple(columns) for source, columns in found.items() if columns}


def _sources_of(feature: Feature, journey: Journey) -> list[str]:
    if feature.kind == "attribute":
        return [ATTRIBUTES]
    read = {name.removesuffix(".value") for name in (*feature.of, *feature.over, *feature.until)}
    read |= {signal for _, signal in feature.stages}
    types = {one.type for one in journey.signals if one.name in read and not one.by_action}
    return [source for source, kinds in SOURCES.items() if types & set(kinds)]
