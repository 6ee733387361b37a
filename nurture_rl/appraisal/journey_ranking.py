"""Which journey to begin with: by what the log hears of each, and how soon an answer would come."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from nurture_envs.clock import DAY_US
from nurture_envs.journey import Journey
from nurture_rl.appraisal.first_look import (
    SOURCES,
    FirstExperiment,
    FirstLook,
    first_events,
    first_look,
    of_signal,
)


@dataclass(frozen=True, slots=True)
class RankedJourney:
    """One candidate."""

    name: str
    title: str
    contacts: int  # who would have entered it
    per_week: float
    north_star: str
    reached: int  # contacts with the north star, of `watched`
    watched: int  # for a whole journey from their entry
    median_days: float | None  # from entry to the north star; None: nobody reached it
    heard: float  # share of the journey's signals that the log has an event of, in [0, 1]
    silent_sources: tuple[str, ...]  # of which the journey has signals and the log no event
    units: int  # contacts until a relative gain of a quarter is found four times of five
    weeks: int  # until then
    assumed: bool  # the log counts no north star: `units` rests on an assumed share

    @property
    def why_not(self) -> str | None:
        """What speaks against beginning with it; None: nothing."""
        return f"nobody in the log reached {self.north_star}" if self.assumed else None


def ranked_journeys(
    candidates: Sequence[tuple[Journey, pa.Table, pa.Table]], entries: Mapping[str, str]
) -> list[RankedJourney]:
    """Candidates, the first one first: whose north star the log counts, by weeks to an answer.

    Args:
        candidates: journeys, each with the events and contacts of one log.
        entries: signals that enter a contact, by journey; a contact enters any other journey with
            its first event.

    Raises:
        KeyError: an entry is no signal of its journey.
    """
    found = [_ranked(*one, entries.get(one[0].name)) for one in candidates]
    return sorted(found, key=lambda one: (one.assumed, one.weeks, one.name))


def _ranked(
    journey: Journey, events: pa.Table, contacts: pa.Table, entry: str | None
) -> RankedJourney:
    if entry is not None:
        events = _from_entry(events, journey, entry)
    if not len(events):
        return _unheard(journey)
    look = first_look(events, contacts, journey)
    plan: FirstExperiment = look.experiment
    star = look.figures[0]
    present = set(events["type"].unique().to_pylist())
    silent = tuple(
        source
        for source, kinds in SOURCES.items()
        if any(one.type in kinds for one in journey.signals) and not present & set(kinds)
    )
    return RankedJourney(
        name=journey.name,
        title=journey.title,
        contacts=look.with_events,
        per_week=plan.per_week,
        north_star=star.name,
        reached=star.reached,
        watched=star.watched,
        median_days=_delay(events, journey),
        heard=_heard(look, journey),
        silent_sources=silent,
        units=plan.units,
        weeks=plan.weeks,
        assumed=plan.assumed,
    )


def _unheard(journey: Journey) -> RankedJourney:
    """A journey that nobody in the log enters."""
    sources = tuple(
        source
        for source, kinds in SOURCES.items()
        if any(one.type in kinds for one in journey.signals)
    )
    name = journey.north_star.name
    never = 10**9
    return RankedJourney(
        journey.name, journey.title, 0, 0.0, name, 0, 0, None, 0.0, sources, never, never, True
    )


def _from_entry(events: pa.Table, journey: Journey, entry: str) -> pa.Table:
    """The events of each contact from its first one of a signal on."""
    signal = {one.name: one for one in journey.signals}[entry]
    entering = events.filter(of_signal(events, signal))
    began = entering.group_by("contact_id").aggregate([("occurred_at", "min")])
    joined = events.join(began, "contact_id", join_type="inner")
    kept = joined.filter(pc.greater_equal(joined["occurred_at"], joined["occurred_at_min"]))
    order = [("contact_id", "ascending"), ("occurred_at", "ascending"), ("event_id", "ascending")]
    return kept.select(events.column_names).sort_by(order).combine_chunks()


def _heard(look: FirstLook, journey: Journey) -> float:
    asked = [one.name for one in journey.signals if not one.by_action]
    return 1.0 - len(look.silent) / len(asked) if asked else 0.0


def _delay(events: pa.Table, journey: Journey) -> float | None:
    """Days from entry to the north star, the median of those who came to it."""
    names = {name.removesuffix(".value") for name in journey.north_star.of}
    _, first, row = first_events(events)
    at = np.asarray(pc.cast(events["occurred_at"], pa.int64()))
    reached = np.full(first.size, np.inf)
    for signal in journey.signals:
        if signal.name in names:
            of = np.asarray(of_signal(events, signal).combine_chunks(), bool)
            np.minimum.at(reached, row[of], (at[of] - first[row[of]]) / DAY_US)
    come = reached[np.isfinite(reached)]
    return float(np.median(come)) if come.size else None
